"""What Feast is told to keep things in: a registry in memory, and two online stores that heed time.

Redis and SQLite here hold the newest row of an entity in any order of writing, and refuse what is not newer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from frontdesk.feature_repo.sdk import (
    FeatureView,
    RedisOnlineStore,
    RedisOnlineStoreConfig,
    Registry,
    RegistryStore,
    RepoConfig,
    SqliteOnlineStore,
    SqliteOnlineStoreConfig,
)
from frontdesk.redis_connection import connect

_KEYS_AT_ONCE = 10_000
"""SQLite takes 32,766 values in one query."""


class MemoryRegistryStore(RegistryStore):  # type: ignore[misc]
    """A registry that lives as long as the process: the declarations in this folder are its only source."""

    def __init__(self, *_: Any) -> None:
        self.update_registry_proto(Registry())

    def get_registry_proto(self) -> Registry:
        """Return a copy of the registry."""
        copy = Registry()
        copy.CopyFrom(self._registry)
        return copy

    def update_registry_proto(self, registry_proto: Registry) -> None:
        """Take a registry over, under a version of its own.

        Feast caches what it lists by version and by place in memory, and a place is used again by a later registry.
        """
        registry_proto.version_id = str(uuid4())
        self._registry = Registry()
        self._registry.CopyFrom(registry_proto)

    def teardown(self) -> None:
        """Forget everything."""
        self.update_registry_proto(Registry())


class UrlRedisOnlineStore(RedisOnlineStore):  # type: ignore[misc]
    """Redis reached by an address (Feast's own form has no room for a comma in a password), with a timeout."""

    def _get_client(self, online_store_config: UrlRedisOnlineStoreConfig) -> Any:
        if self._client is None:
            self._client = connect(online_store_config.url, timeout_seconds=online_store_config.timeout_seconds)
        return self._client


class UrlRedisOnlineStoreConfig(RedisOnlineStoreConfig):  # type: ignore[misc]
    """Settings of `UrlRedisOnlineStore`, found by Feast under this name."""

    type: Literal["frontdesk.feature_repo.stores.UrlRedisOnlineStore"]  # type: ignore[assignment]
    url: str
    timeout_seconds: float


class TimedSqliteOnlineStore(SqliteOnlineStore):  # type: ignore[misc]
    """SQLite that, as Redis does, refuses a row that is not newer than what it holds (Feast's takes any)."""

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[tuple[Any, dict[str, Any], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write the newest row of each entity where it is newer than the stored one."""
        newest: dict[bytes, tuple[Any, dict[str, Any], datetime, datetime | None]] = {}
        for row in data:
            key = row[0].SerializeToString(deterministic=True)
            if key not in newest or _utc(row[2]) > _utc(newest[key][2]):
                newest[key] = row
        rows = list(newest.values())
        stored = [
            found
            for begin in range(0, len(rows), _KEYS_AT_ONCE)
            for found in self.online_read(config, table, [row[0] for row in rows[begin : begin + _KEYS_AT_ONCE]])
        ]
        fresh = [row for row, (when, _) in zip(rows, stored, strict=True) if when is None or _utc(row[2]) > _utc(when)]
        super().online_write_batch(config, table, fresh, None)
        if progress is not None:
            progress(len(data))


class TimedSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):  # type: ignore[misc]
    """Settings of `TimedSqliteOnlineStore`, found by Feast under this name."""

    type: Literal["frontdesk.feature_repo.stores.TimedSqliteOnlineStore"]  # type: ignore[assignment]


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
