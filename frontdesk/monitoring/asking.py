"""What asks for a retraining: drift that persists, or labels that changed; and the request with its key."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import orjson

from frontdesk.database import Database
from frontdesk.database.retrainings import feedback_state
from frontdesk.deployment import current
from frontdesk.errors import UnreadableFile
from frontdesk.monitoring.plan import RetrainingPlan
from frontdesk.monitoring.retraining import Reason, Request
from frontdesk.monitoring.watching import Look
from frontdesk.storage import Store, digest, filesystem, reading
from frontdesk.taxonomy import load_taxonomy

_DIGITS = 20


@dataclass(frozen=True)
class Deployed:
    """The deployed bundle, as far as monitoring asks for it.

    Attributes:
        labels: content of its ``taxonomy.json``; empty for a recipe without labels.
    """

    model_id: str
    labels: Mapping[str, Any]

    @classmethod
    def of(cls, root: str | None, recipe: str) -> Deployed | None:
        """Read it from a store; None without a store or before the first deployment."""
        if root is None or (pointer := current(Store(root), recipe)) is None:
            return None
        try:
            with reading(f"{pointer['uri']}/taxonomy.json") as file:
                content: dict[str, Any] = orjson.loads(bytes(file.read()))
        except UnreadableFile:
            content = {}
        return cls(pointer["model_id"], content)

    @cached_property
    def known(self) -> Mapping[str, Collection[str]] | None:
        """``{head: labels}`` that it can answer; None where it has none."""
        heads = self.labels.get("heads", {})
        return {head: frozenset(tree["labels"]) for head, tree in heads.items()} or None


def taxonomy_version(plan: RetrainingPlan, deployed: Deployed | None, now: datetime) -> tuple[str, bool]:
    """Return the version of the labels that a retraining would learn, and whether the deployed model has another.

    With a label file, it is the file's content and the version in force; else what the deployed model was trained on.
    """
    address = plan.set.get("taxonomy")
    if address is None:
        return ("" if deployed is None else str(deployed.labels.get("version", ""))), False
    history = load_taxonomy(address)
    name = history.at(plan.set.get("taxonomy_version", now)).name
    if deployed is None:
        return f"{name} {history.digest}", False
    return f"{name} {history.digest}", deployed.labels.get("trained") != name


def request_of(
    database: Database,
    recipe: str,
    reason: Reason,
    plan: RetrainingPlan,
    deployed: Deployed | None,
    now: datetime,
    words: str,
) -> Request:
    """Return a request for a retraining, which names the data and labels that it would learn from.

    Raises:
        UnreadableFile: the configured table or label file is missing.
    """
    data: dict[str, Any] = {"feedback": feedback_state(database, recipe, now) if plan.feedback else None}
    if plan.data is not None:
        data["table"] = _state_of(plan.data)
    version, _ = taxonomy_version(plan, deployed, now)
    return Request(recipe, reason, digest(data)[:_DIGITS], version[:64], now, words)


def request_after(
    database: Database,
    recipe: str,
    plan: RetrainingPlan,
    looks: Sequence[Look],
    deployed: Deployed | None,
    now: datetime,
) -> Request | None:
    """Return what a look at a recipe asks for, None for nothing. A change of labels comes before a drift."""
    version, changed = taxonomy_version(plan, deployed, now)
    if changed:
        words = f"the labels changed: version {version.split()[0]} is in force"
        return request_of(database, recipe, "taxonomy", plan, deployed, now, words)
    for look in looks:
        if look.level == "drift" and look.verdict is not None:
            part = f"{look.part}: " if look.part else ""
            words = part + look.verdict.causes[0].words
            return request_of(database, recipe, "drift", plan, deployed, now, words)
    return None


def _state_of(address: str) -> list[Any]:
    """Return what tells one state of a file from another without reading it: its name, size and time."""
    files, path = filesystem(address)
    try:
        info = files.get_file_info(path)
    except OSError:
        info = None
    if info is None or not info.is_file:
        raise UnreadableFile("there is no such file", where=address, remedy="Check the path")
    return [address.rpartition("/")[2], info.size, info.mtime_ns]
