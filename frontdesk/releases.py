"""Approval and release of registered versions: what the database, the registry and the model store say of each.

A decision may be made at the command line, on the console's page, or in MLflow's own pages. The registry's tag is what
the deploy step waits for, so every way ends there: the command line writes it at once, the console leaves the decision
in the database, and `synchronise`, which a controller calls again and again, carries each to the other side. The record
(who, when, metrics, model card, the gate's reasons) is kept in the table ``releases`` and as
``models/<recipe>/<model_id>.release.json`` beside the bundle.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from frontdesk.bundle.folder import CARD, METRICS
from frontdesk.database import Database, open_database
from frontdesk.database.releases import (
    DEPLOYED,
    REPLACED,
    RESTORE,
    ROLLED_BACK,
    ROLLING,
    Decision,
    StoredRelease,
    ask_for,
    decide_release,
    keep_release,
    release,
    releases,
    set_state,
)
from frontdesk.database.rollouts import Stored, active_rollouts, latest_rollout, latest_rollouts, start_rollout
from frontdesk.deployment import current, gate_of, offer, switch
from frontdesk.errors import GateRefused, UnreadableFile, UsageError
from frontdesk.golden_questions import golden_questions
from frontdesk.inference_service import of_settings
from frontdesk.logs import event
from frontdesk.registry import Registry, Version
from frontdesk.rollout import Plan, read_plan
from frontdesk.settings import settings
from frontdesk.storage import Store, canonical_json, reading

_IN_MLFLOW = "MLflow"
_POLL_SECONDS = 2.0
_log = logging.getLogger(__name__)


def decide(
    database: Database,
    store: Store,
    registry: Registry,
    *,
    recipe: str,
    number: int,
    decision: Decision,
    by: str,
    now: datetime,
) -> StoredRelease:
    """Approve or reject a version, in the registry, the database and the model store.

    Raises:
        UsageError: there is no such version, or it was decided the other way.
    """
    _keep(database, store, recipe, registry.version(recipe, number), now)
    found = decide_release(database, recipe, number, decision, by, now, told=False)
    return _tell(database, store, registry, found)


def synchronise(database: Database, store: Store, registry: Registry, recipe: str, now: datetime) -> None:
    """Bring database and registry to the same decisions, and do what persons asked for on the console's page."""
    versions = {version.number: version for version in registry.versions(recipe)}
    for version in versions.values():
        _keep(database, store, recipe, version, now)
    champion = current(store, recipe)
    for found in releases(database, recipe):
        there = versions.get(found.version)
        if there is None:
            continue
        if found.decision is not None and not found.told:
            _tell(database, store, registry, found)
        elif found.decision is None and (there.approved or there.rejected):
            decision: Decision = "approved" if there.approved else "rejected"
            if found.state == "waiting":
                by = there.decided_by or _IN_MLFLOW
                _write(store, decide_release(database, recipe, found.version, decision, by, now, told=True))
                event(_log, "release_decided", recipe=recipe, version=found.version, decision=decision)
        deployed = champion is not None and champion["model_id"] == found.model_id
        if found.asked == RESTORE:
            switch(store, registry, recipe, there)
            ask_for(database, recipe, found.version, None)
            set_state(database, recipe, found.version, DEPLOYED)
        elif deployed and found.state not in (DEPLOYED, ROLLING):
            set_state(database, recipe, found.version, DEPLOYED)


def begin_rollout(
    database: Database,
    store: Store,
    registry: Registry,
    *,
    recipe: str,
    number: int | None,
    plan: Plan,
    by: str,
    now: datetime,
) -> Stored:
    """Offer a version to the candidate's servers and begin its rollout.

    Args:
        number: of the version; None for the candidate, the one that was registered last.

    Raises:
        UsageError: no such version, nothing deployed to compare with, or a rollout goes on already.
        GateRefused: the version was rejected, or lacks an approval that the settings require.
        BundleError: the bundle does not load.
    """
    version = registry.candidate(recipe) if number is None else registry.version(recipe, number)
    champion = current(store, recipe)
    if version is None or champion is None:
        words = f"{recipe} has no version" if version is None else f"no {recipe} model is deployed yet"
        raise UsageError(words, remedy=f"frontdesk run {recipe} makes and deploys the first one")
    if champion["model_id"] == version.model_id:
        raise UsageError(f"{recipe} version {version.number} is deployed already")
    version = registry.version(recipe, version.number)
    if version.rejected or (settings().approval == "required" and not version.approved):
        words = "was rejected" if version.rejected else "is not approved"
        raise GateRefused(
            f"the version {words}",
            where=f"{recipe} version {version.number}",
            remedy="" if version.rejected else f"frontdesk approve {recipe} {version.number}",
        )
    if any(one.recipe == recipe for one in active_rollouts(database)):
        raise UsageError(f"a rollout of {recipe} goes on already", remedy=f"frontdesk rollout status {recipe}")
    settle(database, store, recipe)
    questions = golden_questions(version.bundle, policy=settings().policy, taxonomy=settings().taxonomy)
    _keep(database, store, recipe, version, now)
    started = start_rollout(
        database,
        recipe=recipe,
        version=version.number,
        candidate=version.model_id,
        champion=champion["model_id"],
        plan=plan,
        questions=questions,
        by=by,
        now=now,
    )
    offer(store, recipe, version)
    set_state(database, recipe, version.number, ROLLING)
    event(_log, "rollout_started", recipe=recipe, version=version.number, model_id=version.model_id)
    return started


def restore(
    database: Database, store: Store, registry: Registry, *, recipe: str, number: int, now: datetime
) -> StoredRelease:
    """Deploy a version again that was deployed before, at once.

    Raises:
        UsageError: there is no such version, or a rollout goes on.
    """
    if any(one.recipe == recipe for one in active_rollouts(database)):
        raise UsageError(f"a rollout of {recipe} goes on", remedy=f"frontdesk rollout abort {recipe}")
    version = registry.version(recipe, number)
    synchronise(database, store, registry, recipe, now)
    if release(database, recipe, number).state not in (REPLACED, DEPLOYED):
        raise UsageError(f"{recipe} version {number} was not deployed before", where="VERSION")
    switch(store, registry, recipe, version)
    set_state(database, recipe, number, DEPLOYED)
    return release(database, recipe, number)


def roll_out_by_settings(store: Store, registry: Registry, recipe: str) -> Callable[[Version, float], None] | None:
    """Return what moves traffic to a version by the steps of the settings, None where they name none.

    Raises:
        UsageError: the recipe has an InferenceService of one model, which cannot serve two.
    """
    if settings().rollout is None:
        return None
    plan = read_plan(settings().rollout)
    services = of_settings()
    if services is not None and services.template(recipe) is not None:
        raise UsageError(
            "a rollout in steps needs servers that follow the store",
            where="FRONTDESK_ROLLOUT",
            remedy=f"Set recipes.{recipe}.followStore in the chart, or let the rollout out",
        )

    def roll_out(version: Version, seconds: float) -> None:
        database = open_database()
        try:
            database.upgrade()
            options: dict[str, Any] = {"recipe": recipe, "number": version.number, "plan": plan, "by": "deploy step"}
            begin_rollout(database, store, registry, **options, now=datetime.now(UTC))
            _wait(database, recipe, seconds)
        finally:
            database.close()

    return roll_out


def _wait(database: Database, recipe: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (found := latest_rollout(database, recipe)).active:
        if time.monotonic() >= end:
            raise GateRefused("the rollout did not end in time", where=recipe, remedy="frontdesk rollout status")
        time.sleep(_POLL_SECONDS)
    if found.progress.status != "promoted":
        raise GateRefused(" ".join(found.progress.words), where=f"{recipe} version {found.version}")


def settle(database: Database, store: Store, recipe: str) -> None:
    """Write down how a rollout ended, in the database and beside its bundle, and take the candidate off its servers.

    Whoever ended it, and wherever a process died: a second time changes nothing.
    """
    ended = latest_rollouts(database).get(recipe)
    if ended is None or ended.active or release(database, recipe, ended.version).state != ROLLING:
        return
    offer(store, recipe, None)
    set_state(database, recipe, ended.version, DEPLOYED if ended.progress.status == "promoted" else ROLLED_BACK)
    _write(store, release(database, recipe, ended.version))


def _tell(database: Database, store: Store, registry: Registry, found: StoredRelease) -> StoredRelease:
    """Carry a decision to the registry, where the deploy step waits for it; the record first."""
    assert found.decision is not None
    _write(store, found)
    registry.approve(found.recipe, found.version, by=found.decided_by or "", approved=found.decision == "approved")
    event(_log, "release_decided", recipe=found.recipe, version=found.version, decision=found.decision)
    decided_at = found.decided_at or found.seen_at
    by = found.decided_by or ""
    return decide_release(database, found.recipe, found.version, found.decision, by, decided_at, told=True)


def _write(store: Store, found: StoredRelease) -> None:
    store.put(canonical_json(found.as_json()), "models", found.recipe, f"{found.model_id}.release.json")


def _keep(database: Database, store: Store, recipe: str, version: Version, now: datetime) -> None:
    """Keep a version with its papers; a second time changes nothing."""
    if any(one.version == version.number for one in releases(database, recipe)):
        return
    metrics = orjson.loads(_paper(version.bundle, METRICS) or b"{}")
    keep_release(
        database,
        recipe=recipe,
        version=version.number,
        model_id=version.model_id,
        bundle=version.bundle,
        snapshot=version.snapshot,
        metrics=metrics.get("test") or {},
        gate=gate_of(store, recipe, version.model_id),
        card=_paper(version.bundle, CARD).decode("utf-8", "replace"),
        now=now,
    )


def _paper(bundle: str, name: str) -> bytes:
    try:
        with reading(f"{bundle.rstrip('/')}/{name}") as file:
            return bytes(file.read())
    except UnreadableFile:
        return b""
