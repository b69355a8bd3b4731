"""What the steps of a pipeline get on a cluster: a file, checked to the letter, and its way into the compiled pipeline.

.. code-block:: yaml

    format: 1
    image: registry.example.com/frontdesk/python-pipelines:0.1.0
    service_account: frontdesk-pipelines
    environment: {FRONTDESK_SERVING_NAMESPACE: frontdesk}
    secrets: {frontdesk-s3: {AWS_ACCESS_KEY_ID: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: AWS_SECRET_ACCESS_KEY}}
    steps: {train: {cpu: "8", memory: 32Gi}}

Secrets are named, never written down: what stands in a compiled pipeline, everybody who sees the pipeline can read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from kfp import dsl, kubernetes
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from frontdesk.errors import UsageError
from frontdesk.settings import settings
from frontdesk.yaml_file import read_yaml

OLD = "2.0"
_SECRET_NAME = re.compile(r"(PASSWORD|SECRET|TOKEN|ACCESS_KEY|API_KEY)$")
_SECRET_ADDRESS = re.compile(r"://[^/@:]*:[^/@]+@")
_OF_NEWER = ("image_pull_secrets", "config_maps", "tolerations", "security")

_Quantity = Annotated[str, Field(pattern=r"^\d+(\.\d+)?(m|[kMGT]i?)?$"), BeforeValidator(lambda value: _text(value))]
_Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
_Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


def _text(value: Any) -> Any:
    """Return a number of YAML as the text that was meant."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _no_secret(variables: dict[str, str]) -> dict[str, str]:
    for name, value in variables.items():
        if _SECRET_NAME.search(name.upper()) or _SECRET_ADDRESS.search(value):
            raise ValueError(f"{name} is a secret: name a Secret that holds it under secrets")
    return variables


_Variables = Annotated[
    dict[_Variable, Annotated[str, BeforeValidator(_text)]],
    AfterValidator(_no_secret),
]


_Keys = dict[_Name, dict[str, _Variable]]
_Folders = dict[_Name, Annotated[str, Field(pattern="^/.")]]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Share(_Entry):
    """What one step asks of a cluster: requests and limits in Kubernetes units, and its longest time.

    Attributes:
        environment, secrets, secret_files: what it gets besides what every step gets, as a key that only it needs.
    """

    cpu: _Quantity
    memory: _Quantity
    cpu_limit: _Quantity
    memory_limit: _Quantity
    hours: Annotated[int, Field(ge=1)]
    environment: _Variables = {}
    secrets: _Keys = {}
    secret_files: _Folders = {}


class Toleration(_Entry):
    """A taint of nodes that steps may run on all the same."""

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Security(_Entry):
    """Who the steps run as; never root."""

    user: Annotated[int, Field(ge=1)]
    group: Annotated[int, Field(ge=1)]


_SHARES = {
    "etl": Share(cpu="2", memory="4Gi", cpu_limit="4", memory_limit="8Gi", hours=2),
    "spark_preprocess": Share(cpu="4", memory="8Gi", cpu_limit="8", memory_limit="16Gi", hours=4),
    "data_transfer": Share(cpu="1", memory="1Gi", cpu_limit="2", memory_limit="2Gi", hours=2),
    "train": Share(cpu="8", memory="32Gi", cpu_limit="16", memory_limit="64Gi", hours=24),
    "fuse": Share(cpu="4", memory="16Gi", cpu_limit="8", memory_limit="32Gi", hours=4),
    "gate": Share(cpu="1", memory="4Gi", cpu_limit="2", memory_limit="8Gi", hours=1),
    # A person may take a week to approve.
    "deploy": Share(cpu="500m", memory="2Gi", cpu_limit="2", memory_limit="4Gi", hours=192),
    "hold": Share(cpu="500m", memory="2Gi", cpu_limit="2", memory_limit="4Gi", hours=1),
    "materialise": Share(cpu="2", memory="4Gi", cpu_limit="4", memory_limit="8Gi", hours=2),
    "monitor": Share(cpu="1", memory="2Gi", cpu_limit="2", memory_limit="4Gi", hours=1),
    "retrain": Share(cpu="500m", memory="2Gi", cpu_limit="2", memory_limit="4Gi", hours=1),
}


class Cluster(_Entry):
    """What KFP takes when a pipeline is compiled, not when it runs.

    Attributes:
        backend: ``2.0`` for a server of that release, which refuses or ignores much of what later ones take.
        image: of every step; None for the one of the settings.
        image_pull_secrets: Secrets of the image's registry.
        service_account: of the runs; KFP knows none per step. None for the server's own.
        environment: variables of every step; never a secret.
        secrets: ``{Secret: {key: variable}}`` that every step gets.
        secret_files: ``{Secret: folder}`` that every step finds a Secret's keys in, a file each.
        config_maps: ``{ConfigMap: {key: variable}}`` likewise.
        volume: persistent volume claim that is the training node's disk; transfer, train and fuse share it.
        mount: where the claim is mounted.
        accelerator: resource name of the GPUs of `train`.
        accelerators: how many; 0 trains on CPUs.
        retries: further attempts of a step that failed, after 30 seconds, doubling to 10 minutes.
        node_selector, tolerations: where steps may run.
        security: who they run as; None for what the image says.
        steps: what each step asks for; a step or a value that is left out keeps its default.
    """

    format: Literal[1] = 1
    backend: Annotated[Literal["current", "2.0"], BeforeValidator(_text)] = "current"
    image: str | None = None
    image_pull_secrets: tuple[_Name, ...] = ()
    service_account: _Name | None = None
    environment: _Variables = {}
    secrets: _Keys = {}
    secret_files: _Folders = {}
    config_maps: _Keys = {}
    volume: _Name = "frontdesk-work"
    mount: Annotated[str, Field(pattern="^/.")] = "/var/lib/frontdesk"
    accelerator: str = "nvidia.com/gpu"
    accelerators: Annotated[int, Field(ge=0)] = 1
    retries: Annotated[int, Field(ge=0)] = 2
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    security: Security | None = None
    steps: dict[str, Share] = _SHARES

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, content: Any) -> Any:
        steps = content.get("steps") if isinstance(content, Mapping) else None
        if not isinstance(steps, Mapping):
            return content
        if strange := sorted(set(steps) - set(_SHARES)):
            raise ValueError(f"there is no step {strange[0]}; they are {', '.join(_SHARES)}")
        merged = {
            name: share.model_dump() | steps[name] if isinstance(steps.get(name), Mapping) else steps.get(name, share)
            for name, share in _SHARES.items()
        }
        return {**content, "steps": merged}

    @model_validator(mode="after")
    def _can_be_had(self) -> Cluster:
        given = [name for name in _OF_NEWER if getattr(self, name)]
        if self.backend == OLD and given:
            raise ValueError(f"a server of release {OLD} gives steps no {given[0]}")
        return self


def cluster_of(address: str | None) -> Cluster:
    """Read a file, without one that of the settings, without that too the defaults.

    Raises:
        UnreadableFile: it is missing, or not YAML.
        UsageError: names the value that is wrong.
    """
    address = address or settings().cluster
    if address is None:
        return Cluster()
    content = read_yaml(address, "the cluster file")
    try:
        return Cluster.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join([address.rpartition("/")[2], *map(str, first["loc"])])
        raise UsageError(first["msg"].removeprefix("Value error, "), where=where) from None


def place(task: dsl.PipelineTask, name: str, cluster: Cluster) -> None:
    """Say what a step's pod needs, gets and is, and how often it is tried."""
    share = cluster.steps[name]
    task.set_cpu_request(share.cpu).set_cpu_limit(share.cpu_limit)
    task.set_memory_request(share.memory).set_memory_limit(share.memory_limit)
    task.set_retry(cluster.retries, backoff_duration="30s", backoff_factor=2, backoff_max_duration="600s")
    kubernetes.set_timeout(task, share.hours * 3600)
    if name == "train" and cluster.accelerators:
        task.set_accelerator_type(cluster.accelerator).set_accelerator_limit(cluster.accelerators)
        kubernetes.add_toleration(task, key=cluster.accelerator, operator="Exists", effect="NoSchedule")
    for key, value in cluster.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for one in cluster.tolerations:
        kubernetes.add_toleration(task, **one.model_dump())
    _give(task, cluster, share)


def _give(task: dsl.PipelineTask, cluster: Cluster, share: Share) -> None:
    if cluster.image is not None:
        task.set_container_image(cluster.image)
        task.set_env_variable("FRONTDESK_IMAGE", cluster.image)  # of Spark's executors and of the nodes of a training
    if cluster.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(cluster.image_pull_secrets))
    if cluster.security is not None:
        user, group = cluster.security.user, cluster.security.group
        kubernetes.set_security_context(task, run_as_user=user, run_as_group=group, run_as_non_root=True)
    if cluster.service_account is not None:  # a step that starts a run starts it as the same account
        task.set_env_variable("FRONTDESK_KFP_SERVICE_ACCOUNT", cluster.service_account)
    for variable, value in {**cluster.environment, **share.environment}.items():
        task.set_env_variable(variable, value)
    for name, keys in [*cluster.secrets.items(), *share.secrets.items()]:
        kubernetes.use_secret_as_env(task, secret_name=name, secret_key_to_env=dict(keys))
    for name, folder in [*cluster.secret_files.items(), *share.secret_files.items()]:
        kubernetes.use_secret_as_volume(task, secret_name=name, mount_path=folder)
    for name, keys in cluster.config_maps.items():
        kubernetes.use_config_map_as_env(task, config_map_name=name, config_map_key_to_env=dict(keys))
