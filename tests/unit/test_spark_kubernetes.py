"""Spark on Kubernetes: from settings to Spark's configuration, and from a pod's variables to its process."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from frontdesk import pod
from frontdesk.errors import UsageError
from frontdesk.preprocessing import spark_container
from frontdesk.preprocessing.spark_container import driver_command, executor_command
from frontdesk.preprocessing.spark_kubernetes import Driver, configuration, find_driver, is_kubernetes, pod_template
from frontdesk.settings import SparkOnKubernetes, read_settings

DRIVER = Driver(pod="step-1", namespace="desk", host="10.0.0.7", python="/opt/python", user=1000)
ENVIRONMENT = {
    "AWS_ENDPOINT_URL": "http://store:9000",
    "AWS_ACCESS_KEY_ID": "a key",
    "AWS_SECRET_ACCESS_KEY": "a secret",
    "FRONTDESK_DATABASE": "postgresql://user:password@host/db",
}
EXECUTOR = {
    "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@10.0.0.7:7078",
    "SPARK_EXECUTOR_ID": "3",
    "SPARK_EXECUTOR_CORES": "2",
    "SPARK_APPLICATION_ID": "spark-1",
    "SPARK_EXECUTOR_POD_IP": "10.0.0.8",
    "SPARK_RESOURCE_PROFILE_ID": "0",
    "SPARK_EXECUTOR_POD_NAME": "frontdesk-exec-3",
    "SPARK_EXECUTOR_MEMORY": "700m",
    "SPARK_JAVA_OPT_10": "-Dten=10",
    "SPARK_JAVA_OPT_2": "-Dtwo=a b",
    "HOME": "/",
}


def of(master: str = "k8s", **wanted: object) -> dict[str, str]:
    """Return the configuration for some settings."""
    settings = read_settings(SparkOnKubernetes, **wanted)
    return configuration(
        master, settings, DRIVER, image="registry/frontdesk:1", template=Path("/t.yaml"), environment=ENVIRONMENT
    )


def test_the_defaults_name_the_cluster_the_driver_and_two_executors() -> None:
    values = of()
    assert values["spark.master"] == "k8s://https://kubernetes.default.svc"
    assert values["spark.driver.host"] == values["spark.driver.bindAddress"] == "10.0.0.7"
    assert values["spark.kubernetes.driver.pod.name"] == "step-1"
    assert values["spark.kubernetes.namespace"] == "desk"
    assert values["spark.kubernetes.container.image"] == "registry/frontdesk:1"
    assert values["spark.executor.instances"] == "2"
    assert (values["spark.driver.port"], values["spark.blockManager.port"]) == ("7078", "7079")
    assert values["spark.authenticate"] == "true"


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "EXECUTORS": "5",
        "EXECUTOR_MEMORY": "700m",
        "EXECUTOR_CPU": "200m",
        "IMAGE": "other:2",
    }.items():
        monkeypatch.setenv(f"FRONTDESK_SPARK_{name}", value)
    values = of("k8s://https://api:6443")
    assert values["spark.master"] == "k8s://https://api:6443"
    assert values["spark.executor.instances"] == "5"
    assert values["spark.executor.memory"] == "700m"
    assert values["spark.kubernetes.executor.request.cores"] == "200m"
    assert values["spark.kubernetes.container.image"] == "other:2"


def test_keys_reach_executors_by_reference_only() -> None:
    values = of(s3_secret_name="frontdesk-s3")
    assert values["spark.kubernetes.executor.secretKeyRef.AWS_ACCESS_KEY_ID"] == "frontdesk-s3:AWS_ACCESS_KEY_ID"
    assert values["spark.executorEnv.AWS_ENDPOINT_URL"] == "http://store:9000"
    text = str(values)
    assert "a key" not in text
    assert "a secret" not in text
    assert "password" not in text
    assert not [name for name in of() if "secretKeyRef" in name]


def test_executors_in_another_namespace_have_no_owner() -> None:
    values = of(namespace="elsewhere")
    assert values["spark.kubernetes.namespace"] == "elsewhere"
    assert "spark.kubernetes.driver.pod.name" not in values


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXECUTORS", "0"),
        ("EXECUTOR_CPU", "much"),
        ("EXECUTOR_MEMORY", "1Gi"),
        ("EXECUTOR_MEMORY", "400m"),
        ("DRIVER_PORT", "80"),
        ("S3_SECRET_NAME", "Not A Name"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"FRONTDESK_SPARK_{name}", value)
    with pytest.raises(UsageError) as caught:
        read_settings(SparkOnKubernetes)
    assert caught.value.where == f"FRONTDESK_SPARK_{name}"


def test_the_pod_of_an_executor_is_restricted_and_has_no_token() -> None:
    template = pod_template(DRIVER)
    spec = template["spec"]
    (container,) = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsUser"] == 1000
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["command"] == ["/opt/python", "-m", spark_container.__name__]
    assert of()["spark.kubernetes.executor.podTemplateContainerName"] == container["name"]


def test_where_the_driver_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    namespace = tmp_path / "namespace"
    namespace.write_text("desk\n")
    monkeypatch.setattr(pod, "_NAMESPACE_FILE", namespace)
    monkeypatch.setattr(socket, "gethostbyname", lambda name: "10.0.0.7")
    monkeypatch.delenv("KFP_POD_NAME", raising=False)
    assert find_driver(SparkOnKubernetes()).pod == socket.gethostname()
    monkeypatch.setenv("KFP_POD_NAME", "ticket-lifecycle-1")
    found = find_driver(SparkOnKubernetes())
    assert (found.pod, found.namespace, found.host) == ("ticket-lifecycle-1", "desk", "10.0.0.7")
    assert found.user > 0
    namespace.unlink()
    with pytest.raises(UsageError, match="runs in no pod"):
        find_driver(SparkOnKubernetes())


def test_which_masters_have_pods_as_workers() -> None:
    assert is_kubernetes("k8s")
    assert is_kubernetes("k8s://https://api")
    assert not is_kubernetes("local[*]")
    assert not is_kubernetes("spark://host:7077")


def test_an_executors_process_follows_from_its_pod() -> None:
    command = executor_command(EXECUTOR, Path("/java"), Path("/pyspark"), Path("/tmp/log4j2.properties"))
    assert command[:3] == ["/java/bin/java", "-Dtwo=a b", "-Dten=10"]
    assert command[command.index("-cp") + 1] == "/pyspark/jars/*"
    assert command[command.index("--driver-url") + 1] == EXECUTOR["SPARK_DRIVER_URL"]
    assert command[command.index("--podName") + 1] == "frontdesk-exec-3"
    assert "-Xmx700m" in command
    with_jars = executor_command(EXECUTOR | {"SPARK_CLASSPATH": "/a.jar"}, Path("/java"), Path("/p"), Path("/l"))
    assert with_jars[with_jars.index("-cp") + 1] == "/a.jar:/p/jars/*"


def test_an_executor_that_spark_did_not_start_says_so() -> None:
    with pytest.raises(UsageError, match="SPARK_DRIVER_URL is not set"):
        executor_command({"SPARK_EXECUTOR_MEMORY": "1g"}, Path("/java"), Path("/p"), Path("/l"))
    with pytest.raises(UsageError, match="no role 'shell'"):
        spark_container.main(["shell"])


def test_an_operators_driver_is_sparks_launcher() -> None:
    command = driver_command({"SPARK_DRIVER_BIND_ADDRESS": "10.0.0.9"}, Path("/p"), ["--class", "X", "local:///a.py"])
    assert command == [
        "/p/bin/spark-submit",
        "--conf",
        "spark.driver.bindAddress=10.0.0.9",
        "--deploy-mode",
        "client",
        "--class",
        "X",
        "local:///a.py",
    ]
