"""Is what we declare of an InferenceService whole, and is it ready only when every pod serves the model?

What a cluster makes of it is asked in ``tests/cluster``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from frontdesk.bundle import Bundle
from frontdesk.errors import ClusterError, GateRefused
from frontdesk.inference_service import InferenceServices, _before, declared, serves
from frontdesk.registry import Version
from tests.bundles import TicketBundles

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


def test_a_model_is_served_when_every_pod_serves_it() -> None:
    assert serves(deployment(), "new")
    assert not serves(deployment(), "old")
    for status in (
        {"observedGeneration": 3},  # the controller has not seen the change
        {"replicas": 3},  # an old pod is left
        {"updatedReplicas": 1},
        {"availableReplicas": 1},
    ):
        assert not serves(deployment(**status), "new")


@contextmanager
def answering(spoil: Callable[[dict[str, Any]], None], bundle: Bundle) -> Iterator[str]:
    """Serve a bundle over HTTP, with every answer spoilt."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))["instances"]
            answers = orjson.loads(bundle.dump(bundle.predict(asked)))
            for answer in answers:
                spoil(answer)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(orjson.dumps({"predictions": answers}))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_the_golden_questions_are_asked_over_the_service(ticket_bundles: TicketBundles) -> None:
    bundle = Bundle.load(str(ticket_bundles.classical))
    version = Version(2, bundle.model_id, str(ticket_bundles.classical), "", "manual", False)
    services = InferenceServices(_Held(None), "desk", 0.1)  # type: ignore[arg-type]
    with answering(lambda answer: None, bundle) as address:
        services._ask("ticket", version, address)

    def mislabel(answer: dict[str, Any]) -> None:
        for head in answer["labels"].values():
            head["label"] = "of another model"

    with answering(mislabel, bundle) as address, pytest.raises(GateRefused, match="golden questions are answered wr"):
        services._ask("ticket", version, address)

    def rename(answer: dict[str, Any]) -> None:
        answer["model_id"] = "old"

    with answering(rename, bundle) as address, pytest.raises(GateRefused, match="another model answers"):
        services._ask("ticket", version, address)
    with pytest.raises(GateRefused, match="does not answer over its service: URLError"):
        services._ask("ticket", version, "http://127.0.0.1:9")


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
