"""Requests that wait are computed together: fewer calls, the answers of single requests, nobody else's errors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from frontdesk.bundle import Bundle
from frontdesk.errors import InvalidRequest, Overloaded
from frontdesk.serving.model import Answered, BundleModel, Limits
from tests.intent_bundles import IntentRun, as_request

TICKETS: list[Any] = [{"subject": "lost card", "body": word} for word in ("one two", "phone", "<p>bill</p>", "", "5")]


class Gate:
    """A bundle's `predict` that waits until it is opened, and counts."""

    def __init__(self, bundle: Bundle) -> None:
        self.opened = threading.Event()
        self.calls: list[int] = []
        real: Callable[[Any], Any] = bundle.predict

        def predict(instances: Any) -> Any:
            self.opened.wait(60)
            self.calls.append(len(instances))
            return real(instances)

        self.opened.set()
        bundle.predict = predict  # type: ignore[method-assign]

    def together(self, model: BundleModel, bodies: list[Any]) -> list[Any]:
        """Send requests at one time while the model is held up."""

        async def one(body: Any) -> Any:
            try:
                answered, _ = await model(body)
                assert isinstance(answered, Answered)
                return orjson.loads(answered.bundle.dump(answered.answers))
            except (InvalidRequest, Overloaded) as error:
                return error

        async def everyone() -> list[Any]:
            tasks = [asyncio.create_task(one(body)) for body in bodies]
            for _ in range(10):  # until all have come as far as they can
                await asyncio.sleep(0)
            self.opened.set()
            return list(await asyncio.gather(*tasks))

        self.opened.clear()
        self.calls.clear()
        return asyncio.run(everyone())


def held_up(location: Path, **limits: Any) -> tuple[BundleModel, Gate]:
    """Return a model that answers in one thread, and its gate."""
    bundle = Bundle.load(location)
    gate = Gate(bundle)
    model = BundleModel("m", lambda: bundle, Limits(threads=1, inline_seconds=0.0, **limits))
    model.open()
    return model, gate


def v1(*instances: Any) -> dict[str, Any]:
    return {"instances": list(instances)}


def test_waiting_requests_are_computed_in_one_call(ticket_bundle: Path) -> None:
    model, gate = held_up(ticket_bundle)
    alone = [orjson.loads(model.bundle.dump(model.bundle.predict([ticket]))) for ticket in TICKETS]
    answers = gate.together(model, [v1(ticket) for ticket in TICKETS])
    assert gate.calls == [1, len(TICKETS) - 1], "the first, then those who came meanwhile"
    for answer, expected in zip(answers, alone, strict=True):
        for found, wanted in zip(answer[0]["labels"].values(), expected[0]["labels"].values(), strict=True):
            assert found["label"] == wanted["label"]
            assert found["confidence"] == pytest.approx(wanted["confidence"], abs=1e-5)


def test_sessions_are_computed_in_one_call(intent_run: IntentRun) -> None:
    model, gate = held_up(intent_run.bundle)
    rows = intent_run.test_rows()[:12]
    bodies = [v1(as_request(rows[: place + 1], session=f"s{place}")) for place in range(len(rows))]
    alone = [orjson.loads(model.bundle.dump(model.bundle.predict(body["instances"]))) for body in bodies]
    answers = gate.together(model, bodies)
    assert gate.calls == [1, len(bodies) - 1]
    for answer, expected in zip(answers, alone, strict=True):
        assert [one["id"] for one in answer[0]["intents"]] == [one["id"] for one in expected[0]["intents"]]


def test_a_bad_request_in_a_batch_is_its_own_caller_s(ticket_bundle: Path) -> None:
    model, gate = held_up(ticket_bundle)
    answers = gate.together(model, [v1(TICKETS[0]), v1(TICKETS[1]), v1(TICKETS[2], {"body": 7}), v1(TICKETS[3])])
    assert isinstance(answers[2], InvalidRequest)
    assert str(answers[2]).startswith("instances[1].body")
    assert [len(answers[place]) for place in (0, 1, 3)] == [1, 1, 1]


def test_a_batch_has_a_budget_and_the_queue_an_end(ticket_bundle: Path) -> None:
    long = {"body": "word " * 200}
    model, gate = held_up(ticket_bundle, batch_characters=2_500, waiting=5)
    answers = gate.together(model, [v1(long)] * 8)
    assert gate.calls == [1, 2, 2, 1]
    assert [isinstance(answer, Overloaded) for answer in answers] == [False] * 6 + [True] * 2
