"""The desk in front of the gateway: tickets are asked for as they come in, cases are closed, answers are counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from frontdesk.database import Database
from frontdesk.database.keys import create_key
from frontdesk.errors import FrontdeskError
from frontdesk.records import DEFAULT_TICKET_COLUMNS
from frontdesk.serving.gateway.app import create_app
from frontdesk.serving.gateway.settings import GatewaySettings
from frontdesk.serving.gateway.state import Gateway

HEAD = "contact_type"
_CLIENT = "desk"
_EVENTS_TOGETHER = 400
_PATIENT_SECONDS = 4.0  # half of it for a candidate: on a busy machine, too, only one that is broken takes longer
_FIELDS = DEFAULT_TICKET_COLUMNS.inputs


class Clock:
    """The simulated time."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        """Return the simulated moment."""
        return self.moment


@dataclass
class Tally:
    """What callers were answered.

    Attributes:
        statuses: HTTP status of each request.
        degraded: answers that no model gave.
        models: answers by model_id.
        last_model: that of the last answer.
        said: ``{case: the model's contact type}`` of cases that are not closed yet.
        right: ``{week: [cases closed with the contact type that was said, closed cases]}``.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    degraded: int = 0
    models: Counter[str] = field(default_factory=Counter)
    last_model: str | None = None
    said: dict[str, str | None] = field(default_factory=dict)
    right: dict[int, list[int]] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Requests that were not answered well, and answers without a model."""
        return sum(count for status, count in self.statuses.items() if status != 200) + self.degraded

    def accuracy(self, week: int) -> float | None:
        """Return the share of a week's closed cases whose contact type was said; None where none were closed."""
        right, closed = self.right.get(week, [0, 0])
        return right / closed if closed else None


class Desk:
    """The callers of a gateway."""

    def __init__(self, client: httpx.AsyncClient, gateway: Gateway, clock: Clock) -> None:
        self._client, self.gateway, self._clock = client, gateway, clock
        self.tally = Tally()

    async def ask(self, tickets: Sequence[Mapping[str, Any]]) -> None:
        """Ask for suggestions for some tickets in one request, when the last of them has come in."""
        self._clock.moment = tickets[-1]["created_at"]
        instances = [
            {"id": row["id"], **{name: row[name] for name in _FIELDS if row[name] is not None}} for row in tickets
        ]
        answers = await self._post("/v1/tickets:suggest", {"instances": instances})
        for row, answer in zip(tickets, answers.get("predictions", ()), strict=False):
            self.tally.degraded += bool(answer["degraded"])
            self.tally.models[answer["model_id"]] += 1
            self.tally.last_model = answer["model_id"]
            self.tally.said[row["id"]] = answer["labels"][HEAD]["label"]

    async def ask_each(self, tickets: Sequence[Mapping[str, Any]]) -> None:
        """Ask for each ticket in a request of its own, all at once."""
        await asyncio.gather(*(self.ask([row]) for row in tickets))

    async def close(self, cases: Sequence[Mapping[str, Any]], week: int) -> None:
        """Tell what some cases were closed with."""
        events = []
        for row in cases:
            labels = {head: row[head] for head in ("contact_type", "reply") if row[head] is not None}
            if labels:
                about = {"id": f"closed-{row['id']}", "recipe": "ticket", "case_id": row["id"]}
                events.append({**about, "kind": "closed", "at": row["closed_at"].isoformat(), "labels": labels})
            if row[HEAD] is not None and row["id"] in self.tally.said:
                counts = self.tally.right.setdefault(week, [0, 0])
                counts[0] += self.tally.said.pop(row["id"]) == row[HEAD]
                counts[1] += 1
        for begin in range(0, len(events), _EVENTS_TOGETHER):
            await self._post("/v1/feedback", {"events": events[begin : begin + _EVENTS_TOGETHER]})

    async def _post(self, address: str, body: Mapping[str, Any]) -> dict[str, Any]:
        response = await self._client.post(address, json=body)
        self.tally.statuses[response.status_code] += 1
        content: dict[str, Any] = response.json()
        return content


@asynccontextmanager
async def open_desk(database: Database, urls: Mapping[str, str], clock: Clock) -> AsyncIterator[Desk]:
    """Start the gateway in this process, by the simulated clock; its log keeps masked texts, to train from.

    Args:
        urls: ``{served name: address}`` of the model servers.

    Raises:
        FrontdeskError: a request failed.
    """
    limits = {"requests_per_second": 1e6, "burst": 10**6, "suggest_seconds": _PATIENT_SECONDS}
    settings = GatewaySettings(log_text="masked", experiment_seconds=3_600, **limits)
    app = create_app(settings, database, urls, now=clock.now)
    async with app.router.lifespan_context(app):
        key = create_key(database, _CLIENT, ("feedback", "tickets"))
        transport = httpx.ASGITransport(app=app)
        headers = {"authorization": f"Bearer {key.text}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://desk", headers=headers, timeout=60
        ) as client:
            desk = Desk(client, app.state.gateway, clock)
            yield desk
    if desk.tally.failed:
        raise FrontdeskError(f"{desk.tally.failed} requests of the desk failed", where="the gateway")
