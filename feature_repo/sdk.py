"""The door to Feast's SDK.

Feast imports torch where it is installed, which costs seconds and gigabytes on the serving path and is needed for
tensors only. It does without where the import fails, so it is imported here with torch out of sight. It also turns the
Prometheus client of the process, and of every process started from it, to files in a folder of its own; that is undone.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _without_torch() -> Iterator[None]:
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop("torch", None)


@contextmanager
def _environment_kept() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]


# Loaded before Feast changes its environment, it keeps its values in memory.
importlib.import_module("prometheus_client")

with _without_torch(), _environment_kept(), warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource, RequestSource
    from feast.data_source import DataSource, PushMode
    from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
    from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
    from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
    from feast.infra.registry.registry_store import RegistryStore
    from feast.on_demand_feature_view import OnDemandFeatureView
    from feast.protos.feast.core.Registry_pb2 import Registry
    from feast.repo_config import RepoConfig
    from feast.transformation.python_transformation import PythonTransformation
    from feast.types import Float64, String
    from feast.value_type import ValueType

__all__ = [
    "DataSource",
    "Entity",
    "FeatureService",
    "FeatureStore",
    "FeatureView",
    "Field",
    "FileSource",
    "Float64",
    "OnDemandFeatureView",
    "PushMode",
    "PushSource",
    "PythonTransformation",
    "RedisOnlineStore",
    "RedisOnlineStoreConfig",
    "Registry",
    "RegistryStore",
    "RepoConfig",
    "RequestSource",
    "SparkSource",
    "SqliteOnlineStore",
    "SqliteOnlineStoreConfig",
    "String",
    "ValueType",
]
