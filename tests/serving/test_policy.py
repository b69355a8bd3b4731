"""A policy file over a real bundle: from the simulation on a history to what a model server would answer."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from frontdesk.bundle.labels import LabelBundle
from frontdesk.cli.main import app
from frontdesk.errors import UsageError
from frontdesk.simulation.tickets import simulate, write


def test_a_history_becomes_a_policy_that_decides(ticket_bundle: Path, tmp_path: Path) -> None:
    history, policy = tmp_path / "closed.parquet", tmp_path / "policy.yaml"
    write(simulate(300, seed=11), history)
    command = ["coverage", str(ticket_bundle), "--data", str(history), "--automatic", "0.6", "--preselect", "0.4"]
    run = CliRunner().invoke(app, [*command, "--policy", str(policy), "--json"])
    assert run.exit_code == 0, run.output
    found = orjson.loads(run.stdout)
    assert found["rows"] == 300
    assert set(found["heads"]) == {"contact_type", "reply"}
    for figures in found["heads"].values():
        for level in ("automatic", "preselect"):
            one = figures["levels"][level]
            assert one["share_interval"][0] <= one["share"] <= one["share_interval"][1]
    own, served = LabelBundle.load(ticket_bundle), LabelBundle.load(ticket_bundle, policy=str(policy))
    records = [{"subject": "invoice", "body": "please send it"}, {"body": "xqzt vrrgh plomf"}, {}]
    before, after = own.predict(records), served.predict(records)
    assert [one.policy for one in before] == [None] * 3
    assert len({one.policy for one in after}) == 1
    assert all(one.scope is not None and 0 < one.scope <= 1 for one in after)
    for old, new in zip(before, after, strict=True):
        assert {head: said.label for head, said in old.labels.items()} == {
            head: said.label for head, said in new.labels.items()
        }
    assert "scope" not in orjson.loads(own.dump(before))[0]
    assert orjson.loads(served.dump(after))[0]["labels"]["reply"]["level"] in (
        "none",
        "suggest",
        "preselect",
        "automatic",
    )


def test_what_is_strange_is_left_to_a_person(ticket_bundle: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    usual = "{doubt: [0.0, 0.0], unknown: [0.0, 0.0], together: [0.0, 0.0], least: 0.9}"
    policy.write_text(f'version: "1"\nrecipes: {{ticket: {{scope: {usual}}}}}')
    (answer,) = LabelBundle.load(ticket_bundle, policy=str(policy)).predict([{"body": "xqzt vrrgh plomf"}])
    assert {said.reason for said in answer.labels.values()} == {"out_of_scope"}
    assert {said.decision for said in answer.labels.values()} == {"abstain"}
    policy.write_text('version: "1"\nrecipes: {ticket: {heads: {topic: {at_most: none}}}}')
    with pytest.raises(UsageError, match="topic"):
        LabelBundle.load(ticket_bundle, policy=str(policy))
    policy.write_text('version: "1"\nrecipes: {email: {heads: {topic: {at_most: none}}}}')
    assert LabelBundle.load(ticket_bundle, policy=str(policy)).served is None
