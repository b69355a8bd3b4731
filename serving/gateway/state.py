"""What the routes of one gateway share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import ParamSpec, TypeVar

from starlette.requests import Request

from frontdesk.database import Database
from frontdesk.database.idempotency import forget_expired
from frontdesk.database.retention import prune
from frontdesk.errors import Forbidden, StorageError, Unauthorised
from frontdesk.logs import event
from frontdesk.redis_connection import connect_async
from frontdesk.routing import load_roster
from frontdesk.serving.gateway import metrics
from frontdesk.serving.gateway.assignment import Assignment, RunningExperiments
from frontdesk.serving.gateway.callers import Caller, KnownCallers, caller_of_key, credential, is_key
from frontdesk.serving.gateway.journal import Journal
from frontdesk.serving.gateway.limits import Places, Rates
from frontdesk.serving.gateway.line_file import LineFile
from frontdesk.serving.gateway.models import Models
from frontdesk.serving.gateway.settings import GatewaySettings
from frontdesk.serving.gateway.shared_rates import SharedRates
from frontdesk.serving.gateway.tokens import Tokens
from frontdesk.serving.gateway.traffic import Traffic
from frontdesk.serving.gateway.watching import WatchMetrics

_THREADS = 8
_REDIS_SECONDS = 0.2
_HOUSEKEEPING_SECONDS = 600.0
_READING = 4  # bodies that arrive, for each request that is worked on: slow callers hold up nobody
_log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


def utc_now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


class Gateway:
    """The parts of a running gateway; routes find it with `gateway_of`.

    Attributes:
        database: keys, log, feedback.
        models: the private model servers.
        journal: the prediction log.
        rates: how often a client may ask, counted together with other gateways where a Redis is set.
        assignment: which arm of an experiment a case belongs to.
        traffic: which side of a rollout, where it belongs to no arm.
        now: tells when a prediction is made.
        lines: the lines' configuration.
        watch_metrics: verdicts and retrainings for ``/metrics``.
        heads: of each recipe with labels, as its model last answered.
        roster: agents and what they know; None where no file is set.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        database: Database,
        models: Models,
        assignment: Assignment | None = None,
        redis: str | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.settings, self.database, self.models, self.now = settings, database, models, now
        self.assignment = assignment or RunningExperiments(database, now)
        self.executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="gateway")
        self.journal = Journal(database, self.executor, timedelta(hours=settings.idempotency_hours))
        self.traffic = Traffic(database, self.run)
        rates = Rates(settings.requests_per_second, settings.burst)
        self.rates = (
            rates if redis is None else SharedRates(connect_async(redis, timeout_seconds=_REDIS_SECONDS), rates)
        )
        self.places = Places(settings.concurrent)
        self.reading = Places(_READING * settings.concurrent)
        self.lines = LineFile(settings.lines)
        self.watch_metrics = WatchMetrics(database)
        self.heads: dict[str, tuple[str, ...]] = {}
        self.roster = None if settings.agents is None else load_roster(settings.agents)
        self._known = KnownCallers(settings.key_seconds)
        self._tokens = Tokens(settings) if settings.jwks else None

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that blocks, in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.executor, lambda: function(*args, **kwargs))

    async def identify(self, text: str) -> Caller:
        """Return the caller of a key or token. Raises `Unauthorised`."""
        caller = self._known.get(text)
        if caller is None:
            if is_key(text):
                caller = await self.run(caller_of_key, self.database, text)
            elif self._tokens is not None:
                caller = await self.run(self._tokens.check, text)
            if caller is None:
                raise Unauthorised("the key or token is not good", remedy="Ask the operators for a new one")
            self._known.put(text, caller)
        return caller

    async def admit(self, request: Request, scope: str) -> Caller:
        """Return who asks, if they may.

        Raises:
            Unauthorised: no credentials, or bad ones.
            Forbidden: the credential lacks the scope.
            RateLimited: the client asks too often.
        """
        caller = await self.identify(credential(request))
        if scope not in caller.scopes:
            raise Forbidden(f"the key is not good for {scope}", remedy=f"Ask for a key with the scope {scope}")
        await self.rates.take(caller.client)
        return caller

    async def keep_house(self) -> None:
        """Forget expired answers and old predictions, again and again."""
        while True:
            try:
                await self.run(forget_expired, self.database)
                await self._prune_log()
            except StorageError:
                event(_log, "housekeeping_failed", level=logging.WARNING)
            await asyncio.sleep(_HOUSEKEEPING_SECONDS)

    async def follow_experiments(self) -> None:
        """Look for experiments that start or stop, again and again."""
        while True:
            await asyncio.sleep(self.settings.experiment_seconds)
            await self.run(self.assignment.refresh)

    async def _prune_log(self) -> None:
        if (days := self.settings.log_days) is None:
            return
        before = datetime.now(UTC) - timedelta(days=days)
        batches = prune(self.database, before, keep_labelled=self.settings.log_keep_labelled)
        while (removed := await self.run(next, batches, None)) is not None:  # one transaction at a time
            metrics.count_pruned(removed)

    async def close(self) -> None:
        """Finish what is being written and let go of everything."""
        await self.journal.close()
        await self.models.close()
        await self.rates.close()
        self.executor.shutdown(wait=True)


def gateway_of(request: Request) -> Gateway:
    """Return the gateway that serves a request."""
    found: Gateway = request.app.state.gateway
    return found


def request_id_of(request: Request) -> str:
    """Return the id of a request."""
    found: str = request.scope["state"]["request_id"]
    return found
