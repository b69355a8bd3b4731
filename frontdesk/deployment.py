"""From a measured bundle to the deployed one: the gate's question, the registry's entry, the model store.

The model store is a part of the store: ``models/<recipe>/<model_id>/`` holds every registered bundle, for ever the
same, and ``models/<recipe>/current.json`` names the deployed one. A server that reads ``current.json`` meets either the
old or the new champion, never half of one. ``candidate.json`` beside it names the version that a rollout tries.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import orjson

from frontdesk import progress
from frontdesk.errors import BundleError, GateRefused, UnreadableFile, UntrustedBundle
from frontdesk.inference_service import serving_by_settings
from frontdesk.logs import event
from frontdesk.recipes import jobs
from frontdesk.registry import Registry, Version
from frontdesk.storage import Store, canonical_json

CURRENT, CANDIDATE = "current.json", "candidate.json"
_GATES, _SBOMS = "gates", "sboms"
_log = logging.getLogger(__name__)


def judge(store: Store, registry: Registry, *, recipe: str, fused: str) -> dict[str, Any]:
    """Ask the gate whether a candidate may replace the champion.

    Args:
        fused: id of the candidate's folder in the store, made by job 5.

    Returns:
        ``{"decision": "promote" | "hold", "reasons": [words, ...]}``; `gate_of` finds it again.
    """
    manifest = _fused(store, fused)
    champion = registry.champion(recipe)
    if champion is not None and champion.model_id == manifest["model_id"]:
        return {"decision": "promote", "reasons": ["Unchanged: the candidate is the champion already."]}
    made = jobs(recipe).gate(fused=fused, champion=champion.bundle if champion else None, store=store.root)
    store.put(canonical_json(made), _GATES, recipe, f"{manifest['model_id']}.json")
    event(_log, "gate", recipe=recipe, decision=made["decision"], model_id=manifest["model_id"])
    return made


def gate_of(store: Store, recipe: str, model_id: str) -> dict[str, Any]:
    """Return what the gate said of a model, empty where it was never asked."""
    return _json(store, _GATES, recipe, f"{model_id}.json") or {}


def enter(store: Store, registry: Registry, *, recipe: str, fused: str, reason: str = "manual") -> Version:
    """Copy a candidate into the model store and register it; a second time finds both done.

    Args:
        reason: why it was trained; see `frontdesk.monitoring.retraining`.

    Raises:
        BundleError: the copy does not load, or its golden rows differ. It is taken away again, nothing is registered.
    """
    from frontdesk.bundle.materials import bill_of_materials

    manifest = _fused(store, fused)
    bundle = _place(store, recipe, fused, manifest["model_id"])
    # Not in the folder, nor under a name that begins like it: KServe's storage initializer fetches by prefix.
    store.put(canonical_json(bill_of_materials(bundle)), _SBOMS, recipe, f"{manifest['model_id']}.cdx.json")
    run = registry.record(
        recipe,
        model_id=manifest["model_id"],
        parameters=manifest["parameters"],
        history=manifest["history"],
        metrics=manifest["metrics"],
        reason=reason,
    )
    return registry.register(
        recipe,
        model_id=manifest["model_id"],
        bundle=bundle,
        snapshot=manifest["snapshot"],
        metrics=manifest["metrics"]["test"],
        run=run,
        reason=reason,
    )


def deploy(
    store: Store,
    registry: Registry,
    *,
    recipe: str,
    fused: str,
    approval: str = "none",
    reason: str = "manual",
    wait_seconds: float = 7 * 24 * 3600,
    roll_out: Callable[[Version, float], None] | None = None,
) -> Version:
    """Make a candidate the deployed model of its recipe.

    Args:
        approval: ``required`` waits until a person has approved the version.
        reason: why it was trained.
        wait_seconds: how long; and how long a rollout may take.
        roll_out: moves the traffic to a version step by step and raises `GateRefused` where it went back; see
            `frontdesk.releases.roll_out`. None deploys at once. The first deployment has nothing to be compared with,
            and is always at once.

    Raises:
        GateRefused: nobody approved in time, somebody rejected it, or it was rolled back. The champion stays.
        BundleError: see `enter`. The champion stays.
        StorageError: what servers share could not be published. The champion stays.
    """
    version = enter(store, registry, recipe=recipe, fused=fused, reason=reason)
    if approval == "required":
        _wait_for_approval(registry, recipe, version, wait_seconds)
    champion = current(store, recipe)
    if roll_out is None or champion is None or champion["model_id"] == version.model_id:
        switch(store, registry, recipe, version)
    else:
        roll_out(version, wait_seconds)
    return version


def switch(store: Store, registry: Registry, recipe: str, version: Version) -> None:
    """Make a registered version the deployed one; a second time changes nothing.

    Raises:
        StorageError: a store or the registry does not answer.
        GateRefused, ClusterError: its InferenceService did not take it over; see `frontdesk.inference_service`.
    """
    jobs(recipe).publish(version.bundle)
    with serving_by_settings(recipe, version, current(store, recipe)):
        store.put(_pointer(version), "models", recipe, CURRENT)
        registry.promote(recipe, version.number)
    event(_log, "deployed", recipe=recipe, model_id=version.model_id, version=version.number)


def offer(store: Store, recipe: str, version: Version | None) -> None:
    """Let servers of the candidate load a version; None lets them go back to the deployed one."""
    if version is not None:
        jobs(recipe).publish(version.bundle)
    store.put(b"{}\n" if version is None else _pointer(version), "models", recipe, CANDIDATE)


def current(store: Store, recipe: str) -> dict[str, Any] | None:
    """Return ``{"model_id", "uri", "version"}`` of the deployed model, or None before the first deployment."""
    return _json(store, "models", recipe, CURRENT)


def offered(store: Store, recipe: str) -> dict[str, Any] | None:
    """Return the same of the candidate: of the deployed model where no rollout goes on."""
    return _json(store, "models", recipe, CANDIDATE) or current(store, recipe)


def _pointer(version: Version) -> bytes:
    return canonical_json({"model_id": version.model_id, "uri": version.bundle, "version": version.number})


def _json(store: Store, *parts: str) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = orjson.loads(store.read_bytes(*parts))
    except UnreadableFile:
        return None
    return content


def _place(store: Store, recipe: str, fused: str, model_id: str) -> str:
    """Put a bundle into the model store and load it as a server would: every digest, then the golden rows.

    A copy from an earlier run that has since been damaged is replaced. Returns the copy's address.
    """
    from frontdesk.bundle import Bundle

    place = ("models", recipe, model_id)
    while True:
        fresh = store.manifest(*place) is None
        if fresh:
            with store.writing(*place) as scratch:
                store.fetch("fused", fused, "bundle", to=scratch)
        try:
            Bundle.load(store.uri(*place))
            return store.uri(*place)
        except BundleError as error:
            # A whole copy that is not trusted here may be what servers answer with: a wrong key must not remove it.
            untrusted = isinstance(error, UntrustedBundle)
            if fresh or not untrusted:
                store.remove(*place)
            if fresh or untrusted:
                raise


def _fused(store: Store, fused: str) -> dict[str, Any]:
    manifest = store.manifest("fused", fused)
    if manifest is None:
        raise BundleError("job 5 has not finished this bundle", where=store.uri("fused", fused))
    return manifest


def _wait_for_approval(registry: Registry, recipe: str, version: Version, seconds: float) -> None:
    end, where = time.monotonic() + seconds, f"{recipe} version {version.number}"
    progress.report("deploy", 0.25, 1, f"version {version.number} waits for approval")
    while not (found := registry.version(recipe, version.number)).approved:
        if found.rejected:
            raise GateRefused(f"{found.decided_by or 'a person'} rejected the version", where=where)
        if time.monotonic() >= end:
            raise GateRefused(
                "nobody approved the version in time",
                where=where,
                remedy=f"frontdesk approve {recipe} {version.number}, then run again",
            )
        time.sleep(min(10.0, max(0.05, seconds / 100)))
