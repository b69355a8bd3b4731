"""Opening the feature store: declarations, the offline store that joins, the online store that answers."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from frontdesk.errors import BadColumns, StorageError, UnreadableFile, UsageError
from frontdesk.feature_repo.entities import ENTITIES
from frontdesk.feature_repo.sdk import (
    DataSource,
    FeatureService,
    FeatureStore,
    FeatureView,
    FileSource,
    OnDemandFeatureView,
    RepoConfig,
    SparkSource,
)
from frontdesk.feature_repo.services import feature_services
from frontdesk.feature_repo.views import CREATED, EVENT_TIMESTAMP, feature_views, on_demand_views
from frontdesk.records.features import FeatureColumns
from frontdesk.settings import settings
from frontdesk.storage import filesystem

PROJECT = "frontdesk"
ONLINE_FILE = "online.db"
_REMEDY = "Set FRONTDESK_FEATURES to the folder of the feature tables"
_BATCH_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Repository:
    """An opened feature store.

    Attributes:
        store: Feast's, with everything of this folder declared.
        root: folder of the feature tables; None where features are only read online, from Redis.
        views, on_demand, services: the declarations by name.
    """

    store: FeatureStore
    root: str | None
    offline: str
    views: dict[str, FeatureView]
    on_demand: dict[str, OnDemandFeatureView]
    services: dict[str, FeatureService]

    def service(self, columns: FeatureColumns) -> FeatureService:
        """Return the service that a mapping names.

        Raises:
            BadColumns: there is no such service, it lacks a feature, or the mapping lacks the key of an entity.
        """
        if (service := self.services.get(columns.service)) is None:
            known = ", ".join(self.services)
            words = f"there is no feature service {columns.service!r}"
            raise BadColumns(words, where="features.service", remedy=f"Services: {known}")
        kinds = {field.name: str(field.dtype) for view in service.feature_view_projections for field in view.features}
        for role, kind in (("categorical", "String"), ("numeric", "Float64")):
            for name in getattr(columns, role):
                if kinds.get(name) != kind:
                    known = ", ".join(name for name, has in kinds.items() if has == kind)
                    words = f"the service {service.name} has no {role} feature {name!r}"
                    raise BadColumns(words, where=f"features.{role}", remedy=f"It has: {known}")
        needed = {entity for view in self.stored_views(service) for entity in view.entities}
        if missing := sorted(needed - set(columns.entities)):
            words = f"the service {service.name} is about {', '.join(missing)} too"
            raise BadColumns(words, where="features.entities", remedy="Name the column that holds its key")
        if beside := sorted(set(columns.entities) - needed):
            words = f"the service {service.name} has nothing of {', '.join(beside)}"
            raise BadColumns(words, where="features.entities", remedy=f"Its entities: {', '.join(sorted(needed))}")
        return service

    def stored_views(self, service: FeatureService) -> list[FeatureView]:
        """Return the stored views that a service's features come from, directly or through on-demand views."""
        names: dict[str, None] = {}
        for projection in service.feature_view_projections:
            names |= dict.fromkeys(self.origins(projection.name))
        return [self.views[name] for name in names]

    def origins(self, view: str) -> list[str]:
        """Return the stored views that a view's values are computed from; a stored one's are its own."""
        if view in self.views:
            return [view]
        return [projection.name for projection in self.on_demand[view].source_feature_view_projections.values()]

    def source_files(self, view: str) -> list[str]:
        """Return the paths of a view's Parquet files, in order. Raises `UsageError` without a folder of tables."""
        if self.root is None:
            raise UsageError("no feature tables are set", remedy=_REMEDY)
        uri = f"{self.root.rstrip('/')}/{view}"
        files, path = filesystem(uri)
        try:
            found = files.get_file_info(pafs.FileSelector(path, allow_not_found=True))
        except OSError as error:
            raise StorageError(f"the feature tables cannot be listed ({type(error).__name__})", where=uri) from error
        names = sorted(info.base_name for info in found if info.is_file and info.base_name.endswith(".parquet"))
        return [f"{uri}/{name}" for name in names]

    @contextmanager
    def offline_session(self, views: list[FeatureView]) -> Iterator[None]:
        """Make the tables of views readable for the offline store within the block.

        Raises:
            UnreadableFile: a view has no table.
        """
        for view in views:
            if not self.source_files(view.name):
                raise UnreadableFile(
                    "there is no feature table", where=f"{self.root}/{view.name}", remedy="Write it, or " + _REMEDY
                )
        with _quiet():
            if self.offline == "duckdb":
                yield
                return
            from frontdesk.preprocessing.spark_session import read_folder, session

            with session() as spark:
                for view in views:
                    columns = [field.name for field in (*view.entity_columns, *view.features)]
                    frame = read_folder(spark, f"{self.root}/{view.name}", [*columns, EVENT_TIMESTAMP, CREATED])
                    frame.createOrReplaceTempView(view.name)
                yield
                # Feast sets it for its own queries; ours quote names that are no patterns.
                spark.conf.unset("spark.sql.parser.quotedRegexColumnNames")


def open_repository(
    root: str | None = None,
    *,
    redis: str | None = None,
    offline: str | None = None,
    timeout_seconds: float = _BATCH_TIMEOUT_SECONDS,
) -> Repository:
    """Open the feature store; what is not given comes from the settings.

    Args:
        root: folder of the feature tables.
        redis: address of the online store; without it, SQLite in ``root``.
        offline: ``duckdb`` or ``spark``.
        timeout_seconds: of one answer of Redis; the default is meant for writing in bulk.

    Raises:
        UsageError: neither a folder nor a Redis is set, or DuckDB is to read ``s3://``.
    """
    root = root if root is not None else settings().features
    redis = redis if redis is not None else settings().redis
    offline = offline or settings().features_offline
    if root is None and redis is None:
        raise UsageError("there is no feature store", remedy=_REMEDY)
    if root is not None and root.startswith("s3://"):
        if offline == "duckdb":
            remedy = "Set FRONTDESK_FEATURES_OFFLINE=spark, or a local folder"
            raise UsageError("DuckDB reads local feature tables only", where=root, remedy=remedy)
        if redis is None:
            raise UsageError("an online store beside tables on s3:// is a Redis", remedy="Set FRONTDESK_REDIS")
    elif root is not None:
        root = str(Path(root).absolute())
        Path(root).mkdir(parents=True, exist_ok=True)
    with _quiet():
        views = feature_views(_file_sources(root or "none") if offline == "duckdb" else _spark_source)
        on_demand = on_demand_views(views)
        services = feature_services(views, on_demand)
        longest = max(view.ttl or timedelta() for view in views.values())
        online = _redis(redis, timeout_seconds, longest) if redis else _sqlite(str(root))
        config = RepoConfig(
            project=PROJECT,
            provider="local",
            registry={
                "registry_store_type": "frontdesk.feature_repo.stores.MemoryRegistryStore",
                "path": "memory",
                "cache_ttl_seconds": 0,  # for ever: nobody else writes it
            },
            offline_store={"type": "duckdb" if offline == "duckdb" else "spark"},
            online_store=online,
            entity_key_serialization_version=3,
        )
        store = FeatureStore(config=config)
        feast = logging.getLogger("feast")
        level = feast.level
        feast.setLevel(logging.ERROR)  # it misses tables that only some uses need
        try:
            store.apply([*ENTITIES, *views.values(), *on_demand.values(), *services.values()])
        finally:
            feast.setLevel(level)
    return Repository(store, root, offline, views, on_demand, services)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Feast's warnings (that parts of it are experimental) from being shown: it resets filters while it runs."""
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("ignore")
        yield


def _redis(url: str, timeout_seconds: float, longest: timedelta) -> dict[str, Any]:
    return {
        "type": "frontdesk.feature_repo.stores.UrlRedisOnlineStore",
        "url": url,
        "timeout_seconds": timeout_seconds,
        "key_ttl_seconds": int(longest.total_seconds()),
    }


def _sqlite(root: str) -> dict[str, Any]:
    path = str(Path(root) / ONLINE_FILE)
    return {"type": "frontdesk.feature_repo.stores.TimedSqliteOnlineStore", "path": path}


def _file_sources(root: str) -> Any:
    def source(view: str) -> DataSource:
        return FileSource(
            name=view,
            path=f"{root}/{view}/*.parquet",
            timestamp_field=EVENT_TIMESTAMP,
            created_timestamp_column=CREATED,
        )

    return source


def _spark_source(view: str) -> DataSource:
    # A temporary view of the session: `Repository.offline_session` makes it through our own door to S3.
    return SparkSource(name=view, table=view, timestamp_field=EVENT_TIMESTAMP, created_timestamp_column=CREATED)
