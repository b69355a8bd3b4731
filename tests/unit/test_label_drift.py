"""Do the shares of labels by month say what changed, and how much of it chance would show?"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest

from frontdesk.evaluation.label_drift import REST, SHOWN_LABELS, label_drift


def _batch(months: list[str | None], **heads: list[str | None]) -> pa.RecordBatch:
    times = [None if month is None else datetime.fromisoformat(f"{month}-07T23:00:00+00:00") for month in months]
    return pa.record_batch({"created_at": pa.array(times, pa.timestamp("us", tz="UTC")), **heads})


def test_shares_and_distances_are_right() -> None:
    batches = [
        _batch(["2024-02", "2024-01", "2024-01", None], queue=["b", "a", "a", "a"], topic=["t", None, None, "t"]),
        _batch(["2024-01", "2024-02", "2024-02", "2024-01"], queue=["b", "b", "a", None], topic=[None, "t", "t", None]),
    ]
    found = label_drift(batches, ["queue", "topic", "line"])
    assert set(found) == {"queue"}, "a head in one month only does not drift"
    assert (found["queue"]["labels"], found["queue"]["shares"]) == (["a", "b"], [0.5, 0.5])
    first, second = found["queue"]["months"]
    assert (first["month"], first["n"], first["shares"]) == ("2024-01", 3, [0.666667, 0.333333])
    assert (second["month"], second["n"], second["shares"]) == ("2024-02", 3, [0.333333, 0.666667])
    assert first["distance"] == second["distance"] == pytest.approx(1 / 3, abs=1e-6)


def test_rare_labels_stand_together() -> None:
    labels = [f"label {number}" for number in range(SHOWN_LABELS + 3) for _ in range(20 - number)]
    months = ["2024-01" if place % 2 else "2024-02" for place in range(len(labels))]
    found = label_drift([_batch(months, queue=labels)], ["queue"])["queue"]
    assert found["labels"] == [*(f"label {number}" for number in range(SHOWN_LABELS)), REST]
    for shares in (found["shares"], *(month["shares"] for month in found["months"])):
        assert len(shares) == SHOWN_LABELS + 1
        assert sum(shares) == pytest.approx(1, abs=1e-5)


def test_chance_is_what_months_without_drift_show() -> None:
    random = np.random.default_rng(0)
    months = [f"20{year:02d}-{month:02d}" for year in range(10, 20) for month in range(1, 13)]
    rows = [month for month in months for _ in range(60)]
    labels = random.choice(list("abcdef"), len(rows), p=[0.4, 0.25, 0.15, 0.1, 0.07, 0.03]).tolist()
    still = label_drift([_batch(list(rows), queue=labels)], ["queue"])["queue"]["months"]
    distances, chance = ([month[name] for month in still] for name in ("distance", "chance"))
    assert np.mean(distances) == pytest.approx(np.mean(chance), rel=0.1)
    assert max(distances) < 2.2 * np.mean(chance)
    changed = ["new" if month == months[-1] else label for month, label in zip(rows, labels, strict=True)]
    last = label_drift([_batch(list(rows), queue=changed)], ["queue"])["queue"]["months"][-1]
    assert last["distance"] == pytest.approx(1)
    assert last["distance"] > 2 * last["chance"]


def test_tables_without_dates_or_rows_have_none() -> None:
    assert label_drift([pa.record_batch({"queue": ["a", "b"]})], ["queue"]) == {}
    assert label_drift([], ["queue"]) == {}
    assert label_drift([_batch([None, None], queue=["a", "b"])], ["queue"]) == {}
