"""The door to Redis: clients that give up early, and the error that all of them raise."""

from __future__ import annotations

from typing import Any

from redis import Redis, RedisError
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

__all__ = ["AsyncRedis", "Redis", "RedisError", "connect", "connect_async"]


def connect(url: str, *, timeout_seconds: float = 0.05) -> Redis:
    """Return a client that gives up early: what comes late is of no use to a request."""
    return Redis.from_url(url, retry=Retry(NoBackoff(), 0), **_options(timeout_seconds))


def connect_async(url: str, *, timeout_seconds: float) -> AsyncRedis:
    """Return such a client for an event loop."""
    return AsyncRedis.from_url(url, retry=AsyncRetry(NoBackoff(), 0), **_options(timeout_seconds))


def _options(seconds: float) -> dict[str, Any]:
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds, "health_check_interval": 0}
