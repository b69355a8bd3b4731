"""Do the words' shares and the rest add up, and is the rest what the model says without the words' linear part?"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from frontdesk.bundle import Bundle
from frontdesk.bundle.labels import LabelBundle
from frontdesk.email.combination import combine
from frontdesk.email.engines.engine import MailEngine
from frontdesk.email.grams import grams_of, placed_grams
from frontdesk.email.opening import EmailBundle
from frontdesk.engines.eager import EagerEngine
from frontdesk.errors import InvalidRequest
from frontdesk.fusion import fuse_network
from frontdesk.records import Prediction
from frontdesk.serving import protocol
from frontdesk.ticket import network as ticket_network
from tests.bundles import EmailRun
from tests.small_network import small_spec, write_network

SPEC = small_spec()
TICKETS = [
    {"subject": "word1 word2", "body": "word2 word1 word2 word7 unheard", "product": "phone", "order_total": 20},
    {"subject": " ".join(f"word{place}" for place in range(60)), "body": None},
]


def explained(bundle: LabelBundle, instance: dict[str, object]) -> Prediction:
    """Return an answer with its explanation, as a server makes it."""
    encoded = bundle.encode([instance])
    outputs = bundle.run(encoded.asked)
    return bundle.explain(encoded, outputs, bundle.decide(encoded, outputs))[0]


def without_words(folder: Path, target: Path) -> EagerEngine:
    """Return the network whose wide tables say nothing of any word."""
    target.mkdir()
    weights = load_file(folder / "weights.safetensors")
    silent = {name: np.zeros_like(one) if name.startswith("wide_tables") else one for name, one in weights.items()}
    save_file(silent, target / "weights.safetensors")
    (target / "config.json").write_bytes((folder / "config.json").read_bytes())
    return EagerEngine(target, SPEC)


@pytest.mark.parametrize("factorised", [False, True])
def test_a_tickets_words_and_the_rest_add_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, factorised: bool
) -> None:
    if factorised:
        monkeypatch.setattr(ticket_network, "WIDE_LABELS", 4)
    trained = write_network(tmp_path / "network", SPEC, wide_rank=5)
    bundle = LabelBundle.load(fuse_network(trained, SPEC, "s", tmp_path / "bundle"))
    silent = without_words(trained, tmp_path / "silent")
    for ticket in TICKETS:
        answer = explained(bundle, ticket)
        assert answer.explanation is not None
        columns = {name: [value] for name, value in ticket.items()}
        rest = silent.probabilities(columns, 1)
        for head, said in answer.labels.items():
            one = answer.explanation[head]
            assert one.against == said.alternatives[0].label
            assert one.difference == pytest.approx(np.log(said.confidence / said.alternatives[0].confidence), abs=1e-4)
            assert sum(share.share for share in one.tokens) + one.rest == pytest.approx(one.difference, abs=1e-9)
            if head == "contact_type":  # the reply also sees what the contact type came to
                places = [SPEC.labels[head].index(name) for name in (said.label, one.against)]
                alone = np.log(rest[head][0][places])
                assert one.rest == pytest.approx(alone[0] - alone[1], abs=2e-4)
    first = explained(bundle, TICKETS[0]).explanation
    assert first is not None
    tokens = first["contact_type"].tokens
    assert [one.token for one in tokens] == ["word1", "word2", "word2", "word1", "word2", "word7", "unheard"]
    assert tokens[-1].share == 0
    assert len({round(one.share, 9) for one in tokens[:-1]}) > 2


def test_a_mails_words_and_the_rest_add_up(email_run: EmailRun) -> None:
    bundle = Bundle.load(email_run.bundle)
    assert isinstance(bundle, EmailBundle)
    engine = bundle.model
    assert isinstance(engine, MailEngine)
    for mail in ({"subject": "Depot transfer", "body": "My transfer to the new depot is missing."}, {"body": "x"}):
        answer = explained(bundle, mail)
        assert answer.explanation is not None
        columns, rows = bundle.encode([mail]).asked.values, 1
        scores = engine.scores(columns, rows)
        for head, said in answer.labels.items():
            one = answer.explanation[head]
            assert sum(share.share for share in one.tokens) + one.rest == pytest.approx(one.difference, abs=1e-9)
            # What the model says where this head's linear path sees no gram of the text.
            bias = engine._grams.weights.bias  # type: ignore[union-attr]
            heads = list(answer.labels)
            begin = sum(len(bundle.spec.labels[other]) for other in heads[: heads.index(head)])
            silent = dict(scores)
            silent[head] = [scores[head][0], bias[None, begin : begin + len(bundle.spec.labels[head])]]
            alone = np.log(combine(silent, engine._combination)[head][0])
            places = [bundle.spec.labels[head].index(name) for name in (said.label, one.against)]
            assert one.rest == pytest.approx(alone[places[0]] - alone[places[1]], abs=2e-4)


@given(st.text(alphabet="ab é\n.-1", max_size=30))
def test_every_gram_stands_somewhere(text: str) -> None:
    counted = {kind + name: count for kind, found in grams_of(text) for name, count in found.items()}
    placed = list(placed_grams(text))
    assert Counter(name for name, _ in placed) == counted
    words = text.split()
    for name, places in placed:
        for part, place in zip(name[1:].split(), places, strict=False):
            assert part in words[place]


def test_an_answer_is_explained_only_where_it_is_asked_for(tmp_path: Path) -> None:
    bundle = LabelBundle.load(fuse_network(write_network(tmp_path / "n", SPEC), SPEC, "s", tmp_path / "bundle"))
    assert b"explanation" not in bundle.dump(bundle.predict(TICKETS))
    assert b'"explanation":{"contact_type":{"against":' in bundle.dump([explained(bundle, TICKETS[0])])
    body = {"instances": [{}], "parameters": {"explain": True}}
    assert protocol.wants_explanation(body)
    assert not protocol.wants_explanation({"instances": [{}, {}], "parameters": {}})
    for wrong in ({"instances": [{}, {}]}, {"parameters": {"explain": 1}}):
        with pytest.raises(InvalidRequest, match="explain"):
            protocol.wants_explanation(body | wrong)
