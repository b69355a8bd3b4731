"""Is a model that was trained with features better than one without, where a feature is what decides?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from frontdesk.bundle.labels import LabelBundle
from frontdesk.snapshots import read_rows
from frontdesk.storage import Store
from tests.history_bundles import PLAIN, HistoryRun, features_at, train_with

CLEAR, SHARE_OF_FOLLOW_UPS = 0.05, 0.1


def accuracies(bundle: Path, store: Store, snapshot: str, follow_ups: set[str]) -> dict[str, float]:
    """Return the accuracy of the contact type on the test rows, and on those of them that only ask for news."""
    model = LabelBundle.load(bundle)
    rows: list[dict[str, Any]] = [row for batch in read_rows(store, snapshot, "test") for row in batch.to_pylist()]
    columns = {name: [row[name] for row in rows] for name in model.spec.fields}
    answers = model.predict_columns(columns, len(rows))
    right = {
        row["id"]: answer.labels["contact_type"].label == row["contact_type"]
        for row, answer in zip(rows, answers, strict=True)
        if row["contact_type"] is not None
    }
    asking = [hit for name, hit in right.items() if name in follow_ups]
    assert len(asking) > SHARE_OF_FOLLOW_UPS * len(right)
    return {"all": sum(right.values()) / len(right), "follow-ups": sum(asking) / len(asking)}


@pytest.mark.slow
def test_training_with_features_beats_training_without_on_the_same_split(
    history_run: HistoryRun, tmp_path: Path
) -> None:
    follow_ups = {row["id"] for row in history_run.simulated.tickets.to_pylist() if row["is_follow_up"]}
    bundle, snapshot = train_with(PLAIN, tmp_path, history_run.data)
    without = accuracies(bundle, Store(str(tmp_path / "store")), snapshot, follow_ups)
    with_features = accuracies(history_run.bundle, history_run.store, history_run.snapshot, follow_ups)
    print(f"contact type, with features {with_features}, without {without}")
    assert with_features["all"] > without["all"] + CLEAR
    assert with_features["follow-ups"] > without["follow-ups"] + 0.2


@pytest.mark.slow
def test_a_table_is_evaluated_and_scored_as_job_1_read_it(history_run: HistoryRun, tmp_path: Path) -> None:
    """`evaluate` and `predict` join too: the same bundle on the same table, whose features are found again."""
    from frontdesk.feature_repo import open_join
    from frontdesk.ticket.jobs import TicketJobs

    with features_at(history_run.features):
        scored = TicketJobs(open_join).score(
            str(history_run.bundle), str(history_run.data), None, tmp_path / "labels.parquet"
        )
    assert scored["rows"] == history_run.simulated.tickets.num_rows
    labels = {row["id"]: row["contact_type"] for row in pq.read_table(tmp_path / "labels.parquet").to_pylist()}
    model = LabelBundle.load(history_run.bundle)
    for split in ("train", "test"):
        for batch in read_rows(history_run.store, history_run.snapshot, split):
            columns = {name: batch.column(name).to_pylist() for name in model.spec.fields}
            answers = model.predict_columns(columns, batch.num_rows)
            for name, answer in zip(batch.column("id").to_pylist(), answers, strict=True):
                assert labels[name] == answer.labels["contact_type"].label
