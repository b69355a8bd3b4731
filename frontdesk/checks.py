"""Checks of a snapshot's data: what is refused, what is warned of. Pure functions of counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from frontdesk.errors import DataCheckFailed

Status = Literal["pass", "warn", "fail"]

REFUSED_WARN, REFUSED_FAIL = 0.05, 0.5
EMPTY_WARN, EMPTY_FAIL = 0.05, 0.9
FUTURE_FAIL = 0.5
COLLAPSE_WARN = 0.99
MISSING_WARN = 0.5
DUPLICATES_WARN = 0.1
_NAMED = 5


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: stable.
        status: ``fail`` stops the snapshot.
        value: what was measured: a share, a count, or shares per field.
        words: what it means, for a person.
    """

    name: str
    status: Status
    value: Any
    words: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def require(checks: Iterable[Check], *, where: str) -> None:
    """Raise `DataCheckFailed` with the words of every failed check."""
    failed = [check for check in checks if check.status == "fail"]
    if failed:
        raise DataCheckFailed(
            "; ".join(f"{check.words} ({check.name})" for check in failed),
            where=where,
            remedy="`frontdesk readiness` shows what the table holds",
        )


def refused_rows(refused: int, rows: int, reasons: dict[str, int]) -> Check:
    """Check the share of refused rows. ``reasons`` holds rows per ``field: reason``."""
    share = refused / max(refused + rows, 1)
    words = f"{refused:,} of {refused + rows:,} rows are refused"
    if reasons:
        most = max(reasons, key=lambda reason: (reasons[reason], reason))
        words += f", most often because of {most}"
    return Check("refused_rows", _over(share, REFUSED_WARN, REFUSED_FAIL), round(share, 6), words)


def missing_values(missing: dict[str, int], rows: int) -> Check:
    """Check the share of missing cells per input field."""
    shares = {name: round(count / max(rows, 1), 6) for name, count in missing.items()}
    sparse = [name for name, share in shares.items() if share > MISSING_WARN]
    if shares and all(share == 1 for share in shares.values()):
        return Check("missing_values", "fail", shares, "every input field is empty in every row")
    if sparse:
        return Check(
            "missing_values", "warn", shares, f"more than half of the cells are missing in {', '.join(sparse)}"
        )
    return Check("missing_values", "pass", shares, "no input field is mostly empty")


def empty_texts(empty: int, rows: int) -> Check:
    """Check the share of rows without any text."""
    share = empty / max(rows, 1)
    return Check(
        "empty_texts", _over(share, EMPTY_WARN, EMPTY_FAIL), round(share, 6), f"{share:.1%} of the rows hold no text"
    )


def future_stamps(times: np.ndarray, tomorrow: int) -> Check:
    """Check for time stamps after ``tomorrow`` (microseconds, as in ``times``)."""
    late = int((times > tomorrow).sum())
    status: Status = "fail" if late > FUTURE_FAIL * max(len(times), 1) else "warn" if late else "pass"
    return Check("future_stamps", status, late, f"{late:,} of {len(times):,} time stamps are in the future")


def duplicates(count: int, rows: int, *, has_text: bool) -> Check:
    """Check for rows whose inputs repeat an earlier row's. Without text, few fields repeat naturally."""
    share = count / max(rows, 1)
    status: Status = "warn" if has_text and share > DUPLICATES_WARN else "pass"
    return Check("duplicates", status, count, f"{count:,} of {rows:,} rows repeat the inputs of an earlier one")


def labels(counts: dict[str, np.ndarray]) -> list[Check]:
    """Check each head's training labels for collapse. ``counts``: ``{head: rows per label}``, int [labels].

    A head that cannot be learnt (fewer than two labels) fails where no other head can be, else it is warned of.
    """
    learnable = [head for head, count in counts.items() if (count > 0).sum() >= 2]
    checks = []
    for head, count in counts.items():
        total, distinct = int(count.sum()), int((count > 0).sum())
        top = float(count.max(initial=0)) / max(total, 1)
        status: Status = "pass"
        words = f"{head}: {distinct:,} labels in {total:,} training rows, the most frequent in {top:.1%}"
        if distinct < 2:
            status = "warn" if learnable else "fail"
            words = (
                f"{head}: {'no label' if distinct == 0 else 'only one label'} in training, there is nothing to learn"
            )
        elif top > COLLAPSE_WARN:
            status = "warn"
            words = f"{head}: one label stands in {top:.1%} of the training rows"
        checks.append(Check(f"labels.{head}", status, round(top, 6), words))
    return checks


def label_versions(mapped: Mapping[str, Mapping[str, Any]]) -> list[Check]:
    """Check what a label file made of the rows' labels, per head; see `frontdesk.taxonomy.RowMapper.summary`.

    Warned of: labels that no version knows, rows whose label a person must choose, valid labels without a row.
    """
    checks = []
    for head, found in mapped.items():
        rows, unknown, empty = found["reasons"], found["unknown"], found["without_examples"]
        masked = {reason: rows[reason] for reason in ("ask", "retired", "not_yet", "unknown") if rows.get(reason)}
        changed = sum(rows.get(reason, 0) for reason in ("renamed", "merged", "split"))
        words = [f"{head}: {changed:,} rows have another label than they were written with"]
        if masked:
            reasons = ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in masked.items())
            words.append(f"{sum(masked.values()):,} have none any more ({reasons})")
        if unknown:
            words.append(f"no version knows {_named(unknown)}")
        if empty:
            words.append(f"no row has {_named(empty)}")
        status: Status = "warn" if unknown or empty or rows.get("ask") else "pass"
        value = {"changed": changed, "masked": sum(masked.values()), "unknown": len(unknown), "empty": len(empty)}
        checks.append(Check(f"label_versions.{head}", status, value, "; ".join(words)))
    return checks


def _named(labels: Collection[str]) -> str:
    more = len(labels) - _NAMED
    return ", ".join([*sorted(labels)[:_NAMED], *([f"and {more:,} more"] if more > 0 else [])])


def test_labels(head: str, labelled: int, unseen: int) -> Check:
    """Report test rows whose label training never saw; they count as errors."""
    if labelled == 0:
        return Check(f"test_labels.{head}", "warn", 0, f"{head}: no test row has a label, nothing can be measured")
    words = f"{head}: {unseen:,} of {labelled:,} test rows have a label that training never saw"
    return Check(f"test_labels.{head}", "pass", unseen, words)


def split_sizes(train: int, test: int) -> Check:
    """Check that both sides of the split hold rows."""
    status: Status = "fail" if not train or not test else "pass"
    return Check("split", status, [train, test], f"{train:,} rows to train on, {test:,} to test on")


def _over(share: float, warn: float, fail: float) -> Status:
    return "fail" if share > fail else "warn" if share > warn else "pass"
