"""Is the compiled pipeline the one that was reviewed, and does it ask the cluster for what it needs?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from frontdesk.errors import UsageError
from frontdesk.pipelines.cluster import Cluster
from frontdesk.pipelines.compiling import compile_features, compile_monitoring, compile_pipeline

GOLDEN = Path(__file__).parents[1] / "golden" / "ticket-lifecycle.yaml"
MONITORING = GOLDEN.with_name("ticket-monitoring.yaml")
FEATURES = GOLDEN.with_name("features-materialise.yaml")
STEPS = {"etl", "spark-preprocess", "data-transfer", "train", "fuse", "gate", "deploy", "hold"}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any], dict[str, Any]]:
    path = tmp_path_factory.mktemp("compiled") / "ticket.yaml"
    compile_pipeline("ticket", path)
    text = path.read_text("utf-8")
    pipeline, platform = yaml.safe_load_all(text)
    return text, pipeline, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def tasks(pipeline: dict[str, Any]) -> dict[str, Any]:
    found = dict(pipeline["root"]["dag"]["tasks"])
    for component in pipeline["components"].values():
        found |= component.get("dag", {}).get("tasks", {})
    return {name: task for name, task in found.items() if name in STEPS}


def test_is_the_golden_file(compiled) -> None:
    """``FRONTDESK_UPDATE_GOLDEN=1`` writes the file anew; the change is then reviewed as any other."""
    if os.environ.get("FRONTDESK_UPDATE_GOLDEN"):
        GOLDEN.write_text(compiled[0], "utf-8")
    assert compiled[0] == GOLDEN.read_text("utf-8"), "write it anew: FRONTDESK_UPDATE_GOLDEN=1"


def test_the_feature_pipeline_is_the_golden_file(tmp_path: Path) -> None:
    compile_features(tmp_path / "features.yaml")
    text = (tmp_path / "features.yaml").read_text("utf-8")
    if os.environ.get("FRONTDESK_UPDATE_GOLDEN"):
        FEATURES.write_text(text, "utf-8")
    assert text == FEATURES.read_text("utf-8"), "write it anew: FRONTDESK_UPDATE_GOLDEN=1"
    pipeline, platform = yaml.safe_load_all(text)
    task = pipeline["root"]["dag"]["tasks"]["materialise"]
    assert not task["cachingOptions"].get("enableCache")
    assert task["retryPolicy"]["maxRetryCount"] == 2
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert int(executors["exec-materialise"]["activeDeadlineSeconds"]) >= 3600


def test_the_monitoring_pipeline_is_the_golden_file(tmp_path: Path) -> None:
    compile_monitoring("ticket", tmp_path / "monitoring.yaml")
    text = (tmp_path / "monitoring.yaml").read_text("utf-8")
    if os.environ.get("FRONTDESK_UPDATE_GOLDEN"):
        MONITORING.write_text(text, "utf-8")
    assert text == MONITORING.read_text("utf-8"), "write it anew: FRONTDESK_UPDATE_GOLDEN=1"
    pipeline, platform = yaml.safe_load_all(text)
    found = dict(pipeline["root"]["dag"]["tasks"])
    for component in pipeline["components"].values():
        found |= component.get("dag", {}).get("tasks", {})
    for name in ("monitor", "retrain"):
        assert not found[name]["cachingOptions"].get("enableCache")
        executor = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"][f"exec-{name}"]
        assert int(executor["activeDeadlineSeconds"]) >= 3600
    conditions = [task["triggerPolicy"]["condition"] for task in found.values() if "triggerPolicy" in task]
    assert any("== 'retrain'" in condition for condition in conditions)


def test_the_six_jobs_the_gate_and_both_branches_are_there(compiled) -> None:
    assert set(tasks(compiled[1])) == STEPS
    conditions = [
        task["triggerPolicy"]["condition"]
        for component in compiled[1]["components"].values()
        for task in component.get("dag", {}).get("tasks", {}).values()
        if "triggerPolicy" in task
    ]
    assert len(conditions) == 2
    assert all("== 'promote'" in condition for condition in conditions)
    assert sum(condition.startswith("!(") for condition in conditions) == 1


def test_every_step_says_what_it_needs(compiled) -> None:
    _, pipeline, platform = compiled
    executors = pipeline["deploymentSpec"]["executors"]
    for name, task in tasks(pipeline).items():
        resources = executors[f"exec-{name}"]["container"]["resources"]
        assert {"resourceCpuRequest", "resourceCpuLimit", "resourceMemoryRequest", "resourceMemoryLimit"} <= set(
            resources
        )
        assert ("accelerator" in resources) == (name == "train")
        assert task["retryPolicy"]["maxRetryCount"] == 2
        assert task["taskInfo"]["name"] != name
        assert int(platform[f"exec-{name}"]["activeDeadlineSeconds"]) >= 3600
    assert platform["exec-train"]["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]


def test_steps_with_side_effects_or_moving_inputs_are_never_cached(compiled) -> None:
    cached = {name for name, task in tasks(compiled[1]).items() if task["cachingOptions"].get("enableCache")}
    assert cached == {"spark-preprocess", "train", "fuse"}


def test_steps_install_nothing_and_name_no_recipe_of_their_own(compiled) -> None:
    for executor in compiled[1]["deploymentSpec"]["executors"].values():
        words = " ".join(executor["container"]["command"])
        assert "pip install" not in words
        assert "ticket" not in words


def test_without_accelerators_no_gpu_is_asked_for(tmp_path: Path) -> None:
    compile_pipeline("ticket", tmp_path / "cpu.yaml", Cluster(accelerators=0))
    assert "nvidia" not in (tmp_path / "cpu.yaml").read_text("utf-8")


def test_an_unknown_recipe_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no recipe 'tickets'.*ticket"):
        compile_pipeline("tickets", tmp_path / "none.yaml")
    assert not list(tmp_path.iterdir())
