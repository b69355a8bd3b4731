"""What is taken on: rates, places, and the breaker in front of a model server."""

from __future__ import annotations

import pytest

from frontdesk.errors import Overloaded, RateLimited
from frontdesk.serving.gateway import limits, models
from frontdesk.serving.gateway.limits import Places, Rates
from frontdesk.serving.gateway.models import Breaker


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
        rates.take("crm")
    with pytest.raises(RateLimited) as caught:
        rates.take("crm")
    assert caught.value.seconds == pytest.approx(0.5)
    rates.take("another")
    clock.now += 0.5
    rates.take("crm")
    with pytest.raises(RateLimited):
        rates.take("crm")
    clock.now += 60
    for _ in range(3):
        rates.take("crm")
    with pytest.raises(RateLimited):
        rates.take("crm")


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
