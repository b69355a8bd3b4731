"""Which rows are the test set: the newest, or a stratified random share. Pure functions of arrays."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

NO_TIME = np.iinfo(np.int64).min
"""Stands for a missing time stamp in arrays of microseconds."""


class SplitParameters(Protocol):
    """The parameters of a run that decide its test rows."""

    @property
    def split(self) -> Literal["auto", "time", "random"]:
        """``time``: the newest rows. ``random``: stratified. ``auto``: by time where there are time stamps."""

    @property
    def test_share(self) -> float:
        """Wanted size of the test set, between 0 and 1."""

    @property
    def seed(self) -> int:
        """Seed of the random split."""


def by_time(times: np.ndarray, share: float) -> tuple[np.ndarray, int]:
    """Take the newest rows as the test set.

    Rows of one time stamp stay together, on the side that brings the test set nearer to ``share``. Where that would
    leave a side empty (every row has one time stamp), the order of the file decides.

    Args:
        times: int64 [N], microseconds; none is `NO_TIME`.
        share: wanted size of the test set, 0 to 1.

    Returns:
        The test rows, bool [N], and the time stamp of the oldest of them.
    """
    rows = len(times)
    wanted = _wanted(rows, share)
    boundary = np.sort(times)[rows - wanted]
    sides = [test for test in (times >= boundary, times > boundary) if 0 < test.sum() < rows]
    if not sides:
        return np.arange(rows) >= rows - wanted, int(boundary)
    test = min(sides, key=lambda side: abs(int(side.sum()) - wanted))
    return test, int(times[test].min())


def stratified(codes: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Take a random share of every label as the test set.

    A label with one row stays in training, and every label keeps at least one row there. Fractions of rows go to the
    labels with the largest remainders, so that the whole set comes as near to ``share`` as that allows.

    Args:
        codes: int [N], a row's label; -1 (no label) is a stratum of its own.
        share: wanted size of the test set, 0 to 1.
        seed: of the shuffle.

    Returns:
        The test rows, bool [N].
    """
    rows = len(codes)
    _, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    quota = counts * share
    take = np.minimum(np.floor(quota), counts - 1).astype(np.int64)
    room = take < counts - 1
    remainder = np.where(room, quota - take, -1.0)
    missing = _wanted(rows, share) - int(take.sum())
    largest = np.argsort(-remainder, kind="stable")[: max(0, missing)]
    take[largest[remainder[largest] > 0]] += 1
    order = np.random.default_rng(seed).permutation(rows)
    order = order[np.argsort(inverse[order], kind="stable")]  # shuffled inside each label, labels one after the other
    begins = np.concatenate([[0], np.cumsum(counts)[:-1]])
    place = np.arange(rows) - np.repeat(begins, counts)
    test = np.zeros(rows, bool)
    test[order] = place < np.repeat(take, counts)
    return test


def _wanted(rows: int, share: float) -> int:
    return min(max(round(rows * share), 1), max(rows - 1, 1))
