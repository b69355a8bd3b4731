"""Does the registry give one version per bundle, move its aliases, and say clearly when it is not there?"""

from __future__ import annotations

from pathlib import Path

import pytest

from frontdesk.errors import StorageError, UsageError
from frontdesk.registry import Registry, flatten

TEST = {"contact_type": {"accuracy": 0.9, "n": 10}}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    # One database for the module: MLflow takes seconds to make one.
    return Registry(f"sqlite:///{tmp_path_factory.mktemp('registry') / 'new' / 'mlflow.db'}")


def register(registry: Registry, recipe: str, model_id: str):
    return registry.register(recipe, model_id=model_id, bundle=f"/models/{model_id}", snapshot="5a", metrics=TEST)


def test_a_recipe_without_versions_has_no_champion(registry: Registry) -> None:
    assert registry.champion("nobody") is None
    assert registry.candidate("nobody") is None
    assert registry.versions("nobody") == []


def test_the_same_bundle_is_registered_once(registry: Registry) -> None:
    first, second = register(registry, "once", "a1"), register(registry, "once", "a1")
    assert first.number == second.number == 1
    assert [version.model_id for version in registry.versions("once")] == ["a1"]
    assert registry.versions("once")[0].bundle == "/models/a1"
    assert registry.versions("once")[0].snapshot == "5a"


def test_candidate_is_the_newest_and_champion_the_promoted_one(registry: Registry) -> None:
    register(registry, "aliases", "a1")
    assert registry.champion("aliases") is None
    registry.promote("aliases", 1)
    register(registry, "aliases", "b2")
    champion, candidate = registry.champion("aliases"), registry.candidate("aliases")
    assert (champion.number, champion.model_id) == (1, "a1")
    assert (candidate.number, candidate.model_id) == (2, "b2")
    register(registry, "aliases", "a1")
    assert registry.candidate("aliases").number == 1
    assert len(registry.versions("aliases")) == 2


def test_recipes_do_not_meet(registry: Registry) -> None:
    register(registry, "left", "same")
    assert registry.versions("right") == []


def test_approval_is_kept_with_the_version(registry: Registry) -> None:
    register(registry, "approvals", "a1")
    assert not registry.versions("approvals")[0].approved
    registry.approve("approvals", 1)
    assert registry.candidate("approvals").approved
    with pytest.raises(UsageError, match="no version 7"):
        registry.approve("approvals", 7)


def test_a_run_is_recorded_once_with_every_epoch(registry: Registry) -> None:
    history = [{"loss": 2.0, "note": "words"}, {"loss": 1.0}]
    arguments = {"model_id": "a1", "parameters": {"seed": 0, "text": "x" * 900}, "history": history, "metrics": TEST}
    run = registry.record("runs", **arguments)
    assert registry.record("runs", **arguments) == run
    loss = registry._client.get_metric_history(run, "loss")
    assert [(point.step, point.value) for point in loss] == [(1, 2.0), (2, 1.0)]
    data = registry._client.get_run(run).data
    assert data.metrics["contact_type.accuracy"] == 0.9
    assert data.params["seed"] == "0"
    assert "note" not in data.metrics


def test_more_values_than_mlflow_takes_at_once(registry: Registry) -> None:
    history = [{"loss": 1.0 / epoch, "accuracy": 0.5} for epoch in range(1, 1002)]
    run = registry.record("long", model_id="a1", parameters={}, history=history, metrics={})
    assert len(registry._client.get_metric_history(run, "loss")) == 1001


def test_what_mlflow_prints_stays_out_of_sight(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Registry(f"sqlite:///{tmp_path / 'mlflow.db'}").champion("ticket")
    assert capfd.readouterr() == ("", "")


def test_a_registry_that_cannot_be_opened_is_named_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(StorageError, match="registry refused") as caught:
        Registry(f"sqlite:///{tmp_path / 'mlflow.db'}").champion("ticket")
    assert caught.value.where.endswith("mlflow.db")


def test_numbers_are_found_at_any_depth_under_names_that_mlflow_takes() -> None:
    values = {"test": {"hr@6": 0.5, "words": "no", "flag": True, "Ä+": 1}, "list": [1, 2], "n": 3}
    assert flatten(values) == {"test.hr_at_6": 0.5, "test.__": 1.0, "n": 3.0}
