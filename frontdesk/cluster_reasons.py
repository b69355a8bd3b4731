"""Why something in a namespace does not run, in words.

A workload that cannot start says so in five different places: a pod that admission refused only in the conditions and
events of its ReplicaSet, one that finds no node in its own conditions, a missing image or secret in the state of its
container, a program that ended in that state's history, and one that never gets ready nowhere but in an event.
Everything here is a pure function of objects as the API server returns them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]
OF_SERVICE = "serving.kserve.io/inferenceservice"
"""Label of everything that KServe makes for an InferenceService."""
_LONGEST = 400
_REVISION = "deployment.kubernetes.io/revision"
_WAITING_IS_USUAL = ("ContainerCreating", "PodInitializing")


@dataclass(frozen=True)
class Workloads:
    """What runs in a namespace, or should: objects of one moment."""

    deployments: Sequence[Object] = ()
    replica_sets: Sequence[Object] = ()
    jobs: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    events: Sequence[Object] = field(default=())
    """Of the type Warning."""

    def owned(self, among: Iterable[Object], owner: Object) -> list[Object]:
        """Return the objects that an object made."""
        uid = owner["metadata"]["uid"]
        return [
            one for one in among if any(mark["uid"] == uid for mark in one["metadata"].get("ownerReferences") or ())
        ]

    def warnings(self, about: Object) -> list[str]:
        """Return what was warned of an object, the latest last."""
        uid = about["metadata"]["uid"]
        found = [one for one in self.events if (one.get("involvedObject") or {}).get("uid") == uid]
        return [str(one.get("message") or one.get("reason") or "") for one in sorted(found, key=_moment)]


def conditions(about: Object) -> dict[str, Object]:
    """Return an object's conditions by their type."""
    return {one["type"]: one for one in (about.get("status") or {}).get("conditions") or ()}


def rolled_out(deployment: Object) -> bool:
    """Return whether every pod of a Deployment is of its newest version and ready, and no other is left."""
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    return status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0) and counts == [wanted] * 3


def why_deployment(deployment: Object, seen: Workloads) -> str:
    """Return why a Deployment that is not rolled out is not, as far as the newest version's pods tell."""
    sets = [one for one in seen.owned(seen.replica_sets, deployment) if one["spec"].get("replicas", 0)]
    if not sets:
        refusal = conditions(deployment).get("ReplicaFailure") or conditions(deployment).get("Progressing")
        return _short(str((refusal or {}).get("message") or "it has no pods yet"))
    newest = max(sets, key=lambda one: int((one["metadata"].get("annotations") or {}).get(_REVISION, 0)))
    if (refused := conditions(newest).get("ReplicaFailure")) is not None and refused.get("status") == "True":
        return _short(f"its pods are refused: {refused.get('message')}")
    pods = seen.owned(seen.pods, newest)
    if not pods:
        warned = seen.warnings(newest)
        return _short(f"its pods are refused: {warned[-1]}") if warned else "it has no pods yet"
    reasons = [reason for pod in pods if (reason := why_pod(pod, seen))]
    return reasons[0] if reasons else "its pods start"


def why_job(job: Object, seen: Workloads) -> str | None:
    """Return why a Job failed or does not get on; None where it succeeded or runs."""
    state = conditions(job)
    if (state.get("Complete") or {}).get("status") == "True":
        return None
    reasons = [reason for pod in seen.owned(seen.pods, job) if (reason := why_pod(pod, seen))]
    if (failed := state.get("Failed")) is not None and failed.get("status") == "True":
        return _short(". ".join([str(failed.get("message") or failed.get("reason")), *reasons[:1]]))
    if reasons:
        return reasons[0]
    warned = seen.warnings(job)
    return _short(warned[-1]) if warned and not seen.owned(seen.pods, job) else None


def why_pod(pod: Object, seen: Workloads) -> str | None:
    """Return why a pod is not ready; None where it is, or is starting as pods do."""
    name, status, state = pod["metadata"]["name"], pod.get("status") or {}, conditions(pod)
    if (state.get("Ready") or {}).get("status") == "True" or status.get("phase") == "Succeeded":
        return None
    scheduled = state.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        return _short(f"pod {name} finds no node: {scheduled.get('message')}")
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or ():
            if (words := _why_container(container)) is not None:
                return _short(f"pod {name}, container {container['name']}: {words}")
    warned = seen.warnings(pod)
    return _short(f"pod {name}: {warned[-1]}") if warned else None


def _why_container(container: Object) -> str | None:
    state, last = container.get("state") or {}, container.get("lastState") or {}
    waiting = state.get("waiting") or {}
    ended = state.get("terminated") or last.get("terminated") or {}
    words = []
    if waiting and waiting.get("reason") not in _WAITING_IS_USUAL:
        words.append(": ".join(str(waiting[part]) for part in ("reason", "message") if waiting.get(part)))
    if ended.get("exitCode"):
        said = " ".join(str(ended.get("message") or "").split())
        told = f"ended with {ended['exitCode']} ({ended.get('reason')})"
        words.append(f"{told}: {said}" if said else told)
    return "; ".join(words) or None


def _moment(event: Object) -> str:
    series = (event.get("series") or {}).get("lastObservedTime")
    return str(series or event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp") or "")


def _short(words: str) -> str:
    """Return words on one line; of long ones the end, where a program says why it ended."""
    line = " ".join(words.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"
