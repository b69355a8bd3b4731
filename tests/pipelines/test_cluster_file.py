"""Does a cluster file say exactly what the steps get, and never a secret?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from frontdesk.errors import UnreadableFile, UsageError
from frontdesk.pipelines.cluster import Cluster, cluster_of
from frontdesk.pipelines.compiling import compile_pipeline
from frontdesk.settings import settings

EXAMPLE = Path(__file__).parents[2] / "examples" / "cluster.yaml"
OLD = {
    "format": 1,
    "backend": 2.0,
    "service_account": "frontdesk-pipelines",
    "environment": {"FRONTDESK_THREADS": 1},
    "secrets": {"frontdesk-s3": {"AWS_ACCESS_KEY_ID": "AWS_ACCESS_KEY_ID"}},
    "secret_files": {"frontdesk-masking": "/etc/frontdesk/masking"},
    "node_selector": {"disk": "fast"},
}


def written(folder: Path, **content: Any) -> str:
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump({"format": 1, **content}))
    return str(path)


def compiled(folder: Path, cluster: Cluster) -> tuple[dict[str, Any], dict[str, Any]]:
    compile_pipeline("ticket", folder / "ticket.yaml", cluster)
    pipeline, platform = yaml.safe_load_all((folder / "ticket.yaml").read_text("utf-8"))
    return pipeline["deploymentSpec"]["executors"], platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def test_every_step_gets_what_the_example_says(tmp_path: Path) -> None:
    containers, pods = compiled(tmp_path, cluster_of(str(EXAMPLE)))
    for name, pod in pods.items():
        container = containers[name]["container"]
        assert container["image"] == "registry.example.com/frontdesk/python-pipelines:0.1.0"
        variables = {one["name"]: one["value"] for one in container["env"]}
        assert variables["FRONTDESK_SERVING_NAMESPACE"] == "frontdesk"
        assert variables["FRONTDESK_KFP_SERVICE_ACCOUNT"] == "frontdesk-pipelines"
        named = {one["secretName"]: [key["envVar"] for key in one["keyToEnv"]] for one in pod["secretAsEnv"]}
        assert named["frontdesk-database"] == ["FRONTDESK_DATABASE"]
        folders = {one["secretName"]: one["mountPath"] for one in pod["secretAsVolume"]}
        assert folders["frontdesk-masking"] == "/etc/frontdesk/masking"
        assert ("frontdesk-signing" in folders) == (name == "exec-fuse")
        assert ("FRONTDESK_SIGNING_KEY_FILE" in variables) == (name == "exec-fuse")
        assert pod["imagePullSecret"][0]["secretName"] == "registry"
        assert pod["securityContext"] == {"runAsUser": "1000", "runAsGroup": "1000", "runAsNonRoot": True}
        assert pod["nodeSelector"]["labels"] == {"kubernetes.io/arch": "amd64"}


def test_a_step_keeps_what_is_left_out(tmp_path: Path) -> None:
    chosen = cluster_of(written(tmp_path, steps={"train": {"cpu": 1, "hours": 3}}, accelerators=0))
    assert chosen.steps["train"].cpu == "1"
    assert chosen.steps["train"].memory == Cluster().steps["train"].memory
    assert chosen.steps["etl"] == Cluster().steps["etl"]
    containers, pods = compiled(tmp_path, chosen)
    assert containers["exec-train"]["container"]["resources"]["resourceCpuRequest"] == "1"
    assert int(pods["exec-train"]["activeDeadlineSeconds"]) == 3 * 3600
    assert "nvidia" not in (tmp_path / "ticket.yaml").read_text("utf-8")


def test_an_old_server_gets_only_what_it_knows(tmp_path: Path) -> None:
    """The fields of kubernetes_executor_config.proto as release 2.0 was built with it."""
    containers, pods = compiled(tmp_path, Cluster.model_validate(OLD))
    assert len(pods) == 8
    for name, pod in pods.items():
        assert set(pod) <= {"secretAsEnv", "secretAsVolume", "pvcMount", "nodeSelector"}
        assert all(set(one) == {"secretName", "keyToEnv"} for one in pod["secretAsEnv"])
        assert all(set(one) == {"secretName", "mountPath"} for one in pod["secretAsVolume"])
        assert all(set(one) == {"constant", "mountPath"} for one in pod.get("pvcMount", ()))
        resources = containers[name]["container"]["resources"]
        assert set(resources) - {"accelerator"} == {"cpuRequest", "cpuLimit", "memoryRequest", "memoryLimit"}
        assert resources["cpuRequest"] > 0
    assert containers["exec-train"]["container"]["resources"]["accelerator"] == {"type": "nvidia.com/gpu", "count": "1"}
    assert "pvcMount" in pods["exec-train"]


def test_an_old_server_finds_who_made_an_input(tmp_path: Path) -> None:
    """It knows a task by the name in its ``taskInfo`` alone, and inputs by the task's own."""
    compiled(tmp_path, Cluster.model_validate(OLD))
    pipeline, _ = yaml.safe_load_all((tmp_path / "ticket.yaml").read_text("utf-8"))
    graphs = [one["dag"]["tasks"] for one in (pipeline["root"], *pipeline["components"].values()) if "dag" in one]
    assert len(graphs) > 1
    for tasks in graphs:
        assert {name: task["taskInfo"]["name"] for name, task in tasks.items()} == {name: name for name in tasks}


@pytest.mark.parametrize("name", ["image_pull_secrets", "tolerations", "config_maps", "security"])
def test_what_an_old_server_cannot_give_is_refused(name: str, tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "image_pull_secrets": ["registry"],
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "config_maps": {"settings": {"store": "FRONTDESK_STORE"}},
        "security": {"user": 1000, "group": 1000},
    }
    with pytest.raises(UsageError, match=f"release 2.0 gives steps no {name}"):
        cluster_of(written(tmp_path, backend="2.0", **{name: values[name]}))


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ({"volumes": "x"}, "volumes"),
        ({"steps": {"training": {"cpu": "1"}}}, "no step training"),
        ({"steps": {"train": {"gpu": 1}}}, "steps.train.gpu"),
        ({"steps": {"train": {"memory": "lots"}}}, "steps.train.memory"),
        ({"environment": {"AWS_SECRET_ACCESS_KEY": "x"}}, "AWS_SECRET_ACCESS_KEY is a secret"),
        ({"environment": {"FRONTDESK_DATABASE": "postgresql://desk:word@host/desk"}}, "FRONTDESK_DATABASE is a secret"),
        ({"environment": {"A B": "x"}}, "environment"),
        ({"security": {"user": 0, "group": 0}}, "security.user"),
        ({"backend": "1.8"}, "backend"),
        ({"secrets": {"S3_Secret": {}}}, "secrets"),
        ({"format": 2}, "format"),
        ({"retries": -1}, "retries"),
    ],
)
def test_a_wrong_value_is_named_and_never_quoted(content: dict[str, Any], where: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        cluster_of(written(tmp_path, **content))
    assert where in str(caught.value)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "7", "text"])
def test_a_file_of_something_else(text: str, tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(text)
    with pytest.raises(UsageError):
        cluster_of(str(tmp_path / "cluster.yaml"))
    with pytest.raises(UnreadableFile):
        cluster_of(str(tmp_path / "missing.yaml"))


def test_the_settings_name_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTDESK_CLUSTER", written(tmp_path, image="registry.example.com/python:1"))
    settings.cache_clear()
    try:
        compile_pipeline("ticket", tmp_path / "ticket.yaml")
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    assert "registry.example.com/python:1" in (tmp_path / "ticket.yaml").read_text("utf-8")
