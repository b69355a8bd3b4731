"""What is taken on: rates, places, and the breaker in front of a model server."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from frontdesk.errors import Overloaded, RateLimited
from frontdesk.redis_connection import connect_async
from frontdesk.serving.gateway import limits, models, shared_rates
from frontdesk.serving.gateway.limits import Places, Rates
from frontdesk.serving.gateway.models import Breaker
from frontdesk.serving.gateway.shared_rates import SharedRates
from tests.redis_server import RedisServer


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(limits, "time", made)
    monkeypatch.setattr(models, "time", made)
    return made


def test_a_client_may_ask_as_often_as_its_bucket_says(clock: Clock) -> None:
    rates = Rates(per_second=2.0, burst=3)
    for _ in range(3):
        asyncio.run(rates.take("crm"))
    with pytest.raises(RateLimited) as caught:
        asyncio.run(rates.take("crm"))
    assert caught.value.seconds == pytest.approx(0.5)
    asyncio.run(rates.take("another"))
    clock.now += 0.5
    asyncio.run(rates.take("crm"))
    with pytest.raises(RateLimited):
        asyncio.run(rates.take("crm"))
    clock.now += 60
    for _ in range(3):
        asyncio.run(rates.take("crm"))
    with pytest.raises(RateLimited):
        asyncio.run(rates.take("crm"))


def test_several_gateways_count_together_and_each_alone_without_redis(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_rates, "PAUSE_SECONDS", 0.0)
    unshared: list[int] = []
    monkeypatch.setattr(shared_rates.metrics, "count_unshared_limit", lambda: unshared.append(1))

    async def taken(of: SharedRates, client: str, asked: int) -> int:
        """Return how many of so many requests may pass."""
        passed = 0
        for _ in range(asked):
            with contextlib.suppress(RateLimited):
                await of.take(client)
                passed += 1
        return passed

    async def run() -> None:
        first, second = (
            SharedRates(connect_async(redis_server.url, timeout_seconds=5), Rates(per_second=1e-3, burst=5))
            for _ in range(2)
        )
        both = await asyncio.gather(taken(first, "crm", 6), taken(second, "crm", 6))
        assert sum(both) == 5, "however many ask at once"
        assert await taken(second, "another", 6) == 5
        with pytest.raises(RateLimited) as caught:
            await first.take("crm")
        assert 900 < caught.value.seconds <= 1000
        assert not unshared
        redis_server.stop()
        assert [await taken(one, "crm", 6) for one in (first, second)] == [5, 5]
        assert len(unshared) == 12
        redis_server.start()
        assert await taken(first, "crm", 6) + await taken(second, "crm", 6) == 5, "an empty Redis knows nobody"
        assert len(unshared) == 12
        await first.close()
        await second.close()

    asyncio.run(run())


def test_a_shared_bucket_fills_again(redis_server: RedisServer) -> None:
    async def run() -> None:
        rates = SharedRates(connect_async(redis_server.url, timeout_seconds=5), Rates(per_second=1.0, burst=1))
        await rates.take("crm")
        with pytest.raises(RateLimited) as caught:
            await rates.take("crm")
        assert 0 < caught.value.seconds <= 1
        time.sleep(caught.value.seconds + 0.01)
        await rates.take("crm")
        await rates.close()

    asyncio.run(run())


def test_places_come_back_also_after_an_error() -> None:
    places = Places(1)
    with places.one(), pytest.raises(Overloaded):
        places.one().__enter__()
    with pytest.raises(ZeroDivisionError), places.one():
        raise ZeroDivisionError
    with places.one():
        assert places.taken == 1
    assert places.taken == 0


def test_the_breaker_opens_and_one_request_tries_again(clock: Clock) -> None:
    breaker = Breaker(failures=2, seconds=1.0)
    breaker.failed()
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()
    clock.now += 1.0
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    breaker.failed()
    clock.now += 1.0
    assert breaker.allows()
    breaker.succeeded()
    assert all(breaker.allows() for _ in range(3))
