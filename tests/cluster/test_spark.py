"""Spark on Kubernetes: executors as pods give what `local[2]` gives, one of them may die, and nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from frontdesk.preprocessing.spark_kubernetes import Driver, pod_template
from frontdesk.records import DEFAULT_TICKET_COLUMNS
from frontdesk.storage import Store
from tests.chart.rendering import named, rendered
from tests.cluster.kubectl import Kubectl, until
from tests.cluster.release import Images, S3Address, s3_secret
from tests.hostile import hostile_rows
from tests.snapshot_folder import put_snapshot

pytestmark = pytest.mark.cluster

PYTHON = "/opt/frontdesk/bin/python"
PATIENCE = 400.0
"""Seconds for what needs a Java virtual machine on a small, busy node; a quiet one takes a quarter of it."""
EXECUTORS = "spark-role=executor"
ACCOUNT = "frontdesk-pipelines"
SETTINGS = {
    "FRONTDESK_SPARK_MASTER": "k8s",
    "FRONTDESK_SPARK_MEMORY": "512m",
    "FRONTDESK_SPARK_EXECUTORS": "2",
    "FRONTDESK_SPARK_EXECUTOR_CPU": "200m",
    "FRONTDESK_SPARK_EXECUTOR_MEMORY": "512m",
    "FRONTDESK_SPARK_EXECUTOR_OVERHEAD": "300m",
    "FRONTDESK_SPARK_S3_SECRET_NAME": "frontdesk-s3",
}
# Half way, a pod's step waits for what the test does to its executors.
PREPROCESS = """
import json, os, sys, time
from pathlib import Path
from frontdesk.preprocessing import spark
from frontdesk.storage import Store
from frontdesk.ticket.recipe import TicketParameters

def report(step):
    print("step", step, flush=True)
    while step == 2 and os.environ["FRONTDESK_SPARK_MASTER"] == "k8s" and not Path("/tmp/go").exists():
        time.sleep(0.2)

spark._report = report
made = spark.preprocess(Store(sys.argv[1]), "tickets", TicketParameters(max_tokens=16))
print("made", json.dumps({"spec": made["spec"], "files": made["files"]}), flush=True)
"""
WAIT = """
import time
from frontdesk.preprocessing.spark_session import session

with session() as spark:
    print("rows", spark.range(1000, numPartitions=2).selectExpr("sum(id)").first()[0], flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def kubectl(namespaces: Callable[[str], Kubectl], s3_address: S3Address) -> Kubectl:
    """A restricted namespace with the account of the steps, the chart's rights to Spark, and the keys of the store."""
    made = namespaces("spark")
    objects = rendered("default", "pipelines.spark.enabled=true")
    ours = [named(objects, "Role", "frontdesk-spark"), named(objects, "RoleBinding", "frontdesk-spark")]
    for one in ours:
        one["metadata"]["namespace"] = made.namespace
    for subject in ours[1]["subjects"]:
        subject["namespace"] = made.namespace
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}
    made.apply(account, *ours, s3_secret(s3_address))
    return made


def driver(name: str, script: str, *arguments: str, image: str, s3_address: S3Address) -> dict[str, Any]:
    """Return the pod of a step: as restricted as the executors, but with its account's token."""
    pod = pod_template(Driver(name, "", "", PYTHON, 1000))
    plain = SETTINGS | {
        "FRONTDESK_IMAGE": image,
        "AWS_ENDPOINT_URL": f"{'https' if s3_address.secure else 'http'}://{s3_address.endpoint}",
        "AWS_DEFAULT_REGION": s3_address.region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    (container,) = pod["spec"]["containers"]
    container |= {
        "name": "step",
        "image": image,
        "command": [PYTHON, "-c", script, *arguments],
        "env": [
            *({"name": key, "value": value} for key, value in plain.items()),
            *({"name": key, "valueFrom": {"secretKeyRef": {"name": "frontdesk-s3", "key": key}}} for key in keys),
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "1536Mi"}},
    }
    pod["metadata"] = {"name": name, "labels": {"frontdesk/test": "driver"}}
    pod["spec"] |= {"serviceAccountName": ACCOUNT, "automountServiceAccountToken": True, "restartPolicy": "Never"}
    return pod


def log_of(kubectl: Kubectl, pod: str) -> str:
    """Return what a pod that has not failed has said so far."""
    said = kubectl.tried("logs", pod).stdout
    assert phase(kubectl, pod) != "Failed", said
    return said


def phase(kubectl: Kubectl, pod: str) -> str:
    """Return how far a pod is."""
    return str((kubectl.get("pod", pod) or {})["status"]["phase"])


def running(kubectl: Kubectl) -> dict[str, dict[str, Any]]:
    """Return the executors that run, by their numbers."""
    found = kubectl.pods(EXECUTORS)
    return {pod["metadata"]["labels"]["spark-exec-id"]: pod for pod in found if pod["status"].get("phase") == "Running"}


def left(kubectl: Kubectl) -> list[str]:
    """Return what Spark may leave behind."""
    kinds = "pods,services,configmaps,persistentvolumeclaims"
    names = kubectl.run("get", kinds, "-l", "spark-app-selector", "-o", "name").split()
    return [*names, *(name for name in kubectl.run("get", kinds, "-o", "name").split() if "spark" in name)]


def test_executors_as_pods_give_what_this_machine_gives(
    kubectl: Kubectl, s3_address: S3Address, images: Images
) -> None:
    rows = [{**row, "created_at": None, "reply": f"r{place % 3}"} for place, row in enumerate(hostile_rows(60, 5))]
    stores = {name: Store(s3_address.store.uri("spark", name)) for name in ("here", "there")}
    for store in stores.values():
        put_snapshot(store, "tickets", DEFAULT_TICKET_COLUMNS, rows[:50], rows[50:])
    kubectl.apply(
        driver("step", PREPROCESS, stores["there"].root, image=images["python-pipelines"], s3_address=s3_address)
    )
    # In a process of its own: this one may have a Spark that knows another object store.
    ours = os.environ | {"FRONTDESK_SPARK_MASTER": "local[2]", "FRONTDESK_SPARK_MEMORY": "700m"}
    command = [sys.executable, "-c", PREPROCESS, stores["here"].root]
    ran = subprocess.run(command, env=ours, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ran.returncode == 0, ran.stderr
    here = orjson.loads(ran.stdout.rpartition("made ")[2])

    until("the middle of the step", lambda: "step 2" in log_of(kubectl, "step"), PATIENCE, kubectl.story)
    first = until("two executors", lambda: len(found := running(kubectl)) == 2 and found, told=kubectl.story)
    for pod in first.values():
        (owner,) = pod["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("Pod", "step")
        assert not [volume for volume in pod["spec"]["volumes"] if "projected" in volume]  # no token
        keys = {entry["name"]: entry for entry in pod["spec"]["containers"][0]["env"]}
        assert "valueFrom" in keys["AWS_SECRET_ACCESS_KEY"]
    killed = first[min(first)]["metadata"]["name"]
    kubectl.run("delete", "pod", killed, "--grace-period=0", "--force")
    until("another executor", lambda: set(running(kubectl)) - set(first), told=kubectl.story)
    kubectl.run("exec", "step", "--", "touch", "/tmp/go")

    until("the end of the step", lambda: phase(kubectl, "step") in ("Succeeded", "Failed"), PATIENCE, kubectl.story)
    said = log_of(kubectl, "step")
    there = orjson.loads(said.rpartition("made ")[2])
    assert there["spec"] == here["spec"]
    assert there["files"] == here["files"]  # every shard, byte for byte
    until("that nothing is left", lambda: not left(kubectl), told=kubectl.story)


def test_executors_go_with_a_driver_that_is_killed(kubectl: Kubectl, s3_address: S3Address, images: Images) -> None:
    kubectl.apply(driver("waiting", WAIT, image=images["python-pipelines"], s3_address=s3_address))
    until("a result", lambda: "rows 499500" in log_of(kubectl, "waiting"), PATIENCE, kubectl.story)
    assert running(kubectl)
    kubectl.run("delete", "pod", "waiting", "--grace-period=0", "--force")
    until("that nothing is left", lambda: not left(kubectl), told=kubectl.story)
