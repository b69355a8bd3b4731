"""Is what we declare of an InferenceService whole, and is it ready only when every pod serves the model?

What a cluster makes of it is asked in ``tests/cluster``.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from frontdesk.errors import ClusterError
from frontdesk.inference_service import InferenceServices, _before, declared, rolled_out
from frontdesk.registry import Version

NEW = Version(2, "new", "s3://desk/models/ticket/new", "", "manual", False)
OLD = {"model_id": "old", "uri": "s3://desk/models/ticket/old", "version": 1}
TEMPLATE: dict[str, Any] = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "ticket", "namespace": "desk"},
    "spec": {
        "predictor": {"model": {"modelFormat": {"name": "frontdesk-bundle"}}},
        "transformer": {"containers": [{"name": "kserve-container"}]},
    },
}


def served(model_id: str) -> dict[str, Any]:
    """An InferenceService as a cluster gives it back."""
    there = declared(TEMPLATE, f"s3://desk/models/ticket/{model_id}", model_id)
    there["metadata"] |= {"uid": "1", "resourceVersion": "7", "generation": 3, "managedFields": [{}]}
    return there | {"status": {"conditions": []}}


def test_predictor_and_transformer_get_the_same_bundle() -> None:
    before = deepcopy(TEMPLATE)
    made = declared(TEMPLATE, NEW.bundle, NEW.model_id)
    assert made["spec"]["predictor"]["model"]["storageUri"] == NEW.bundle
    assert made["spec"]["transformer"]["containers"][0]["env"] == [{"name": "STORAGE_URI", "value": NEW.bundle}]
    assert made["metadata"]["annotations"] == {"frontdesk/model-id": "new"}
    assert before == TEMPLATE


def test_what_was_served_comes_back_without_what_the_server_wrote() -> None:
    back = _before(served("old"), TEMPLATE, NEW, OLD)
    assert back == declared(TEMPLATE, OLD["uri"], "old")


@pytest.mark.parametrize(
    ("there", "champion", "model"),
    [
        (None, None, None),  # the first deployment: nothing is left
        (None, OLD, None),  # a champion of the time before: nothing was there
        ("new", None, None),  # a first attempt was killed half-way
        ("new", OLD, "old"),  # so was a later one
        ("new", {**OLD, "model_id": "new"}, "new"),  # asked again for what is deployed
        ("other", OLD, "other"),  # a person's change stays
    ],
)
def test_what_comes_back(there: str | None, champion: dict[str, Any] | None, model: str | None) -> None:
    back = _before(served(there) if there else None, TEMPLATE, NEW, champion)
    assert (back and back["metadata"]["annotations"]["frontdesk/model-id"]) == model


def deployment(**status: int) -> dict[str, Any]:
    full = {"observedGeneration": 4, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    template = {"metadata": {"annotations": {"frontdesk/model-id": "new"}}}
    return {
        "metadata": {"name": "ticket-predictor", "generation": 4},
        "spec": {"replicas": 2, "template": template},
        "status": full | status,
    }


def test_rolled_out_means_every_pod() -> None:
    assert rolled_out(deployment(), "new")
    assert not rolled_out(deployment(), "old")
    for status in (
        {"observedGeneration": 3},  # the controller has not seen the change
        {"replicas": 3},  # an old pod is left
        {"updatedReplicas": 1},
        {"availableReplicas": 1},
    ):
        assert not rolled_out(deployment(**status), "new")


class _Held:
    """A cluster that holds one ConfigMap."""

    def __init__(self, found: dict[str, Any] | None) -> None:
        self.found = found

    def get(self, *_: object) -> dict[str, Any] | None:
        return self.found


@pytest.mark.parametrize("text", ["[", "{}", "kind: Service", "kind: InferenceService\nmetadata: {name: ticket}"])
def test_a_manifest_that_is_none(text: str) -> None:
    held = _Held({"metadata": {"uid": "1"}, "data": {"ticket.yaml": text}})
    with pytest.raises(ClusterError, match="InferenceService"):
        InferenceServices(held, "desk", 1).template("ticket")  # type: ignore[arg-type]


def test_a_recipe_that_the_chart_serves_by_itself_is_left_alone() -> None:
    held = _Held({"metadata": {"uid": "1"}, "data": None})
    services = InferenceServices(held, "desk", 1)  # type: ignore[arg-type]
    with services.replaced("ticket", NEW, OLD):
        pass
    held.found = None
    with pytest.raises(ClusterError, match="no such ConfigMap"), services.replaced("ticket", NEW, OLD):
        pass
