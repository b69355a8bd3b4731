"""The InferenceService of a recipe: it takes a new model over whole, or stays as it was.

The chart writes down how each recipe is served in the ConfigMap ``frontdesk-inference-services``: under
``<recipe>.yaml`` a whole manifest that lacks only the model. This applies it with the address of a registered bundle,
waits until every pod serves that bundle, asks the golden questions over the service's address, and otherwise brings
back what was there. A recipe without a manifest is not ours: its servers follow the store, or Git pins its model.
"""

from __future__ import annotations

import logging
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import orjson
import yaml

from frontdesk import progress
from frontdesk.cluster_reasons import OF_SERVICE, Workloads, conditions, rolled_out, why_deployment
from frontdesk.errors import ClusterError, GateRefused, UsageError
from frontdesk.golden_questions import count_wrong, golden_questions
from frontdesk.logs import event
from frontdesk.settings import settings

if TYPE_CHECKING:
    from frontdesk.kubernetes_api import Cluster
    from frontdesk.registry import Version

CONFIG_MAP = "frontdesk-inference-services"
MANAGER = "frontdesk-deploy"
MODEL_ID = "frontdesk/model-id"
_API, _KIND = "serving.kserve.io/v1beta1", "InferenceService"
_POLL_SECONDS, _ANSWER_SECONDS = 1.0, 10.0
_log = logging.getLogger(__name__)


def serving_by_settings(
    recipe: str, version: Version, champion: Mapping[str, Any] | None
) -> AbstractContextManager[None]:
    """Return what has a version served in the cluster of the settings while its block runs, and ever after.

    Without ``FRONTDESK_SERVING_NAMESPACE``, and for a recipe that the chart serves by itself, nothing is done.

    Args:
        champion: ``{"model_id", "uri"}`` of the deployed model, None before the first deployment.
    """
    services = of_settings()
    return nullcontext() if services is None else services.replaced(recipe, version, champion)


def of_settings() -> InferenceServices | None:
    """Return the InferenceServices of the settings' namespace, None where there is none."""
    chosen = settings()
    if chosen.serving_namespace is None:
        return None
    from frontdesk.kubernetes_api import Cluster

    return InferenceServices(Cluster(), chosen.serving_namespace, chosen.serving_seconds)


class InferenceServices:
    """The InferenceServices of a namespace.

    Args:
        seconds: how long a new model may take until it answers.
    """

    def __init__(self, cluster: Cluster, namespace: str, seconds: float) -> None:
        self._cluster, self._namespace, self._seconds = cluster, namespace, seconds

    def template(self, recipe: str) -> dict[str, Any] | None:
        """Return the manifest of a recipe without a model, None where the chart serves the recipe by itself.

        Raises:
            ClusterError: the ConfigMap is not there, or holds no InferenceService.
        """
        found = self._cluster.get("v1", "ConfigMap", self._namespace, CONFIG_MAP)
        where = f"{self._namespace}/{CONFIG_MAP}"
        if found is None:
            raise ClusterError("the cluster has no such ConfigMap", where=where, remedy="Install the chart there")
        text = (found.get("data") or {}).get(f"{recipe}.yaml")
        if text is None:
            return None
        try:
            manifest = yaml.safe_load(text)
            owned = (
                manifest["kind"] == _KIND and manifest["metadata"]["name"] and manifest["spec"]["predictor"]["model"]
            )
        except (yaml.YAMLError, KeyError, TypeError):
            owned = None
        if not owned:
            raise ClusterError(f"{recipe}.yaml is no {_KIND} with a model", where=where)
        manifest["metadata"]["namespace"] = self._namespace
        # With the chart's ConfigMap goes what was made from it.
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": CONFIG_MAP, "uid": found["metadata"]["uid"]}
        manifest["metadata"]["ownerReferences"] = [owner]
        return dict(manifest)

    @contextmanager
    def replaced(self, recipe: str, version: Version, champion: Mapping[str, Any] | None) -> Iterator[None]:
        """Have a version served, then run the block; where either fails, bring back what was served before.

        Raises:
            GateRefused: the version never became ready, or answered wrongly.
            UsageError: the cluster cannot reach the bundle.
            ClusterError: the cluster refused or did not answer.
        """
        template = self.template(recipe)
        if template is None:
            event(_log, "inference_service_left", recipe=recipe, namespace=self._namespace)
            yield
            return
        if "://" not in version.bundle:
            raise UsageError("a cluster cannot reach a bundle on this machine", where=version.bundle)
        name = template["metadata"]["name"]
        there = self._cluster.get(_API, _KIND, self._namespace, name)
        before = _before(there, template, version, champion)
        progress.report("deploy", 0.5, 1, f"{self._namespace}/{name} takes {version.model_id}")
        try:
            self._cluster.apply(declared(template, version.bundle, version.model_id), manager=MANAGER)
            address = self._wait(name, version.model_id)
            self._ask(recipe, version, address)
            yield
        except BaseException:
            self._undo(name, before)
            raise
        event(_log, "inference_service_serves", recipe=recipe, namespace=self._namespace, model_id=version.model_id)

    def _undo(self, name: str, before: Mapping[str, Any] | None) -> None:
        event(_log, "inference_service_undone", logging.WARNING, name=name, namespace=self._namespace)
        try:
            if before is None:
                self._cluster.delete(_API, _KIND, self._namespace, name)
            else:
                self._cluster.apply(before, manager=MANAGER)
        except ClusterError as error:  # the reason why it is undone matters more
            event(_log, "undoing_failed", logging.ERROR, name=name, reason=str(error))

    def _wait(self, name: str, model_id: str) -> str:
        """Wait until every pod serves a model; return the service's address."""
        end = time.monotonic() + self._seconds
        while True:
            service = self._cluster.get(_API, _KIND, self._namespace, name) or {}
            parts = self._cluster.list("apps/v1", "Deployment", self._namespace, labels=f"{OF_SERVICE}={name}")
            expected = [f"{name}-{part}" for part in ("predictor", "transformer") if part in service.get("spec", {})]
            done = {part["metadata"]["name"] for part in parts if serves(part, model_id)}
            address = service.get("status", {}).get("address", {}).get("url")
            ready = conditions(service).get("Ready", {})
            if address and done.issuperset(expected) and ready.get("status") == "True":
                return str(address)
            if time.monotonic() >= end:
                behind = [part for part in parts if part["metadata"]["name"] not in done]
                words = self._why(behind) or ready.get("message") or "nothing is known of why"
                raise GateRefused(
                    f"the new model was not ready within {self._seconds:g} seconds: {words}",
                    where=f"{self._namespace}/{name}",
                )
            time.sleep(_POLL_SECONDS)

    def _why(self, deployments: list[dict[str, Any]]) -> str:
        seen = Workloads(
            replica_sets=self._cluster.list("apps/v1", "ReplicaSet", self._namespace),
            pods=self._cluster.list("v1", "Pod", self._namespace),
            events=self._cluster.list("v1", "Event", self._namespace, fields="type=Warning"),
        )
        return "; ".join(f"{one['metadata']['name']}: {why_deployment(one, seen)}" for one in deployments)

    def _ask(self, recipe: str, version: Version, address: str) -> None:
        """Ask the golden questions until the version itself answers. Raises `GateRefused` where it answers wrongly."""
        questions = golden_questions(version.bundle, policy=settings().policy)
        body = orjson.dumps({"instances": [question["instance"] for question in questions]})
        end, where = time.monotonic() + self._seconds, f"{address}/v1/models/{recipe}:predict"
        while True:
            answers, words = _answers(where, body)
            if answers and all(answer.get("model_id") == version.model_id for answer in answers):
                break
            if time.monotonic() >= end:
                reason = words or "another model answers"
                raise GateRefused(f"the new model does not answer over its service: {reason}", where=where)
            time.sleep(_POLL_SECONDS)
        wrong = count_wrong(questions, answers) if len(answers) == len(questions) else len(questions)
        if wrong:
            raise GateRefused(f"{wrong} of {len(questions)} golden questions are answered wrongly", where=where)


def declared(template: Mapping[str, Any], bundle: str, model_id: str) -> dict[str, Any]:
    """Return what we declare of an InferenceService: its template with a model.

    A transformer opens the ends of the same bundle; the storage initializer brings what ``STORAGE_URI`` names.
    """
    manifest: dict[str, Any] = deepcopy(dict(template))
    manifest["metadata"].setdefault("annotations", {})[MODEL_ID] = model_id
    manifest["spec"]["predictor"]["model"]["storageUri"] = bundle
    if "transformer" in manifest["spec"]:
        environment = manifest["spec"]["transformer"]["containers"][0].setdefault("env", [])
        environment.append({"name": "STORAGE_URI", "value": bundle})
    return manifest


def serves(deployment: Mapping[str, Any], model_id: str) -> bool:
    """Return whether every pod of a Deployment serves a model, and none another one."""
    return _model_of(deployment["spec"]["template"]) == model_id and rolled_out(deployment)


def _before(
    there: Mapping[str, Any] | None,
    template: Mapping[str, Any],
    version: Version,
    champion: Mapping[str, Any] | None,
) -> dict[str, Any] | None:
    """Return the manifest that brings back what was served, None for nothing.

    An attempt that was killed may have left the new model in the cluster: then the champion's goes back.
    """
    if there is not None and (
        _model_of(there) != version.model_id or (champion or {}).get("model_id") == version.model_id
    ):
        about = there["metadata"]
        kept = {
            key: about[key] for key in ("name", "namespace", "labels", "annotations", "ownerReferences") if key in about
        }
        return {"apiVersion": _API, "kind": _KIND, "metadata": kept, "spec": there["spec"]}
    if there is None or champion is None:
        return None
    return declared(template, champion["uri"], champion["model_id"])


def _model_of(thing: Mapping[str, Any]) -> str | None:
    """Return the model that an InferenceService, a pod or its template is marked with."""
    return (thing["metadata"].get("annotations") or {}).get(MODEL_ID)


def _answers(address: str, body: bytes) -> tuple[list[dict[str, Any]], str]:
    """Return the answers of a server, or none and why."""
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})  # noqa: S310 - our own server
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a service is never behind a proxy
    try:
        with direct.open(request, timeout=_ANSWER_SECONDS) as response:
            return list(orjson.loads(response.read())["predictions"]), ""
    except OSError as error:
        return [], f"{type(error).__name__} {getattr(error, 'code', '')}".strip()
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return [], "no predictions in the answer"
