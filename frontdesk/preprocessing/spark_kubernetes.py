"""Spark on Kubernetes: the driver is a step's process, the executors are pods of the same image.

Everything here is a pure function of the settings, of the driver's place and of its environment; nothing imports
pyspark. What the objects are allowed to do and how they are cleaned up is told in ``docs/spark.md``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frontdesk.errors import UsageError
from frontdesk.pod import STORE_ENVIRONMENT, STORE_KEYS, own_address, own_name, own_namespace, restricted_container
from frontdesk.settings import SparkOnKubernetes
from frontdesk.storage import canonical_json

MASTER = "k8s"
"""Short for the API server of the cluster that this process runs in."""
_API_SERVER = "k8s://https://kubernetes.default.svc"
_CONTAINER = "spark-executor"
_USER = 1000


@dataclass(frozen=True)
class Driver:
    """Where the driver runs.

    Attributes:
        pod: its name; the executors are owned by it.
        namespace: of the pod.
        host: address at which executors reach it.
        python: its interpreter, which is also theirs: one image.
        user: numeric user of the executors.
    """

    pod: str
    namespace: str
    host: str
    python: str
    user: int


def find_driver(settings: SparkOnKubernetes) -> Driver:
    """Return where this process runs; what the settings say goes first.

    Raises:
        UsageError: this is no pod, and the settings do not say what stands in its place.
    """
    namespace = settings.namespace or own_namespace()
    if namespace is None:
        raise UsageError(
            "this process runs in no pod, so the namespace of Spark's executors is unknown",
            where="FRONTDESK_SPARK_NAMESPACE",
            remedy="Run the step on the cluster, or choose FRONTDESK_SPARK_MASTER=local[*]",
        )
    return Driver(
        pod=settings.driver_pod or own_name(),
        namespace=own_namespace() or namespace,
        host=settings.driver_host or own_address(),
        python=sys.executable,
        user=os.getuid() or _USER,
    )


def is_kubernetes(master: str) -> bool:
    """Return whether a master's workers are pods."""
    return master == MASTER or master.startswith("k8s://")


def configuration(
    master: str,
    settings: SparkOnKubernetes,
    driver: Driver,
    *,
    image: str,
    template: Path,
    environment: Mapping[str, str],
) -> dict[str, str]:
    """Return Spark's configuration for executors as pods.

    Args:
        master: ``k8s`` or ``k8s://https://host:port``.
        settings: sizes, names, ports.
        driver: see `find_driver`.
        image: of the executors, where the settings name none.
        template: file with the content of `pod_template`.
        environment: of the driver; see `frontdesk.pod.STORE_ENVIRONMENT`.
    """
    values = {
        "spark.master": _API_SERVER if master == MASTER else master,
        "spark.submit.deployMode": "client",
        "spark.driver.host": driver.host,
        "spark.driver.bindAddress": driver.host,
        "spark.driver.port": str(settings.driver_port),
        "spark.blockManager.port": str(settings.block_port),
        "spark.port.maxRetries": "0",  # a port beside the one that a network policy names would only hang
        # Who reaches the driver's port could otherwise run code in it. Spark makes the secret anew for every session.
        "spark.authenticate": "true",
        "spark.network.crypto.enabled": "true",
        "spark.kubernetes.namespace": settings.namespace or driver.namespace,
        "spark.kubernetes.container.image": settings.image or image,
        "spark.kubernetes.executor.podTemplateFile": str(template),
        "spark.kubernetes.executor.podTemplateContainerName": _CONTAINER,
        "spark.kubernetes.executor.request.cores": settings.executor_cpu,
        # The template carries what the executors need, so the driver needs no right to make ConfigMaps, Services or
        # volume claims: pods are all that it creates.
        "spark.kubernetes.executor.disableConfigMap": "true",
        "spark.kubernetes.driver.service.deleteOnTermination": "false",
        "spark.kubernetes.driver.ownPersistentVolumeClaim": "false",
        "spark.kubernetes.driver.reusePersistentVolumeClaim": "false",
        "spark.executor.instances": str(settings.executors),
        "spark.executor.cores": str(settings.executor_cores),
        "spark.executor.memory": settings.executor_memory,
        "spark.executor.memoryOverhead": settings.executor_overhead,
        "spark.sql.shuffle.partitions": str(max(8, 2 * settings.executors * settings.executor_cores)),
        "spark.dynamicAllocation.enabled": "false",
    }
    if (settings.namespace or driver.namespace) == driver.namespace:  # no owner lives in another namespace
        values["spark.kubernetes.driver.pod.name"] = driver.pod
    if settings.executor_service_account:
        values["spark.kubernetes.authenticate.executor.serviceAccountName"] = settings.executor_service_account
    for name in STORE_ENVIRONMENT:
        if value := environment.get(name):
            values[f"spark.executorEnv.{name}"] = value
    if settings.s3_secret_name:
        for key in STORE_KEYS:
            values[f"spark.kubernetes.executor.secretKeyRef.{key}"] = f"{settings.s3_secret_name}:{key}"
    return values


def pod_template(driver: Driver) -> dict[str, Any]:
    """Return the pod that executors are made of: admitted under Pod Security ``restricted``, without API rights."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "labels": {
                "app.kubernetes.io/name": "frontdesk",
                "app.kubernetes.io/part-of": "frontdesk",
                "app.kubernetes.io/component": "spark-executor",
                "app.kubernetes.io/managed-by": "spark",
            }
        },
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": driver.user,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": _CONTAINER,
                    "command": [driver.python, "-m", "frontdesk.preprocessing.spark_container"],
                    "securityContext": restricted_container(),
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
                }
            ],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }


def write_template(driver: Driver, path: Path) -> Path:
    """Write the pod template as Spark reads it: JSON is YAML."""
    path.write_bytes(canonical_json(pod_template(driver)))
    return path
