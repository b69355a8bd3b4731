"""Changes in words: which levels, by how much. Level names and single words at most, never a text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_MOST = 3
_LONGEST = 80


def percent(share: float) -> str:
    """Return a share in percent, with more digits where it is small."""
    digits = 1 if share >= 0.001 or share == 0 else 3
    return f"{100 * share:.{digits}f} %"


def quoted(name: str) -> str:
    """Return a level's name in quotes, shortened, on one line."""
    plain = "".join(sign if sign.isprintable() else " " for sign in name)
    return f"“{plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1].rstrip() + '…'}”"


def moved(names: Sequence[str], before: npt.ArrayLike, now: npt.ArrayLike) -> str:
    """Say which levels grew and which shrank most, as shares of both windows."""
    p, q = (np.asarray(counts, np.float64) for counts in (before, now))
    p, q = p / max(p.sum(), 1.0), q / max(q.sum(), 1.0)
    order = np.argsort(-np.abs(q - p), kind="stable")[:_MOST]
    said = [
        f"{names[place]} {'grew' if q[place] > p[place] else 'shrank'} from {percent(p[place])} to {percent(q[place])}"
        for place in order
        if abs(q[place] - p[place]) > 1e-12
    ]
    return ", ".join(said)


def numbers(before: npt.NDArray[np.float64], now: npt.NDArray[np.float64]) -> str:
    """Say how the middle and the ends of a number moved; numbers between 0 and 1 are told in percent."""
    ends = [float(end) for side in (before, now) for end in (side.min(), side.max())]
    share = min(ends) >= 0 and max(ends) <= 1
    found = [("mean", float(np.mean(before)), float(np.mean(now)))]
    for words, of in (("median", 50), ("lowest tenth up to", 10), ("highest tenth from", 90)):
        found.append((words, float(np.percentile(before, of)), float(np.percentile(now, of))))
    told = [(words, *((percent(x) if share else f"{x:.4g}") for x in (a, b))) for words, a, b in found]
    return ", ".join(f"{words} {a} → {b}" for words, a, b in told if a != b)


def new_levels(levels: Sequence[tuple[str, int]], rows: int, share: float, what: str = "rows") -> str:
    """Say which levels the reference never had, the most frequent first."""
    named = ", ".join(f"{quoted(name)} ({percent(count / rows)})" for name, count in levels[:_MOST])
    more = f" and {len(levels) - _MOST:,} more" if len(levels) > _MOST else ""
    return f"{percent(share)} of the {what} have a value that the reference never had: {named}{more}"


def unknown_words(words: Sequence[tuple[str, float]]) -> str:
    """Name the most frequent new words, with the share of the texts that hold each."""
    return ", ".join(f"{quoted(word)} in {percent(share)} of the texts" for word, share in words[:_MOST])


def missing(before: float, now: float) -> str:
    """Say how the share of rows without a value changed."""
    return f"{percent(now)} of the rows have no value, {percent(before)} before"


def frequent_words(words: Sequence[str], before: npt.NDArray[np.float64], now: npt.NDArray[np.float64]) -> str:
    """Say which words became frequent and which rare, as shares of the texts that hold them."""
    order = np.argsort(before - now, kind="stable")
    said = [f"{quoted(words[i])} in {percent(now[i])} of the texts, {percent(before[i])} before" for i in order[:_MOST]]
    gone = [i for i in order[::-1][:_MOST] if before[i] - now[i] > (now - before)[order[0]] / 2]
    said += [f"rarer: {quoted(words[i])} in {percent(now[i])}, {percent(before[i])} before" for i in gone[:1]]
    return "; ".join(said)


def seldom_places(share: float, now: float) -> str:
    """Say how many texts lie where the model has few of the reference's."""
    return f"{percent(now)} of the texts lie where {percent(share)} of the reference's do"
