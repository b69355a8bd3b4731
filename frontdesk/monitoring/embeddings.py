"""Where the model itself puts the texts: the maximum mean discrepancy of two samples of its embeddings.

Gretton et al. 2012, with a Gaussian kernel as wide as the median distance of all rows. A window in which a share s of
the texts was replaced by others has s times the discrepancy of those others, so the score reads like the distances of
shares. Rows change sides at random to tell what chance makes of it, as everywhere here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from frontdesk.monitoring import phrases
from frontdesk.monitoring.habits import Rows, habit
from frontdesk.monitoring.measures import DISTANCE_FLOORS, Measured, Pair, enough
from frontdesk.monitoring.statistics import PERMUTATIONS, Chance, chance_of

_SELDOM = 0.01
Kernel = npt.NDArray[np.float32]


def places_column(places: npt.NDArray[np.float32]) -> pa.Array:
    """Return places [rows, D] as a column of a window."""
    return pa.FixedSizeListArray.from_arrays(pa.array(places.ravel()), places.shape[1])


def place_distance(pair: Pair, name: str) -> Measured:
    """Compare the places of texts."""
    before, now = (_places(window.sample(name).column(name)) for window in (pair.reference, pair.current))
    enough(len(before), len(now))
    kernel = kernel_of(np.concatenate([before, now]))
    chance = chance_of_places(kernel, len(before), pair.rng)

    def distance(rest: Rows, part: Rows) -> float:
        sides = np.zeros(len(kernel), np.float32)
        sides[rest], sides[part] = 1 / len(rest), -1 / len(part)
        return float(discrepancy(kernel, sides[None])[0])

    sizes = len(before), len(now)
    all_rows = np.arange(len(kernel))
    score = distance(all_rows[: sizes[0]], all_rows[sizes[0] :])
    usual = habit(pair.parts(name), distance, chance, sizes)
    return Measured(
        "maximum_mean_discrepancy",
        score,
        chance,
        usual,
        DISTANCE_FLOORS,
        min(score, 1.0),
        lambda: phrases.seldom_places(_SELDOM, lonely_share(kernel, sizes[0], _SELDOM)),
    )


def kernel_of(places: npt.NDArray[np.float32]) -> Kernel:
    """Return the likeness of every two rows, float32 [N, N]: 1 for equal ones."""
    squares = np.einsum("nd,nd->n", places, places)
    distances = np.maximum(squares[:, None] + squares[None] - 2 * places @ places.T, 0.0)
    apart = distances[distances > 1e-9 * max(float(squares.max(initial=0.0)), 1e-30)]
    width = float(np.median(apart)) if len(apart) else 1.0
    return np.asarray(np.exp(distances / np.float32(-2 * width)), np.float32)


def discrepancy(kernel: Kernel, sides: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the discrepancy of sides [B, N]: each row 1 / n where the one side is, -1 / m where the other is."""
    squares = np.einsum("bn,bn->b", sides @ kernel, sides, dtype=np.float64)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))


def chance_of_places(kernel: Kernel, rows: int, rng: np.random.Generator) -> Chance:
    """Return the chance of the discrepancy of the first ``rows`` from the others."""
    sides = np.full((PERMUTATIONS, len(kernel)), -1 / (len(kernel) - rows), np.float32)
    for side in sides:
        side[rng.permutation(len(kernel))[:rows]] = 1 / rows
    return chance_of(discrepancy(kernel, sides) ** 2)


def lonely_share(kernel: Kernel, rows: int, seldom: float) -> float:
    """Return the share of the current rows that lie where the share ``seldom`` of the reference's does.

    How lonely a row is, its likeness to the rows of the reference tells, itself left out.
    """
    inside = (kernel[:rows, :rows].sum(1) - kernel.diagonal()[:rows]) / max(rows - 1, 1)
    current = kernel[rows:, :rows].mean(1)
    return float((current < np.quantile(inside, seldom)).mean())


def _places(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    whole = column.combine_chunks()
    values = whole.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values, np.float32).reshape(len(whole), -1)
