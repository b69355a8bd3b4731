"""Limits that several gateways count together: a token bucket per client in Redis, taken from by one atomic script.

The script goes by Redis's clock, so that the clocks of the gateways do not matter. Where Redis does not answer, each
gateway counts for itself, says so in its metrics, and asks Redis again after a pause.
"""

from __future__ import annotations

import hashlib
import logging
import time

from frontdesk.logs import event
from frontdesk.redis_connection import AsyncRedis, RedisError
from frontdesk.serving.gateway import metrics
from frontdesk.serving.gateway.limits import Rates, too_often

PAUSE_SECONDS = 3.0
_TAKE = """
local per_second, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(bucket[1]) or burst, tonumber(bucket[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - at) * per_second)
if tokens < 1 then
    return string.format('%.6f', (1 - tokens) / per_second)
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens - 1), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(1000 * burst / per_second) + 1000)
return '0'
"""
"""Takes a token and returns 0, or the seconds until there is one. A bucket that is full again expires."""
_log = logging.getLogger(__name__)


class SharedRates:
    """A token bucket per client for all gateways that share a Redis. Belongs to one event loop.

    Args:
        client: of Redis.
        alone: counts while Redis does not answer; also says how much a client may ask.
    """

    def __init__(self, client: AsyncRedis, alone: Rates) -> None:
        self._client, self._alone = client, alone
        self._script = client.register_script(_TAKE)
        self._again_at = 0.0

    async def take(self, client: str) -> None:
        """Take a token. Raises `RateLimited` with the seconds until there is one."""
        if time.monotonic() >= self._again_at:
            try:
                seconds = await self._ask(client)
            except RedisError as error:
                self._again_at = time.monotonic() + PAUSE_SECONDS
                event(_log, "limits_unshared", logging.WARNING, reason=type(error).__name__)
            else:
                if seconds > 0:
                    raise too_often(seconds)
                return
        metrics.count_unshared_limit()
        await self._alone.take(client)

    async def _ask(self, client: str) -> float:
        key = f"frontdesk:rate:{hashlib.sha256(client.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
        return float(await self._script(keys=[key], args=[self._alone.per_second, self._alone.burst]))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
