"""The three services answer what their bundles answer, from the object store, in both shapes; and scale as declared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.calling import Caller, answered
from tests.cluster.conftest import RECIPES, doctor
from tests.cluster.kubectl import Kubectl, until
from tests.cluster.questions import assert_same, questions
from tests.cluster.release import Images, Release, S3Address, database_secret, s3_secret

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("recipe", RECIPES)
def test_one_process_answers_over_its_service(
    recipe: str, desk: Release, caller: Caller, bundles: dict[str, Path]
) -> None:
    asked = questions(recipe)
    url = desk.url(f"{recipe}-predictor", f"/v1/models/{recipe}:predict")
    found = answered(caller, url, {"instances": asked})
    assert_same(found["predictions"], bundles[recipe], asked)


def test_the_models_came_through_the_storage_initializer(desk: Release) -> None:
    for recipe in RECIPES:
        (pod,) = desk.kubectl.pods(f"serving.kserve.io/inferenceservice={recipe}")
        (initial,) = pod["status"]["initContainerStatuses"]
        assert initial["name"] == "storage-initializer"
        assert initial["state"]["terminated"]["exitCode"] == 0


def test_scalers_and_budgets_are_reconciled(desk: Release) -> None:
    kubectl = desk.kubectl
    scalers = {one["metadata"]["name"]: one for one in kubectl.items("hpa")}
    assert {f"{recipe}-predictor" for recipe in RECIPES} <= set(scalers)
    for name in scalers:
        state = until(
            f"conditions of {name}", lambda name=name: (kubectl.get("hpa", name) or {})["status"].get("conditions")
        )
        assert {one["type"]: one["status"] for one in state}["AbleToScale"] == "True", state
    if Kubectl().get("apiservice", "v1beta1.metrics.k8s.io") is not None:
        load = "ticket-predictor follows its load"
        until(load, lambda: _condition(kubectl, "ticket-predictor", "ScalingActive") == "True", 120, kubectl.story)
    budgets = kubectl.items("pdb")
    assert budgets
    for budget in budgets:
        name = budget["metadata"]["name"]
        covered = until(
            f"budget {name}",
            lambda name=name: (kubectl.get("pdb", name) or {}).get("status", {}).get("expectedPods", 0),
        )
        assert covered >= 1, name


def _condition(kubectl: Kubectl, scaler: str, kind: str) -> str:
    found = (kubectl.get("hpa", scaler) or {})["status"].get("conditions") or ()
    return next((one["status"] for one in found if one["type"] == kind), "")


def test_the_doctor_finds_nothing_wrong(desk: Release) -> None:
    code, found = doctor(desk.namespace)
    bad = [one for findings in found.values() for one in findings if one["state"] in ("missing", "wrong")]
    assert (code, bad) == (0, [])
    for recipe in RECIPES:
        assert [one["state"] for one in found[f"InferenceService {recipe}"]] == ["ok"]
    assert found["secret frontdesk-s3"][0]["state"] == "ok"


@pytest.fixture(scope="module")
def separate(
    namespaces: Callable[[str], Kubectl], values: dict[str, Any], s3_address: S3Address, images: Images
) -> Iterator[tuple[Release, Caller]]:
    """Transformers and predictors as pods of their own; nothing else."""
    kubectl = namespaces("separate")
    release = Release(kubectl, values)
    kubectl.apply(s3_secret(s3_address), database_secret())
    release.install({"recipes": {recipe: {"shape": "separate"} for recipe in RECIPES}})
    kubectl.ready(*RECIPES)
    yield release, Caller(kubectl, images["serving"])
    release.uninstall()


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_transformer_and_its_predictor_answer_the_same(
    recipe: str, separate: tuple[Release, Caller], bundles: dict[str, Path]
) -> None:
    release, client = separate
    asked = questions(recipe)
    url = release.url(f"{recipe}-transformer", f"/v1/models/{recipe}:predict")
    found = answered(client, url, {"instances": asked})
    assert_same(found["predictions"], bundles[recipe], asked)
