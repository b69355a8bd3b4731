"""Evidently's report of two windows: the only door to Evidently, opened when a report is asked for.

Every column gets its method by name: Evidently's own choice depends on the window's size, and its thresholds raise an
alarm for two samples of one population where there are many levels. No text goes in, only figures of texts.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from frontdesk.monitoring.measures import FEWEST_ROWS, OTHER, TooFew, codes_of, levels_of
from frontdesk.monitoring.texts import describe
from frontdesk.monitoring.verdict import Verdict
from frontdesk.monitoring.windows import Watched, Window

if TYPE_CHECKING:
    import pandas as pd

ROWS = 10_000
JENSEN_SHANNON, WASSERSTEIN = "jensenshannon", "wasserstein"


def write_html(
    reference: Window, current: Window, watched: Sequence[Watched], verdict: Verdict, path: Path
) -> dict[str, float]:
    """Write Evidently's page about the columns of two windows; return its score of each.

    Args:
        verdict: of the same windows: gives the thresholds.

    Raises:
        TooFew: no column has enough values.
    """
    columns: list[tuple[str, str]] = []
    frames: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for each in watched:
        for name, method, sides in _prepared(reference, current, each):
            if all(len(side.dropna()) >= FEWEST_ROWS for side in sides):
                columns.append((name, method))
                frames[0][name], frames[1][name] = sides
    scores: dict[str, float] = {}
    if not columns:
        raise TooFew("no column has enough values")
    limits = {(check.column, check.method): check.drift for check in verdict.checks}
    with _quiet():
        report = _run(frames, columns, {name: limits.get((name, method)) or 0.1 for name, method in columns})
        for metric in report.dict()["metrics"]:
            scores[metric["config"]["column"]] = float(metric["value"])
        temporary = path.with_name(f".{path.name}.partial")
        report.save_html(str(temporary))
    temporary.replace(path)
    return scores


def _run(
    frames: tuple[Mapping[str, Any], Mapping[str, Any]], columns: Sequence[tuple[str, str]], limits: Mapping[str, float]
) -> Any:
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    definition = DataDefinition(
        categorical_columns=[name for name, method in columns if method == JENSEN_SHANNON],
        numerical_columns=[name for name, method in columns if method == WASSERSTEIN],
    )
    # A column in one frame may be shorter than the others: each has its own missing rows at the end.
    sides = [
        Dataset.from_pandas(pd.DataFrame({name: pd.Series(v) for name, v in frame.items()}), data_definition=definition)
        for frame in frames
    ]
    metrics = [ValueDrift(column=name, method=method, threshold=limits[name]) for name, method in columns]
    return Report(metrics).run(sides[1], sides[0])


def _prepared(reference: Window, current: Window, each: Watched) -> list[tuple[str, str, list[pd.Series[Any]]]]:
    """Return the columns that stand for a watched one: name, method and both sides."""
    import pandas as pd

    tables = [window.sample(each.name).slice(0, ROWS) for window in (reference, current)]
    columns = [table.column(each.name) for table in tables]
    if each.type == "categorical":
        top, *_ = levels_of(reference, current, each.name)
        names = np.array([*top, OTHER, None], object)
        return [(each.title, JENSEN_SHANNON, [pd.Series(names[codes_of(column, top)]) for column in columns])]
    if each.type == "numeric":
        return [(each.title, WASSERSTEIN, [pd.Series(column.cast(pa.float64()).to_numpy()) for column in columns])]
    if each.type == "text":
        described = [describe(column.slice(0, ROWS // 5).to_pylist()) for column in columns]
        return [
            (f"{each.title}: characters", WASSERSTEIN, [pd.Series(one.characters) for one in described]),
            (f"{each.title}: words", WASSERSTEIN, [pd.Series(one.words) for one in described]),
        ]
    return []


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence a library's warnings about itself, and its telemetry."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
