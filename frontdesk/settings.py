"""Where things run: one frozen settings object per process, from the environment (prefix ``FRONTDESK_``).

What a model *is* stands in a recipe's parameters and travels in the bundle; what stands here may differ between a
laptop and a cluster without changing a single result.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, ValidationError
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
    """``local[N]``; any master that Spark knows; ``k8s``, the cluster that this pod runs in (`SparkOnKubernetes`)."""
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
    kfp_service_account: str | None = None
    """Service account of the runs on that server. Default: the server's own."""
    cluster: str | None = None
    """File of what pipeline steps get on a cluster (YAML, ``docs/pipelines.md``). Default: built in."""
    serving_namespace: str | None = None
    """Namespace whose InferenceServices the deploy step changes (``docs/pipelines.md``). Default: it changes none."""
    serving_seconds: float = 600.0
    """How long a new model may take until its InferenceService answers; then the former one comes back."""
    policy: str | None = None
    """Policy file that overrides the decisions of served bundles (``docs/decisions.md``). Default: the bundles' own."""
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
    signing_key_file: str | None = None
    """File of the private key (PEM, ECDSA P-256) that signs every bundle which is written here (``docs/trust.md``)."""
    signing_password_file: str | None = None
    """File of that key's password. Default: it has none."""
    verify_key_file: str | None = None
    """File of one or more public keys (PEM). Set, no bundle is opened that none of them signed."""
    device: str = "auto"
    """``auto``, ``cpu`` or ``cuda``."""
    threads: int = 2
    """Compute threads of training. Fixed, because sums in another order give other bits."""
    log_level: str = "INFO"
    image: str = "registry.example.com/frontdesk/python-pipelines:0.1.0"
    """Image of the pipeline steps on a cluster."""


_Memory = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*[mg]$")]
_Quantity = Annotated[str, StringConstraints(pattern=r"^([1-9][0-9]*m|[0-9]*\.?[0-9]*[1-9][0-9]*)$")]
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
_LEAST_HEAP_MIB = 512
_Port = Annotated[int, Field(ge=1024, le=65535)]


def _enough_heap(size: str) -> str:
    if size.endswith("m") and int(size[:-1]) < _LEAST_HEAP_MIB:
        raise ValueError(f"Spark takes no heap of less than {_LEAST_HEAP_MIB}m")
    return size


class SparkOnKubernetes(BaseSettings):
    """Executors as pods, beside a driver that runs in a step's pod (``docs/spark.md``)."""

    model_config = SettingsConfigDict(env_prefix="FRONTDESK_SPARK_", frozen=True, extra="ignore")

    namespace: _Name | None = None
    """Where the executors run. Default: the driver's own namespace."""
    image: str | None = None
    """Image of the executors: the driver's own. Default: ``FRONTDESK_IMAGE``."""
    executors: int = Field(2, ge=1)
    executor_cores: int = Field(1, ge=1)
    """Tasks that an executor computes at once."""
    executor_cpu: _Quantity = "1"
    """Processor time that an executor's pod asks for; it may use more where the node has it."""
    executor_memory: Annotated[_Memory, AfterValidator(_enough_heap)] = "1g"
    """Heap of an executor."""
    executor_overhead: _Memory = "1g"
    """Memory of an executor's pod beside the heap: its Python processes, one per core."""
    executor_service_account: _Name | None = None
    """Service account of the executors, for the pull secrets of their image: they get no token of it. Default: the
    namespace's."""
    s3_secret_name: _Name | None = None
    """Secret with ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY`` that executors reach the store with. Default:
    none, where the nodes themselves are allowed to."""
    driver_pod: _Name | None = None
    """Pod of the driver, which owns the executors. Default: what Kubeflow Pipelines says, else the host's name."""
    driver_host: str | None = None
    """Address at which executors find the driver. Default: the pod's own."""
    driver_port: _Port = 7078
    block_port: _Port = 7079
    """Of the block managers, the driver's and the executors'. Both ports are fixed for network policies."""


class TrainNodes(BaseSettings):
    """Training by several pods, started by the train step (``docs/training-nodes.md``)."""

    model_config = SettingsConfigDict(env_prefix="FRONTDESK_TRAIN_", frozen=True, extra="ignore")

    nodes: int = Field(1, ge=1, le=1024)
    """How many. With one, the step trains by itself. It decides how long a training takes, not what comes out."""
    processes: int = Field(1, ge=1, le=64)
    """Processes per node: as many as it has GPUs."""
    kind: Literal["TrainJob", "PyTorchJob"] = "TrainJob"
    """Object that starts them: of Kubeflow Trainer (v2), or of the Training Operator (v1)."""
    backend: Literal["auto", "gloo", "nccl"] = "auto"
    """How the processes talk: ``nccl`` between GPUs, ``gloo`` otherwise; ``auto`` by what a node has."""
    namespace: _Name | None = None
    """Default: the step's own."""
    service_account: _Name | None = None
    """Of the nodes' pods, for the pull secrets of their image: they get no token of it. Default: the namespace's."""
    s3_secret_name: _Name | None = None
    """Secret with ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY`` for the store. Default: none."""
    cpu: _Quantity = "8"
    memory: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(Mi|Gi)$")] = "32Gi"
    accelerator: str = "nvidia.com/gpu"
    accelerators: int = Field(0, ge=0)
    """GPUs per node, by the resource's name; 0 trains on processors."""
    restarts: int = Field(3, ge=0)
    """How often all nodes are started anew, from the checkpoint, after one of them ended."""
    hours: int = Field(24, ge=1)


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
