"""A versioned file that overrides the decision policy of bundles where they are served.

    version: "2026-11-22"
    recipes:
      ticket:
        heads:
          contact_type:
            automatic: 0.93                       # thresholds of confidence; without them, the bundle's
            preselect: 0.60
            labels:
              "Billing > Refund": {at_most: suggest}
          reply: {at_most: preselect}
        information_only: {replies: [opening_hours, order_status]}

``frontdesk coverage`` writes one, with the thresholds that a history gives for the precisions that are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from frontdesk.decisions import HeadPolicy, LabelRule, Policy
from frontdesk.errors import UsageError
from frontdesk.records import LabelPrediction, Level
from frontdesk.scope import LEAST, Scope
from frontdesk.taxonomy import Taxonomy
from frontdesk.yaml_file import read_yaml

REPLY = "reply"
_Share = Annotated[float, Field(ge=0, le=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Thresholds(_Frozen):
    automatic: _Share | None = None
    preselect: _Share | None = None
    at_most: Level = "automatic"

    @model_validator(mode="after")
    def _ordered(self) -> _Thresholds:
        if self.automatic is not None and self.preselect is not None and self.preselect > self.automatic:
            raise ValueError("preselect must not need more confidence than automatic")
        return self


class HeadOverride(_Thresholds):
    """The thresholds of one head, and of some of its labels."""

    labels: dict[str, _Thresholds] = {}


class InformationOnly(_Frozen):
    """Replies that only inform: such a ticket may be answered without a person.

    Attributes:
        replies: labels of the head ``reply``.
        confidence: smallest confidence of the reply. It is never less than the one that the bundle's held-out rows
            gave for the highest precision simulated; where none did, nothing is answered.
    """

    replies: tuple[str, ...] = Field(min_length=1)
    confidence: _Share = 0.0


class ScopeOverride(_Frozen):
    """See `frontdesk.scope.Scope`."""

    doubt: tuple[float, ...] = Field(min_length=2)
    unknown: tuple[float, ...] = Field(min_length=2)
    together: tuple[float, ...] = Field(min_length=2)
    least: _Share = LEAST


class RecipeOverride(_Frozen):
    """What holds for the bundles of one recipe."""

    heads: dict[str, HeadOverride] = {}
    information_only: InformationOnly | None = None
    scope: ScopeOverride | None = None


class PolicyFile(_Frozen):
    """A whole file."""

    version: str = Field(min_length=1, max_length=80)
    recipes: dict[str, RecipeOverride]


def load_policy(path: str | Path) -> PolicyFile:
    """Read a policy file.

    Raises:
        UnreadableFile: it is missing or not YAML.
        UsageError: names the key that is unknown or wrong.
    """
    content = read_yaml(path, "the policy file")
    try:
        return PolicyFile.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        words = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{key}: {words}" if key else words, where=Path(path).name) from None


@dataclass(frozen=True)
class ServedPolicy:
    """What decides at one server: the bundle's policy under a file.

    Attributes:
        version: of the file.
        policy: thresholds of every head.
        scope: None where the file names no history.
    """

    version: str
    policy: Policy
    scope: Scope | None
    replies: frozenset[str]
    reply_confidence: float | None

    def automatic_reply(self, labels: Mapping[str, LabelPrediction]) -> str | None:
        """Return the reply that may be sent without a person: it only informs, and every head is automatic."""
        reply = labels.get(REPLY)
        if reply is None or self.reply_confidence is None or reply.label not in self.replies:
            return None
        sure = reply.confidence >= self.reply_confidence
        return reply.label if sure and all(said.level == "automatic" for said in labels.values()) else None


def served_policy(file: PolicyFile, recipe: str, own: Policy, taxonomy: Taxonomy) -> ServedPolicy | None:
    """Put a file over a bundle's own policy; None where the file says nothing of the recipe.

    Raises:
        UsageError: a head or a label that the bundle does not have.
    """
    said = file.recipes.get(recipe)
    if said is None:
        return None
    heads = dict(own.heads)
    for head, override in said.heads.items():
        if head not in heads:
            raise UsageError(f"recipes.{recipe}.heads: the bundle has no head {head!r}", where=file.version)
        _require_labels(override.labels, taxonomy, head, f"recipes.{recipe}.heads.{head}.labels")
        heads[head] = _overridden(heads[head], override)
    replies, confidence = frozenset[str](), None
    if said.information_only is not None:
        _require_labels(said.information_only.replies, taxonomy, REPLY, f"recipes.{recipe}.information_only.replies")
        strictest = _strictest(own.heads[REPLY])
        replies = frozenset(said.information_only.replies)
        confidence = None if strictest is None else max(strictest, said.information_only.confidence)
    scope = None if said.scope is None else Scope(**said.scope.model_dump())
    return ServedPolicy(file.version, replace(own, heads=heads), scope, replies, confidence)


def _require_labels(names: Mapping[str, object] | tuple[str, ...], taxonomy: Taxonomy, head: str, where: str) -> None:
    known = set(taxonomy.heads[head].labels) if head in taxonomy.heads else set()
    if unknown := sorted(set(names) - known):
        raise UsageError(f"{where}: the bundle has no label {unknown[0]!r} in {head}")


def _overridden(own: HeadPolicy, said: HeadOverride) -> HeadPolicy:
    automatic = own.auto if said.automatic is None else said.automatic
    preselect = own.preselect if said.preselect is None else said.preselect
    if preselect is not None and automatic is not None:
        preselect = min(preselect, automatic)  # what is automatic may be preselected too
    rules = {name: LabelRule(**rule.model_dump()) for name, rule in said.labels.items()}
    return replace(own, auto=automatic, preselect=preselect, at_most=said.at_most, labels={**own.labels, **rules})


def _strictest(policy: HeadPolicy) -> float | None:
    """Return the threshold of the highest precision simulated, None where no confidence reached it."""
    last = max(policy.coverage, key=lambda row: row["precision"] or 0.0, default=None)
    return None if last is None else last["threshold"]
