"""Where things run: one frozen settings object per process, from the environment (prefix ``FRONTDESK_``).

What a model *is* stands in a recipe's parameters and travels in the bundle; what stands here may differ between a
laptop and a cluster without changing a single result.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from frontdesk.errors import UsageError

S = TypeVar("S", bound=BaseSettings)


class Settings(BaseSettings):
    """Settings of this process.

    S3 credentials and endpoint come from the standard ``AWS_*`` variables.
    """

    model_config = SettingsConfigDict(env_prefix="FRONTDESK_", frozen=True, extra="ignore")

    store: str | None = None
    """Store of snapshots, tensors and bundles: a folder or ``s3://bucket/prefix``. Default: in the run's folder."""
    mlflow: str | None = None
    """MLflow tracking and registry address. Default: SQLite beside the store."""
    approval: Literal["none", "required"] = "none"
    """Whether a person approves a version before `frontdesk run` deploys it."""
    rollout: str | None = None
    """Steps by which a deployed model is replaced, in percent: ``5,25,100``; or a `frontdesk.rollout.Plan` as JSON.
    Default: at once."""
    spark_master: str = "local[*]"
    spark_memory: str = "2g"
    """Heap of the driver, which is also the executor in local mode."""
    spark_jars: str = ""
    """Comma-separated jars of ``s3a``. Without them, Spark reaches ``s3://`` through the Python data source."""
    database: str | None = None
    """SQLAlchemy address of keys, predictions and feedback. Default: ``frontdesk.db`` in the working folder."""
    models: dict[str, str] = {}
    """Private address of the model server of each recipe, as JSON, and of served names that have one of their own.
    Default: ``http://127.0.0.1:8080`` for all."""
    monitoring: str | None = None
    """File of what is watched and when a recipe is trained again (YAML, ``docs/retraining.md``). Default: built in."""
    kfp: str | None = None
    """Address of the Kubeflow Pipelines server that runs pipelines. Default: they run on this machine."""
    kfp_namespace: str | None = None
    """Namespace of the pipelines on a server with several users."""
    kfp_token_file: str | None = None
    """File of the bearer token for that server. Default: none is sent."""
    policy: str | None = None
    """Policy file that overrides the decisions of served bundles (``docs/decisions.md``). Default: the bundles' own."""
    taxonomy: str | None = None
    """Label file whose newest labels served bundles answer in (``docs/labels.md``), and that rollouts expect of them.
    Default: the labels that each was trained with."""
    redis: str | None = None
    """Address of a Redis that holds the Markov table for every server of the intent recipe, and features for serving.
    Default: the bundle's table, and a SQLite file beside the feature tables."""
    features: str | None = None
    """Folder of the feature tables, one folder of Parquet per feature view; ``s3://`` where Spark reads them."""
    features_offline: Literal["duckdb", "spark"] = "duckdb"
    """What joins features to training rows: DuckDB inside this process, or Spark."""
    features_deadline_ms: float = 10.0
    """How long a request waits for its features before it is answered without them."""
    masking_key_file: str | None = None
    """File of the key that turns personal data of mails into pseudonyms. Default: plain placeholders."""
    device: str = "auto"
    """``auto``, ``cpu`` or ``cuda``."""
    threads: int = 2
    """Compute threads of training. Fixed, because sums in another order give other bits."""
    log_level: str = "INFO"
    image: str = "registry.example.com/frontdesk/python-pipelines:0.1.0"
    """Image of the pipeline steps on a cluster."""


@functools.cache
def settings() -> Settings:
    """Return the settings of this process, read once. Raises `UsageError` for a wrong one."""
    return read_settings(Settings)


def read_settings(kind: type[S], **given: Any) -> S:
    """Read settings from the environment.

    Args:
        kind: which ones.
        given: values that stand in place of the environment's.

    Raises:
        UsageError: names the variable that is wrong, without its value.
    """
    prefix = kind.model_config.get("env_prefix", "")
    try:
        return kind(**given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name, *inside = (str(part) for part in first["loc"])
        raise UsageError(first["msg"], where=".".join([f"{prefix}{name}".upper(), *inside])) from None
    except SettingsError as error:
        name = next((field for field in kind.model_fields if f'"{field}"' in str(error)), "*")
        raise UsageError("is not JSON", where=f"{prefix}{name}".upper()) from None


def masking_key() -> bytes | None:
    """Return the key of the pseudonyms, None where none is set. Raises `UsageError` for a key that is too short."""
    if (path := settings().masking_key_file) is None:
        return None
    from frontdesk.text.masking import read_key

    return read_key(Path(path))
