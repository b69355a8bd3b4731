"""Batches by tokens: rows sorted by length and packed until a batch, padding included, holds a number of tokens.

A batch is never padded to the longest text of the whole request or epoch, only to its own.
"""

from __future__ import annotations

import numpy as np

_POOL = 32
"""Batches whose rows are sorted together in training; sorting all rows would make every epoch's batches the same."""


def packed(lengths: np.ndarray, budget: int, most: int = 256) -> list[np.ndarray]:
    """Divide rows into batches of like length, shortest first.

    Args:
        lengths: tokens of each row, int [N].
        budget: most tokens of a batch, rows times its longest; a longer row stands alone.
        most: most rows of a batch.

    Returns:
        Row numbers of every batch, int64.
    """
    order = np.argsort(lengths, kind="stable")
    batches, begin = [], 0
    for at, length in enumerate(lengths[order]):
        if at > begin and ((at - begin + 1) * max(int(length), 1) > budget or at - begin >= most):
            batches.append(order[begin:at])
            begin = at
    if begin < len(order):
        batches.append(order[begin:])
    return batches


def shuffled(rows: np.ndarray, lengths: np.ndarray, budget: int, most: int, seed: tuple[int, ...]) -> list[np.ndarray]:
    """Divide the rows of one epoch into batches: shuffled, packed within pools, the batches shuffled again.

    Args:
        rows: row numbers, int64 [R].
        lengths: tokens of every row of the table, int [N].
        budget, most: see `packed`.
        seed: of the shuffles.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(rows)
    pools = np.array_split(order, max(1, round(len(order) / (_POOL * most))))
    batches = [pool[batch] for pool in pools for batch in packed(lengths[pool], budget, most)]
    return [batches[place] for place in random.permutation(len(batches))]
