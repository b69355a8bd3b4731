"""The Markov table in Redis: generations that switch at one moment, and one round trip per batch of requests.

A generation is one hash, ``<prefix>:<generation>``, from 8-byte keys to `codec` values; ``<prefix>:current`` names the
one to read. A table is written under a new name, counted, and only then named current, in one transaction that also
lets the old generation expire. A reader asks the hash that it knows and the pointer together: every answer comes from
one whole generation, and a reader that sees another name asks again, once per switch. The prefix holds the tokeniser's
digest, because token ids of another tokeniser mean other things. Each hash holds one field more, its seal: a generation
that Redis has evicted is an error, and no table without entries.
"""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass

import numpy as np

from frontdesk.errors import StorageError
from frontdesk.intent.codec import decode, encode
from frontdesk.intent.markov import Found, MarkovTable, NextIntents
from frontdesk.redis_connection import Redis, RedisError

KEEP_OLD_SECONDS = 3600
"""A reader that has not asked for so long is told the new name before it reads anything old."""
PAUSE_SECONDS = 3.0
"""A store that does not answer costs one request in so long its timeout."""
_WRITING_SECONDS = 24 * 3600
_KEYS_AT_ONCE = 2_000
_ATTEMPTS = 3
_SEAL = b"seal"


def prefix_of(tokenizer_digest: str, context: str = "all") -> str:
    """Return the prefix of a tokeniser's generations. The braces keep them on one node of a cluster."""
    return f"frontdesk:intent:{{{tokenizer_digest[:16]}:{context}}}"


def publish(client: Redis, prefix: str, table: MarkovTable) -> str:
    """Write a table as a new generation and make it the current one. Doing it twice changes nothing.

    Returns:
        The generation's name, a digest of its content.

    Raises:
        StorageError: Redis does not answer, or has not kept every key; the current generation stays.
    """
    digest = hashlib.sha256()
    for array in table.arrays().values():
        digest.update(np.ascontiguousarray(array).tobytes())
    generation = digest.hexdigest()[:16]
    name = f"{prefix}:{generation}"
    pointer = f"{prefix}:current"
    fields = [key.tobytes() for key in table.keys.astype(">u8")]
    try:
        old = client.get(pointer)
        if old == generation.encode() and client.hlen(name) == len(fields) + 1:
            return generation
        for begin in range(0, max(len(fields), 1), _KEYS_AT_ONCE):
            end = min(begin + _KEYS_AT_ONCE, len(fields))
            values = dict(zip(fields[begin:end], encode(table, begin, end), strict=True))
            pipeline = client.pipeline(transaction=False)
            pipeline.hset(name, mapping=values | {_SEAL: generation.encode()})
            pipeline.expire(name, _WRITING_SECONDS)  # a writer that dies leaves nothing for ever
            pipeline.execute()
        if client.hlen(name) != len(fields) + 1:
            raise StorageError("Redis has not kept every key of the new generation", where=name)
        switch = client.pipeline(transaction=True)
        switch.persist(name)
        switch.set(pointer, generation)
        if isinstance(old, bytes) and old != generation.encode():
            switch.expire(f"{prefix}:{old.decode()}", KEEP_OLD_SECONDS)
        switch.execute()
    except RedisError as error:
        raise StorageError(f"Redis did not take the table ({type(error).__name__})", where=name) from error
    return generation


class RedisTable:
    """The Markov table of the current generation. Safe to share between threads."""

    def __init__(self, client: Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._generation: bytes | None = None

    def look_up(self, keys: np.ndarray) -> Found:
        """Return what followed the keys, uint64 [N, M], all from one generation, in one round trip.

        Raises:
            StorageError: Redis does not answer, or holds no generation.
        """
        fields = [_SEAL, *(key.tobytes() for key in keys.ravel().astype(">u8"))]
        try:
            for _ in range(_ATTEMPTS):
                known = self._generation
                pipeline = self._client.pipeline(transaction=False)
                pipeline.get(f"{self._prefix}:current")
                if known is not None:
                    pipeline.hmget(f"{self._prefix}:{known.decode()}", fields)
                current, *values = pipeline.execute()
                if current is None:
                    raise StorageError("Redis holds no Markov table", where=self._prefix, remedy="Publish one")
                if known is not None and current == known:
                    seal, *found = values[0]
                    if seal != known:
                        raise StorageError("Redis has lost the Markov table", where=self._prefix, remedy="Publish it")
                    return decode(found, (keys.shape[0], keys.shape[1]))
                self._generation = current
        except RedisError as error:
            raise StorageError(f"Redis does not answer ({type(error).__name__})", where=self._prefix) from error
        raise StorageError("the current generation changes with every request", where=self._prefix)


@dataclass(frozen=True)
class Answer:
    """What a guarded store found, and whether it had to fall back to the bundle's table."""

    found: Found
    degraded: bool


class GuardedTable:
    """A store with the bundle's own table behind it. Safe to share between threads.

    After a failure the store is left alone for a moment, and then asked by one request at a time until it answers, so
    that its timeouts do not become everybody's latency.
    """

    def __init__(self, store: NextIntents, bundled: MarkovTable, *, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._store = store
        self._bundled = bundled
        self._pause_seconds = pause_seconds
        self._again_at = 0.0
        self._lock = threading.Lock()
        self.failures = 0

    def ask(self, keys: np.ndarray) -> Answer:
        """Return what followed the keys, uint64 [N, M]; from the bundle, and marked, where the store fails."""
        if self._may_ask():
            try:
                found = self._store.look_up(keys)
                self._again_at = 0.0
                return Answer(found, degraded=False)
            except StorageError:
                with self._lock:
                    self.failures += 1
                    self._again_at = time.monotonic() + self._pause_seconds
        return Answer(self._bundled.look_up(keys), degraded=True)

    def _may_ask(self) -> bool:
        if not self._again_at:
            return True
        with self._lock:
            now = time.monotonic()
            if now < self._again_at:
                return False
            self._again_at = now + self._pause_seconds  # the others go on without it meanwhile
            return True
