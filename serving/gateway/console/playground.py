"""The playground: one record to the model, what cleaning took away, and why the label was chosen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from frontdesk.errors import InvalidRequest
from frontdesk.serving.gateway.console.bundles import inputs_of
from frontdesk.serving.gateway.console.explaining import Cleaned, Exact, Word, cleaned, exact, explain
from frontdesk.serving.gateway.console.pages import page
from frontdesk.serving.gateway.console.parts import Console
from frontdesk.serving.gateway.console.session import Session
from frontdesk.serving.gateway.state import Gateway, gateway_of

_SECONDS = 10.0
_LONGEST = 20_000
_MOST_EVENTS = 30
_SESSION = {
    "operator": "op-1",
    "line": "home",
    "events": [
        {"timestamp": "2026-11-20T10:00:00Z", "kind": "event", "name": "customer_opened"},
        {"timestamp": "2026-11-20T10:00:04Z", "kind": "intent", "name": "billing"},
    ],
}
"""What the form for sessions begins with."""


@dataclass(frozen=True)
class Found:
    """What a form gave.

    Attributes:
        answer: of the model, for one record.
        milliseconds: until it came.
        cleaned: per text field.
        words: per text field, for `head`.
        head: whose label is explained.
        rows: for sessions: each event with whether the first intent stays without it.
        exact: of the label of `head`, where the model server takes it apart.
    """

    answer: dict[str, Any]
    milliseconds: float
    cleaned: dict[str, Cleaned]
    words: dict[str, list[Word]]
    head: str
    rows: list[tuple[str, bool]]
    exact: Exact | None = None


async def show(
    request: Request, session: Session, console: Console, recipe: str, form: dict[str, str] | None
) -> Response:
    """Return the page, with an answer where there is a form."""
    gateway = gateway_of(request)
    recipes = sorted(gateway.models.urls)
    recipe = recipe if recipe in recipes else recipes[0] if recipes else "ticket"
    inputs = {} if recipe == "intent" else inputs_of(recipe, console.bundles)
    values = {name: (form or {}).get(f"field-{name}", "") for name in inputs}
    if recipe == "intent":
        values = {
            "session": (form or {}).get("field-session") or orjson.dumps(_SESSION, option=orjson.OPT_INDENT_2).decode()
        }
    found, problem = None, ""
    if form is not None:
        try:
            if recipe == "intent":
                found = await _session(gateway, values["session"])
            else:
                found = await _labels(gateway, recipe, inputs, values, form.get("head", ""))
        except InvalidRequest as error:
            problem = str(error)
    return page(
        "playground.html",
        session,
        path="/console/playground",
        recipe=recipe,
        recipes=recipes,
        inputs=inputs,
        values=values,
        found=found,
        problem=problem,
        status=200 if not problem else 400,
    )


async def _ask(
    gateway: Gateway, recipe: str, instances: Sequence[dict[str, Any]], **parameters: Any
) -> list[dict[str, Any]]:
    return await gateway.models.predict(recipe, instances, seconds=_SECONDS, parameters=parameters)


async def _labels(gateway: Gateway, recipe: str, inputs: dict[str, str], values: dict[str, str], wanted: str) -> Found:
    instance = {name: value for name, kind in inputs.items() if (value := _value(kind, values[name], name)) is not None}
    began = time.perf_counter()
    (answer,) = await _ask(gateway, recipe, [instance], explain=True)
    milliseconds = 1e3 * (time.perf_counter() - began)
    head = wanted if wanted in answer["labels"] else next(iter(answer["labels"]))
    texts = [name for name, kind in inputs.items() if kind == "text" and values[name].strip()]

    async def ask(instances: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return await _ask(gateway, recipe, instances)

    words = {name: await explain(ask, instance, name, head, answer) for name in texts}
    read = {name: cleaned(recipe, name, values[name]) for name in texts}
    return Found(answer, milliseconds, read, words, head, [], exact(answer, head))


def _value(kind: str, text: str, name: str) -> str | float | None:
    """Return the value of a form's field; None for an empty one. Raises `InvalidRequest` for no number."""
    if not text.strip():
        return None
    if kind != "number":
        return text[:_LONGEST]
    try:
        return float(text)
    except ValueError:
        raise InvalidRequest("must be a number", where=name) from None


async def _session(gateway: Gateway, text: str) -> Found:
    try:
        instance = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidRequest("is not JSON", where="session") from None
    if not isinstance(instance, dict):
        raise InvalidRequest("must be an object", where="session")
    instance.pop("session", None)  # the model's memory of live sessions is not for trying things out
    began = time.perf_counter()
    (answer,) = await _ask(gateway, "intent", [instance])
    milliseconds = 1e3 * (time.perf_counter() - began)
    events = instance.get("events")
    rows: list[tuple[str, bool]] = []
    if isinstance(events, list) and events and answer["intents"]:
        shown = events[-_MOST_EVENTS:]
        start = len(events) - len(shown)
        without = [{**instance, "events": events[:place] + events[place + 1 :]} for place in range(start, len(events))]
        others = await _ask(gateway, "intent", without)
        first = answer["intents"][0]["id"]
        rows = [
            (str(event.get("name")), bool(other["intents"]) and other["intents"][0]["id"] == first)
            for event, other in zip(shown, others, strict=True)
        ]
    return Found(answer, milliseconds, {}, {}, "", rows)
