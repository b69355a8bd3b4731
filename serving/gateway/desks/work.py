"""What follows an accepted webhook: a prediction and what it writes back, or feedback. Never while the desk waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from starlette.requests import Request

from frontdesk import feedback
from frontdesk.database.deliveries import (
    Claimed,
    claim_deliveries,
    finish_delivery,
    keep_answer,
    keep_delivery,
    put_back,
)
from frontdesk.database.feedback import apply_events
from frontdesk.errors import FrontdeskError, InvalidRequest
from frontdesk.logs import event as log_event
from frontdesk.serving.gateway import metrics
from frontdesk.serving.gateway.asking import Manner
from frontdesk.serving.gateway.callers import Caller
from frontdesk.serving.gateway.desks.configured import ConfiguredDesks
from frontdesk.serving.gateway.desks.desk import Desk, Event
from frontdesk.serving.gateway.desks.writeback import plan_change, write_back
from frontdesk.serving.gateway.journal import Entry
from frontdesk.serving.gateway.predicting import predict
from frontdesk.serving.gateway.routes.labels import labels_topic
from frontdesk.serving.gateway.state import Gateway

TOGETHER = 8
LEASE = timedelta(minutes=5)
ATTEMPTS = 12
_FIRST_PAUSE = 2.0
_LONGEST_PAUSE = 300.0
_POLL_SECONDS = 1.0
_CLOSING_SECONDS = 10.0
_log = logging.getLogger(__name__)


class DeskWork:
    """Works on accepted webhooks until it is stopped; what is unfinished then is taken up again at the next start.

    Args:
        gateway: whose database and models are used.
        desks: the configured ones.

    Attributes:
        desks: the same.
    """

    def __init__(self, gateway: Gateway, desks: ConfiguredDesks) -> None:
        self._gateway, self.desks = gateway, desks
        self._new = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._loop = asyncio.create_task(self._run())

    async def accept(self, event: Event) -> bool:
        """Keep an event; return False where it is known already. Raises `StorageError`."""
        new = await self._gateway.run(
            keep_delivery,
            self._gateway.database,
            desk=event.desk,
            delivery=event.delivery,
            case_id=event.case,
            kind=event.kind,
            content=event.content,
            event=asdict(event),
            now=datetime.now(UTC),
        )
        if new:
            self._new.set()
        return new

    async def close(self) -> None:
        """Stop taking deliveries, and wait a while for those in work."""
        self._loop.cancel()
        with suppress(asyncio.CancelledError):
            await self._loop
        if self._running:
            await asyncio.wait(self._running, timeout=_CLOSING_SECONDS)
        for task in self._running:
            task.cancel()

    async def _run(self) -> None:
        while True:
            free = TOGETHER - len(self._running)
            claimed: list[Claimed] = []
            if free:
                try:
                    now = datetime.now(UTC)
                    claimed = await self._gateway.run(claim_deliveries, self._gateway.database, now, LEASE, free)
                except FrontdeskError as error:
                    log_event(_log, "deliveries_wait", code=error.code)
            for one in claimed:
                task = asyncio.create_task(self._work_on(one))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            if claimed:
                continue
            self._new.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._new.wait()

    async def _work_on(self, claimed: Claimed) -> None:
        database = self._gateway.database
        try:
            try:
                await self._do(claimed)
                await self._gateway.run(finish_delivery, database, claimed)
                metrics.count_delivery(claimed.desk, "done")
            except FrontdeskError as error:
                due = _next_attempt(error, claimed.attempts)
                await self._gateway.run(put_back, database, claimed, error.code, due)
                metrics.count_delivery(claimed.desk, "failed" if due is None else "postponed")
                final = due is None
                log_event(_log, "delivery_failed", desk=claimed.desk, code=error.code, where=error.where, final=final)
        except Exception:
            # The lease ends by itself. The text of a foreign exception may quote a customer.
            _log.exception("delivery_broke", extra={"fields": {"desk": claimed.desk}})

    async def _do(self, claimed: Claimed) -> None:
        event = Event(**claimed.event)
        desk = self.desks.desks.get(event.desk)
        if desk is None:
            raise InvalidRequest("the desk is not configured any more", where=claimed.desk)
        if event.kind == "closed":
            await self._tell(event, claimed, "closed", event.labels, _moment(event.at, claimed.received_at))
            return
        answer = claimed.answer
        if answer is None:
            answer = await self._predict(desk, event)
            await self._gateway.run(keep_answer, self._gateway.database, claimed, answer)
        change = plan_change(desk, event.case, answer)
        if await write_back(desk, change, self.desks.allowed_hosts) and (change.fields or change.note):
            await self._tell(event, claimed, "shown", {}, datetime.now(UTC), answer["prediction_id"])

    async def _predict(self, desk: Desk, event: Event) -> dict[str, Any]:
        """Ask the model as a caller would: one row of the prediction log for one answer."""
        settings = self._gateway.settings
        manner = Manner(settings.batch_seconds, 1, 1, partial=False, degrade=False)
        caller = Caller(f"desk:{desk.name}", frozenset())
        instances = [{**event.instance, "id": case_name(event)}]
        topic = labels_topic(event.recipe, manner)
        made = await predict(_inner_request(self._gateway, event), topic, caller, instances, None)
        await self._gateway.journal.commit(Entry(made.rows))
        answer: dict[str, Any] = made.content["predictions"][0]
        return answer

    async def _tell(
        self,
        event: Event,
        claimed: Claimed,
        kind: feedback.Kind,
        labels: Mapping[str, str],
        at: datetime,
        prediction_id: str | None = None,
    ) -> None:
        told = feedback.Event(
            f"desk:{event.desk}",
            f"{claimed.delivery}:{kind}",
            event.recipe,
            case_name(event),
            kind,
            at,
            dict(labels),
            prediction_id,
        )
        (new,) = await self._gateway.run(apply_events, self._gateway.database, [told])
        metrics.count_feedback(event.recipe, kind, "applied" if new else "duplicate")


def desk_work_of(request: Request) -> DeskWork:
    """Return the work of the gateway that serves a request."""
    found: DeskWork = request.app.state.desk_work
    return found


def case_name(event: Event) -> str:
    """Return the name of a case among those of every desk."""
    return f"{event.desk}:{event.case}"


def _inner_request(gateway: Gateway, event: Event) -> Request:
    """Return what stands for a caller's request where there is none: its application and its id."""
    app = SimpleNamespace(state=SimpleNamespace(gateway=gateway))
    state = {"request_id": f"{event.desk}:{event.content[:32]}"}
    return Request({"type": "http", "headers": [], "app": app, "state": state})


def _next_attempt(error: FrontdeskError, attempts: int) -> datetime | None:
    """Return when to try again; None where that helps nothing, or has been done often enough."""
    if isinstance(error, InvalidRequest) or attempts >= ATTEMPTS:
        return None
    return datetime.now(UTC) + timedelta(seconds=min(_FIRST_PAUSE**attempts, _LONGEST_PAUSE))


def _moment(text: str | None, received: datetime) -> datetime:
    """Return when an event happened by the desk's clock; when it came, where the desk writes no usable time."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return received
    return found if found.tzinfo and 1970 <= found.year < 2200 else received
