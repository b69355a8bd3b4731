"""The gate of the intent recipe: a gain in hit rate does not pay for lost coverage, diversity or a slice.

Candidate and champion have answered the same requests, so every comparison is paired; requests of one session hang
together, so every interval is over sessions (the linearised ratio estimator, Cochran 1977, section 6.3). Held is:

* *No champion*: HR@6 below TopPop's.
* *Hit rates*: HR@1, HR@6 or MRR@10 lower by more than `MARGIN`, the whole interval below zero.
* *Diversity*: ILD@10 lower by more than `DIVERSITY_MARGIN`, the whole interval below zero.
* *Coverage*: coverage@10 lower by more than `COVERAGE_MARGIN`. It is a count over all requests and has no interval.
* *Slices*: phase, line, unseen operators, session length, of at least `SLICE_ROWS` requests: HR@6 lower by more than
  `SLICE_MARGIN`, and the interval below zero at a level that Holm's correction (1979) keeps for all slices together.

Churn is told and never holds: how steady a list should be is a setting of the line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from frontdesk.errors import FrontdeskError, UnreadableFile
from frontdesk.evaluation.gate import CHANCE, SLICE_ROWS, Verdict, holm
from frontdesk.evaluation.slices import SLICE_COLUMN
from frontdesk.intent.metrics import LONGEST, SHOWN

MARGIN = 0.005
DIVERSITY_MARGIN = 0.01
COVERAGE_MARGIN = 0.02
SLICE_MARGIN = 0.02
_COMPARED = 4
_NAMES = {"hr@1": "HR@1", "hr@6": "HR@6", "mrr@10": "MRR@10", "ild@10": "ILD@10"}


def gate(
    candidate: Mapping[str, Any],
    candidate_predictions: Path,
    champion: Mapping[str, Any] | None = None,
    champion_predictions: Path | None = None,
) -> Verdict:
    """Decide whether a candidate may be deployed.

    Args:
        candidate, champion: contents of ``metrics.json``; the champion's was made on the candidate's test sessions.
        candidate_predictions, champion_predictions: files of `evaluation.write_predictions`.

    Raises:
        FrontdeskError: the two have not answered the same requests.
        UnreadableFile: a file of predictions cannot be read.
    """
    if champion is None or champion_predictions is None:
        return _alone(candidate)
    if candidate["model_id"] == champion["model_id"]:
        reason = f"Unchanged: the candidate is the champion, {candidate['model_id']}."
        return Verdict("promote", [reason], {"champion": champion["model_id"]})
    ours, theirs = _read(candidate_predictions), _read(champion_predictions)
    for name in ("row", "truth"):
        if not ours[name].equals(theirs[name]):
            raise FrontdeskError(
                "candidate and champion have not answered the same requests",
                where=candidate_predictions.name,
                remedy="Evaluate the champion on the candidate's test sessions",
            )
    against: list[str] = []
    infavour: list[str] = []
    details: dict[str, Any] = {"champion": champion["model_id"], "test": {}, "slices": []}
    sessions = ours["session"].to_numpy()
    first, second = _figures(ours), _figures(theirs)
    quantile = NormalDist().inv_cdf(1 - CHANCE / 2 / _COMPARED)
    for name in first:
        margin = DIVERSITY_MARGIN if name == "ild@10" else MARGIN
        value, error = _difference(first[name] - second[name], sessions)
        low, high = value - quantile * error, value + quantile * error
        details["test"][name] = {"value": value, "low": low, "high": high}
        words = f"{_NAMES[name]} {_signed(value)} points against the champion ({_signed(low)} to {_signed(high)})"
        if value < -margin and high < 0:
            against.append(f"{words}: worse beyond chance.")
        else:
            infavour.append(f"{words}{': better beyond chance' if low > 0 else ''}.")
    for name, words, margin in (("coverage@10", "Coverage@10", COVERAGE_MARGIN), ("churn@6", "Churn@6", math.inf)):
        before, now = champion["test"].get(name), candidate["test"].get(name)
        if before is None or now is None:
            continue
        details["test"][name] = {"value": now - before}
        lost = now < before - margin
        (against if lost else infavour).append(f"{words} {now:.3f} against the champion's {before:.3f}.")
    details["slices"] = _compare_slices(ours, first["hr@6"] - second["hr@6"], sessions, against)
    return Verdict("hold" if against else "promote", against + infavour, details)


def _alone(candidate: Mapping[str, Any]) -> Verdict:
    own, plain = candidate["test"]["hr@6"], candidate["baselines"]["toppop"]["hr@6"]
    if own is None or plain is None:
        return Verdict("hold", ["No test session has an opened intent, so nothing was compared."])
    words = f"No champion: HR@6 {own:.3f} against {plain:.3f} of TopPop."
    return Verdict("hold" if own < plain - MARGIN else "promote", [words])


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path).sort_by("row")
    except (OSError, pa.ArrowException, KeyError) as error:
        raise UnreadableFile("the predictions cannot be read", where=path.name, remedy="Evaluate again") from error


def _figures(predictions: pa.Table) -> dict[str, np.ndarray]:
    """Return each request's part of each figure, float64 [N]."""
    place = predictions["rank"].to_numpy()
    hit = place > 0
    return {
        "hr@1": (hit & (place <= 1)).astype(float),
        "hr@6": (hit & (place <= SHOWN)).astype(float),
        "mrr@10": np.where(hit & (place <= LONGEST), 1 / np.maximum(place, 1), 0),
        "ild@10": predictions["diversity"].to_numpy(zero_copy_only=False),
    }


def _difference(values: np.ndarray, sessions: np.ndarray) -> tuple[float, float]:
    """Return the mean of paired differences, and its standard error over sessions; NaN values are left out."""
    there = ~np.isnan(values)
    if not there.any():
        return 0.0, 0.0
    values, places = values[there], np.unique(sessions[there], return_inverse=True)[1]
    sums, sizes = np.bincount(places, values), np.bincount(places)
    mean, count = float(values.mean()), len(sizes)
    if count < 2:
        return mean, math.inf
    spread = ((sums - mean * sizes) ** 2).sum() * count / (count - 1)
    return mean, float(math.sqrt(spread) / len(values))


def _compare_slices(
    predictions: pa.Table, differences: np.ndarray, sessions: np.ndarray, against: list[str]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for column in (name for name in predictions.column_names if name.startswith(SLICE_COLUMN)):
        values = np.array(predictions[column].to_pylist(), object)
        for value in sorted(set(values.tolist())):
            rows = np.flatnonzero(values == value)
            if len(rows) < SLICE_ROWS:
                continue
            mean, error = _difference(differences[rows], sessions[rows])
            # A slice without any difference between sessions has no error: its sign alone decides.
            chance = NormalDist().cdf(mean / error) if error > 0 else float(mean >= 0)
            found.append(
                {"slice": column.removeprefix(SLICE_COLUMN), "value": str(value), "n": len(rows)}
                | {"difference": mean, "p": chance}
            )
    for row, p in zip(found, holm(np.array([row["p"] for row in found])).tolist(), strict=True):
        row["p_adjusted"] = p
        row["worse"] = p < CHANCE / 2 and row["difference"] < -SLICE_MARGIN
        if row["worse"]:
            against.append(
                f"{row['slice']} = {row['value']}: HR@6 {_signed(row['difference'])} points on {row['n']:,} requests "
                f"(p = {p:.2g} after correction for {len(found)} slices)."
            )
    return found


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}"
