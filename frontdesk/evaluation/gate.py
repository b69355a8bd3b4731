"""The gate: may a candidate take the champion's place?

Both have answered the same test rows, so every comparison is paired. A candidate is held only for what is worse beyond
chance and large enough to matter:

* *No champion.* A head is held whose accuracy is below that of the majority label: the 95 % bootstrap interval of the
  difference lies wholly below zero.
* *Heads.* For accuracy and macro-F1 of each head, the paired bootstrap interval of candidate minus champion. Worse
  means: the difference is below -`MARGIN` and the whole interval is below zero.
* *Calibration.* Worse means: the expected calibration error of a head is higher by more than `CALIBRATION_MARGIN`, and
  its interval lies wholly above zero: on few rows the error itself is mostly chance.
* *Slices.* For each slice of at least `SLICE_ROWS` rows, the exact one-sided McNemar test on the rows that only one of
  the two gets right. Worse means: significant, and the accuracy is lower by more than `SLICE_MARGIN`.

Many comparisons meet chance often, so they share one budget: a candidate that is as good as the champion is held in at
most `CHANCE` of all cases, half of it spent on the heads (Bonferroni), half on the slices (Holm 1979).
A head that the champion answers and the candidate does not is a reason to hold. The order of the rows changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from frontdesk.errors import FrontdeskError, UnreadableFile
from frontdesk.evaluation import PREDICTIONS
from frontdesk.evaluation.intervals import (
    Difference,
    accuracy_difference,
    calibration_difference,
    macro_f1_difference,
)
from frontdesk.evaluation.slices import SLICE_COLUMN

MARGIN = 0.005
SLICE_MARGIN = 0.02
SLICE_ROWS = 100
CALIBRATION_MARGIN = 0.03
CHANCE = 0.04
_RESAMPLES = 2_000


@dataclass(frozen=True)
class Verdict:
    """What the gate says.

    Attributes:
        decision: ``promote`` or ``hold``.
        reasons: sentences with figures; those that hold first.
        details: every comparison, plain values.
    """

    decision: Literal["promote", "hold"]
    reasons: list[str]
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `canonical_json`."""
        return asdict(self)


def gate(
    candidate: Mapping[str, Any],
    candidate_predictions: Path,
    champion: Mapping[str, Any] | None = None,
    champion_predictions: Path | None = None,
    *,
    seed: int = 0,
) -> Verdict:
    """Decide whether a candidate may be deployed.

    Args:
        candidate, champion: contents of ``metrics.json``; the champion's was made on the candidate's test rows.
        candidate_predictions, champion_predictions: their ``predictions.parquet``.
        seed: of the bootstrap.

    Raises:
        FrontdeskError: the two have not answered the same rows.
        UnreadableFile: a file of predictions cannot be read.
    """
    if champion is None or champion_predictions is None:
        return _alone(candidate)
    if candidate["model_id"] == champion["model_id"]:
        reason = f"Unchanged: the candidate is the champion, {candidate['model_id']}."
        return Verdict("promote", [reason], {"champion": champion["model_id"]})
    ours, theirs = _read(candidate_predictions), _read(champion_predictions)
    against: list[str] = []
    infavour: list[str] = []
    details: dict[str, Any] = {"champion": champion["model_id"], "heads": {}, "slices": [], "calibration": {}}
    shared = [head for head in champion["test"] if head in candidate["test"]]
    for head in champion["test"]:
        if head not in shared:
            against.append(f"The champion answers {head}, the candidate does not.")
    pairs = {head: _pair(ours, theirs, head) for head in shared}
    for head, pair in pairs.items():
        if not len(pair.truth):
            infavour.append(f"{head}: no test row has a label, so nothing was compared.")
            continue
        level = 1 - CHANCE / (3 * len(pairs))  # two sides of CHANCE / 2 over three comparisons per head
        details["heads"][head] = _compare_head(head, pair, level, seed, against, infavour)
        details["calibration"][head] = _compare_calibration(head, pair, level, seed, against)
    details["slices"] = _compare_slices(pairs, against)
    return Verdict("hold" if against else "promote", against + infavour, details)


def _alone(candidate: Mapping[str, Any]) -> Verdict:
    against, inside = [], []
    compared = candidate.get("comparison", {}).get("majority", {})
    for head, difference in compared.items():
        if difference is None:
            inside.append(f"{head}: no test row has a label, so nothing was compared.")
            continue
        words = (
            f"{head}: accuracy {candidate['test'][head]['accuracy']:.3f}, {_signed(difference['difference'])} points "
            f"against the majority label (95 % interval {_signed(difference['low'])} to {_signed(difference['high'])})"
        )
        if difference["high"] < 0:
            against.append(f"{words}: worse than a constant answer.")
        else:
            inside.append(f"{words}.")
    first = "There is no champion to compare with."
    return Verdict("hold" if against else "promote", [*against, first, *inside], {"majority": dict(compared)})


@dataclass(frozen=True)
class _Pair:
    """The answers of both models to the labelled rows of one head, by rising row.

    Attributes:
        truth, candidate, champion: labels as indices into one list, int64 [N].
        confidence: of the candidate's and of the champion's prediction, float32 [N] each.
        slices: ``{slice: values}``, one per row, None where a row is outside.
    """

    truth: np.ndarray
    candidate: np.ndarray
    champion: np.ndarray
    confidence: tuple[np.ndarray, np.ndarray]
    slices: dict[str, list[str | None]]

    @property
    def gained(self) -> np.ndarray:
        """1 where only the candidate is right, -1 where only the champion is, int64 [N]."""
        right, before = self.candidate == self.truth, self.champion == self.truth
        return np.asarray(right.astype(np.int64) - before.astype(np.int64))


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise UnreadableFile("the predictions cannot be read", where=path.name, remedy="Evaluate again") from error


def _pair(ours: pa.Table, theirs: pa.Table, head: str) -> _Pair:
    first, second = (table.filter(pc.equal(table["head"], head)).sort_by("row") for table in (ours, theirs))
    for name in ("row", "label"):
        if not first[name].equals(second[name]):
            raise FrontdeskError(
                f"candidate and champion have not answered the same rows of {head}",
                where=PREDICTIONS,
                remedy="Evaluate the champion on the candidate's snapshot",
            )
    texts = [first["label"], first["predicted"], second["predicted"]]
    names = pc.unique(pa.chunked_array([chunk for column in texts for chunk in column.chunks], pa.string())).sort()
    truth, candidate, champion = (
        pc.index_in(column, value_set=names).to_numpy(zero_copy_only=False).astype(np.int64) for column in texts
    )
    slices = {
        name.removeprefix(SLICE_COLUMN): first[name].to_pylist()
        for name in first.column_names
        if name.startswith(SLICE_COLUMN)
    }
    confidence = (first["confidence"].to_numpy(), second["confidence"].to_numpy())
    return _Pair(truth, candidate, champion, confidence, slices)


def _compare_head(
    head: str, pair: _Pair, level: float, seed: int, against: list[str], inside: list[str]
) -> dict[str, Any]:
    right = (pair.candidate == pair.truth, pair.champion == pair.truth)
    found = {
        "accuracy": accuracy_difference(*right, seed=seed, level=level, resamples=_RESAMPLES),
        "macro_f1": macro_f1_difference(
            pair.truth, pair.candidate, pair.champion, seed=seed, level=level, resamples=_RESAMPLES
        ),
    }
    for name, difference in found.items():
        words = (
            f"{head}: {name.replace('macro_f1', 'macro-F1')} {_signed(difference.value)} points against the "
            f"champion ({100 * level:.1f} % interval {_signed(difference.low)} to {_signed(difference.high)})"
        )
        if _worse(difference):
            against.append(f"{words}: worse beyond chance.")
        else:
            inside.append(f"{words}{': better beyond chance' if difference.low > 0 else ''}.")
    return {"n": len(pair.truth), "level": level} | {name: asdict(difference) for name, difference in found.items()}


def _worse(difference: Difference) -> bool:
    return difference.value < -MARGIN and difference.high < 0


def _compare_slices(pairs: Mapping[str, _Pair], against: list[str]) -> list[dict[str, Any]]:
    from scipy.stats import binom

    found: list[dict[str, Any]] = []
    for head, pair in pairs.items():
        gained = pair.gained
        for name, values in pair.slices.items():
            places: dict[str, list[int]] = {}
            for place, value in enumerate(values):
                if value is not None:
                    places.setdefault(value, []).append(place)
            for value, rows in sorted(places.items()):
                if len(rows) < SLICE_ROWS:
                    continue
                better, worse = int(np.sum(gained[rows] > 0)), int(np.sum(gained[rows] < 0))
                # The chance of so few gains among the rows that differ, were both models equally good.
                chance = float(binom.cdf(better, better + worse, 0.5)) if better + worse else 1.0
                found.append(
                    {"head": head, "slice": name, "value": value, "n": len(rows), "p": chance}
                    | {"difference": (better - worse) / len(rows)}
                )
    adjusted = holm(np.array([row["p"] for row in found]))
    for row, p in zip(found, adjusted.tolist(), strict=True):
        row["p_adjusted"] = p
        row["worse"] = p < CHANCE / 2 and row["difference"] < -SLICE_MARGIN
        if row["worse"]:
            against.append(
                f"{row['head']}, {row['slice']} = {row['value']}: accuracy {_signed(row['difference'])} points on "
                f"{row['n']:,} rows (p = {p:.2g} after correction for {len(found)} slices)."
            )
    return found


def holm(values: np.ndarray) -> np.ndarray:
    """Return p-values adjusted for being many (Holm 1979), float64 [N], in the given order."""
    count = len(values)
    order = np.argsort(values, kind="stable")
    raised = np.maximum.accumulate(values[order] * (count - np.arange(count)))
    result = np.empty(count)
    result[order] = np.minimum(raised, 1.0)
    return result


def _compare_calibration(head: str, pair: _Pair, level: float, seed: int, against: list[str]) -> dict[str, Any]:
    right = (pair.candidate == pair.truth, pair.champion == pair.truth)
    difference = calibration_difference(pair.confidence, right, seed=seed, level=level, resamples=_RESAMPLES)
    if difference.value > CALIBRATION_MARGIN and difference.low > 0:
        against.append(
            f"{head}: expected calibration error {_signed(difference.value)} points against the champion "
            f"({100 * level:.1f} % interval {_signed(difference.low)} to {_signed(difference.high)}): "
            "its confidence means less."
        )
    return asdict(difference)


def _signed(value: float) -> str:
    """Return a difference in points of a hundred, with its sign."""
    return f"{100 * value:+.1f}"
