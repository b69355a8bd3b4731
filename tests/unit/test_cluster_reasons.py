"""Whatever keeps a pod from running is said in words, wherever the cluster has written it."""

from __future__ import annotations

from typing import Any

import pytest

from frontdesk.cluster_reasons import Workloads, rolled_out, why_deployment, why_job, why_pod


def thing(name: str, owner: str = "", **rest: Any) -> dict[str, Any]:
    about: dict[str, Any] = {"name": name, "uid": f"uid-{name}"}
    if owner:
        about["ownerReferences"] = [{"uid": f"uid-{owner}"}]
    return {"metadata": about | rest.pop("metadata", {}), "spec": {}, "status": {}} | rest


def warning(about: str, message: str, at: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    return {"involvedObject": {"uid": f"uid-{about}"}, "message": message, "lastTimestamp": at}


def replica_set(revision: int, **status: Any) -> dict[str, Any]:
    marks = {"annotations": {"deployment.kubernetes.io/revision": str(revision)}}
    return thing(f"set-{revision}", "web", metadata=marks, spec={"replicas": 1}, status=status)


def container(**state: Any) -> dict[str, Any]:
    return {"conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [{"name": "main", **state}]}


WEB = thing("web", spec={"replicas": 2})
POLICY = 'pods "web-1" is forbidden: violates PodSecurity "restricted:latest"'


def test_a_refused_pod_is_told_by_the_condition_of_its_replica_set() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": POLICY}
    seen = Workloads(replica_sets=[replica_set(2, conditions=[failure]), replica_set(1)])
    assert why_deployment(WEB, seen) == f"its pods are refused: {POLICY}"


def test_a_refused_pod_is_told_by_the_latest_event() -> None:
    events = [warning("set-10", POLICY, "2026-01-02T00:00:00Z"), warning("set-10", "older"), warning("set-9", "other")]
    seen = Workloads(replica_sets=[replica_set(9), replica_set(10)], events=events)
    assert why_deployment(WEB, seen) == f"its pods are refused: {POLICY}"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient cpu"}]},
            "pod p finds no node: 0/1 nodes: Insufficient cpu",
        ),
        (
            container(state={"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off "x:1"'}}),
            'pod p, container main: ImagePullBackOff: Back-off "x:1"',
        ),
        (
            container(
                state={"waiting": {"reason": "CrashLoopBackOff"}},
                lastState={"terminated": {"exitCode": 1, "reason": "Error", "message": "bad bundle\n"}},
            ),
            "pod p, container main: CrashLoopBackOff; ended with 1 (Error): bad bundle",
        ),
        (container(state={"waiting": {"reason": "ContainerCreating"}}), None),
        ({"conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": []}, None),
        ({"phase": "Succeeded"}, None),
    ],
)
def test_words_of_a_pod(status: dict[str, Any], words: str | None) -> None:
    assert why_pod(thing("p", status=status), Workloads()) == words


def test_a_probe_that_fails_is_only_an_event() -> None:
    pod = thing("p", status=container(state={"running": {}}))
    assert why_pod(pod, Workloads(events=[warning("p", "Readiness probe failed: 503")])) == (
        "pod p: Readiness probe failed: 503"
    )


def test_long_words_keep_their_end() -> None:
    state = {"terminated": {"exitCode": 1, "reason": "Error", "message": f"Traceback {'x' * 2000} digest differs"}}
    words = why_pod(thing("p", status=container(state=state)), Workloads())
    assert words is not None
    assert words.endswith("digest differs")
    assert len(words) < 450


def test_rolled_out_means_every_pod_is_the_newest_and_no_other_is_left() -> None:
    right = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    web = thing("web", metadata={"generation": 3}, spec={"replicas": 2}, status=right)
    assert rolled_out(web)
    for name, value in {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 1, "availableReplicas": 1}.items():
        assert not rolled_out({**web, "status": {**right, name: value}}), name
    nothing = thing("web", metadata={"generation": 1}, spec={"replicas": 0}, status={"observedGeneration": 1})
    assert rolled_out(nothing)


def test_a_failed_job_says_what_its_pod_said() -> None:
    failed = {"conditions": [{"type": "Failed", "status": "True", "message": "it has reached its limit"}]}
    pod = thing("p", "job", status=container(state={"terminated": {"exitCode": 3, "reason": "Error"}}))
    seen = Workloads(pods=[pod])
    assert why_job(thing("job", status=failed), seen) == (
        "it has reached its limit. pod p, container main: ended with 3 (Error)"
    )
    assert why_job(thing("job", status={"conditions": [{"type": "Complete", "status": "True"}]}), seen) is None
    assert why_job(thing("refused"), Workloads(events=[warning("refused", POLICY)])) == POLICY
