"""Why pods do not become ready, in words: what controllers said in events, and what containers wrote last.

For pods that no customer's request has reached yet: their logs hold nothing but our own words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from frontdesk.errors import ClusterError

if TYPE_CHECKING:
    from frontdesk.kubernetes_api import Cluster

_LINES, _LONGEST, _MOST = 40, 300, 4
_KINDS = ("Pod", "ReplicaSet", "Deployment")
_STARTING = ("ContainerCreating", "PodInitializing")


def faults(cluster: Cluster, namespace: str, pods: Sequence[Mapping[str, Any]], owner: str) -> list[str]:
    """Return a few words on each fault, the telling ones first.

    Args:
        pods: those that should have become ready.
        owner: what the names of all objects that belong to them begin with.
    """
    found: list[str] = []
    for pod in pods:
        for status in _statuses(pod):
            found += _of_container(cluster, namespace, pod["metadata"]["name"], status)
    for condition in (one for pod in pods for one in pod.get("status", {}).get("conditions", ())):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            found.append(f"not scheduled: {condition.get('message', '')}")
    for event in cluster.list("v1", "Event", namespace, fields="type=Warning"):
        about = event["involvedObject"]
        if about.get("kind") in _KINDS and about.get("name", "").startswith(owner):
            found.append(f"{event.get('reason')}: {event.get('message', '')}")
    short = [" ".join(words.split())[:_LONGEST] for words in found]
    return list(dict.fromkeys(short))[:_MOST]


def _statuses(pod: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses", ())
    yield from status.get("containerStatuses", ())


def _of_container(cluster: Cluster, namespace: str, pod: str, status: Mapping[str, Any]) -> list[str]:
    name, state, last = status["name"], status.get("state", {}), status.get("lastState", {})
    waiting = state.get("waiting")
    ended = state.get("terminated") or last.get("terminated")
    found = []
    if ended is not None and ended.get("exitCode"):
        said = _last_words(cluster, namespace, pod, name, previous="terminated" not in state)
        found.append(f"{name} ended with {ended['exitCode']}{f': {said}' if said else ''}")
    elif waiting is not None and waiting.get("reason") not in _STARTING:
        found.append(f"{name}: {waiting.get('reason')} {waiting.get('message', '')}")
    return found


def _last_words(cluster: Cluster, namespace: str, pod: str, container: str, *, previous: bool) -> str:
    """Return the last error that a container logged, or else its last line."""
    try:
        lines = cluster.log(namespace, pod, container, lines=_LINES, previous=previous).splitlines()
    except ClusterError:  # the log may be gone with its container
        return ""
    plain = [line for line in lines if line.strip()]
    for line in reversed(plain):
        try:
            content = orjson.loads(line)
        except orjson.JSONDecodeError:
            return line
        if content.get("level") in ("ERROR", "CRITICAL"):
            return " ".join(str(content[key]) for key in ("event", "code", "reason") if key in content)
    return ""
