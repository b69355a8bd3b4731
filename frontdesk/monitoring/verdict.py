"""What a comparison of two windows says: a verdict, its causes in words, and everything that was looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from frontdesk.errors import UnreadableFile

Kind = Literal["input", "text", "prediction", "label", "quality"]
Level = Literal["stable", "watch", "drift"]
LEVELS: tuple[Level, ...] = ("stable", "watch", "drift")


@dataclass(frozen=True)
class Cause:
    """A change that is more than chance and large enough to matter.

    Attributes:
        column: the column as the table calls it.
        kind: what the column is to the model.
        method: the statistic; always one where large means far apart.
        score: its value; at least `threshold`.
        threshold: what it crossed: that of `level`.
        words: what changed, for a person. Level names and frequent words at most, never a text.
        level: ``watch`` or ``drift``.
        within: the level of the column's other column (a queue's topic) in which the change shows most; else empty.
    """

    column: str
    kind: Kind
    method: str
    score: float
    threshold: float
    words: str
    level: Level = "drift"
    within: str = ""


@dataclass(frozen=True)
class Check:
    """One statistic of one column, whether it crossed a threshold or not.

    Attributes:
        score, watch, drift: the statistic and its two thresholds; None where it was not computed.
        reason: why it was not computed; empty where it was.
    """

    column: str
    kind: Kind
    method: str
    score: float | None = None
    watch: float | None = None
    drift: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Slice:
    """What a part of the rows says by itself.

    Attributes:
        part: ``column=value``.
        rows: ``{"reference": n, "current": n}``, all of them.
        causes: as those of a `Verdict`.
    """

    part: str
    verdict: Level
    rows: dict[str, int]
    causes: tuple[Cause, ...]


@dataclass(frozen=True)
class Verdict:
    """The outcome of a comparison.

    Attributes:
        verdict: ``drift`` where a cause is one, else ``watch`` where a cause is one, else ``stable``.
        causes: what crossed a threshold, worst first.
        checks: every statistic of every column, in the order of the columns.
        rows: ``{"reference": n, "current": n}``.
        false_alarm_rate: how often a comparison without any drift says ``drift``, over all columns together.
        spans: first and last day of each window, where there are time stamps.
        notes: what a reader must know of the comparison: columns that were not compared, windows that are small.
        slices: parts that were compared by themselves, worst first; ``verdict`` and ``causes`` are of the whole.
    """

    verdict: Level
    causes: tuple[Cause, ...]
    checks: tuple[Check, ...]
    rows: dict[str, int]
    false_alarm_rate: float
    spans: dict[str, tuple[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    slices: tuple[Slice, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` reads them back."""
        plain = asdict(self)
        for name in ("causes", "checks", "notes"):
            plain[name] = list(plain[name])
        plain["slices"] = [{**part, "causes": list(part["causes"])} for part in plain["slices"]]
        plain["spans"] = {window: list(days) for window, days in self.spans.items()}
        return plain

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Verdict:
        """Read what `as_json` returned. Raises `UnreadableFile` for something else."""
        try:
            return cls(
                verdict=content["verdict"],
                causes=tuple(Cause(**cause) for cause in content["causes"]),
                checks=tuple(Check(**check) for check in content["checks"]),
                rows=dict(content["rows"]),
                false_alarm_rate=content["false_alarm_rate"],
                spans={window: (first, last) for window, (first, last) in content["spans"].items()},
                notes=tuple(content["notes"]),
                slices=tuple(
                    Slice(**{**part, "causes": tuple(Cause(**cause) for cause in part["causes"])})
                    for part in content.get("slices", ())
                ),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadableFile(f"this is no verdict of a comparison ({type(error).__name__})") from error
