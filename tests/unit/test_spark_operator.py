"""The Spark operator's manifest says what the library does without an operator."""

from __future__ import annotations

import importlib.util
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import yaml

from frontdesk.preprocessing import spark_application, spark_container
from frontdesk.preprocessing.spark_kubernetes import Driver, pod_template
from frontdesk.settings import Settings, SparkOnKubernetes

MANIFEST = Path(__file__).parents[2] / "manifests" / "spark-operator" / "sparkapplication.yaml"


@pytest.fixture
def spec() -> dict[str, Any]:
    """The application's spec."""
    application = yaml.safe_load(MANIFEST.read_text("utf-8"))
    assert (application["apiVersion"], application["kind"]) == ("sparkoperator.k8s.io/v1beta2", "SparkApplication")
    return application["spec"]


def variables(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the driver's variables by name."""
    (container,) = spec["driver"]["template"]["spec"]["containers"]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


def test_image_version_and_main_file_are_ours(spec: dict[str, Any]) -> None:
    assert spec["image"] == Settings.model_fields["image"].default == variables(spec)["FRONTDESK_IMAGE"]
    assert f"pyspark=={spec['sparkVersion']}" in [line.split(";")[0].strip() for line in requires("frontdesk") or []]
    found = importlib.util.find_spec(spark_application.__name__)
    assert found is not None
    assert found.origin is not None
    assert spec["mainApplicationFile"].endswith("/site-packages/" + "/".join(Path(found.origin).parts[-3:]))
    assert spec["mainApplicationFile"].startswith("local:///opt/frontdesk/")
    with pytest.raises(SystemExit) as ended:
        spark_application.main([*spec["arguments"], "--help"])
    assert ended.value.code == 0


def test_executors_are_those_of_the_settings(spec: dict[str, Any]) -> None:
    given = {name.removeprefix("FRONTDESK_SPARK_").lower(): value for name, value in variables(spec).items()}
    known = {name: value for name, value in given.items() if name in SparkOnKubernetes.model_fields}
    unknown = {name for name in variables(spec) if name.startswith("FRONTDESK_SPARK_")} - {
        f"FRONTDESK_SPARK_{name.upper()}" for name in known
    }
    assert unknown == {"FRONTDESK_SPARK_MASTER"}
    settings, defaults = SparkOnKubernetes(**known), SparkOnKubernetes()
    assert settings == defaults.model_copy(update={"s3_secret_name": "frontdesk-s3"})
    assert spec["executor"] == {
        "instances": settings.executors,
        "cores": settings.executor_cores,
        "memory": settings.executor_memory,
        "memoryOverhead": settings.executor_overhead,
    }


def test_the_driver_is_restricted_as_the_executors_are(spec: dict[str, Any]) -> None:
    python = "/opt/frontdesk/bin/python"
    ours = pod_template(Driver("d", "n", "h", python, 1000))["spec"]
    theirs = spec["driver"]["template"]["spec"]
    assert theirs["securityContext"] == ours["securityContext"]
    (container,), (executor,) = theirs["containers"], ours["containers"]
    for name in ("command", "securityContext", "volumeMounts"):
        assert container[name] == executor[name], name
    assert container["command"] == [python, "-m", spark_container.__name__]
    assert theirs["volumes"] == ours["volumes"]


def test_keys_are_named_not_given(spec: dict[str, Any]) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert variables(spec)[name] == {"secretKeyRef": {"name": "frontdesk-s3", "key": name}}
