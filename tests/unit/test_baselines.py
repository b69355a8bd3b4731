"""Does the baseline answer what it should, whatever the table holds?"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from frontdesk.evaluation import baselines
from frontdesk.evaluation.baselines import NOTHING, choose, fit_and_answer, tfidf_svc
from frontdesk.preprocessing.spec import Spec
from frontdesk.records import TicketColumns
from frontdesk.snapshots import take_snapshot
from frontdesk.storage import Store
from frontdesk.ticket.recipe import TicketParameters


def answer(texts: list[str], labels: list[int], test: list[str]) -> np.ndarray:
    return fit_and_answer(texts, {"reply": np.array(labels, np.int32)}, test)["reply"].top


def test_it_reads_words() -> None:
    texts = [
        "my card was stolen",
        "card stolen again",
        "the fee is too high",
        "a fee of ten",
        "lost my key",
        "key lost",
    ]
    top = answer(texts, [4, 4, 0, 0, 2, 2], ["stolen card", "such a fee", "where is my key"])
    assert top[:, 0].tolist() == [4, 0, 2]
    assert np.sort(top, axis=1).tolist() == [[0, 2, 4]] * 3


def test_a_word_three_times_weighs_three_times() -> None:
    train, test = baselines._tfidf(["ab ab ab cd", "cd ab"], ["ab ab ab cd"])
    ab, cd = 0, 3  # of ab, "ab ab", "ab cd", cd, "cd ab"
    assert train[0, ab] / train[0, cd] == pytest.approx(3)
    assert (train[0] != test[0]).nnz == 0


def test_two_labels_are_both_listed() -> None:
    top = answer(["red red", "blue blue", "red", "blue"], [1, 0, 1, 0], ["red", "blue"])
    assert top.tolist() == [[1, 0, NOTHING], [0, 1, NOTHING]]


def test_rows_without_a_label_teach_nothing() -> None:
    top = answer(["red", "blue", "blue", "blue"], [1, -1, -1, -1], ["blue"])
    assert top.tolist() == [[1, NOTHING, NOTHING]]


@pytest.mark.parametrize("texts", [["", "", ""], [".", "  ", "\x00"]])
def test_without_a_word_the_most_frequent_label_is_the_answer(texts: list[str]) -> None:
    assert answer(texts, [3, 5, 5], ["", "words at last"]).tolist() == [[5, 3, NOTHING]] * 2


def test_without_any_label_there_is_no_answer() -> None:
    assert answer(["a b", "c d"], [-1, -1], ["a b"]).tolist() == [[NOTHING] * 3]
    assert answer([], [], ["a b"]).tolist() == [[NOTHING] * 3]
    assert answer(["a b"], [0], []).shape == (0, 3)


def test_a_label_of_one_row_is_learnt() -> None:
    top = answer(["alpha one", "alpha two", "beta one", "gamma rare"], [0, 0, 1, 2], ["gamma rare"])
    assert top[0, 0] == 2


def test_the_bounds_hold_and_are_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.random.default_rng(0).integers(-1, 30, 2000).astype(np.int32)
    assert (choose(labels, 0) == labels).all()
    monkeypatch.setattr(baselines, "MAX_LABELS", 10)
    kept = choose(labels, 0)
    frequent = {label for label, _ in Counter(labels[labels >= 0].tolist()).most_common(10)}
    assert set(kept[kept >= 0].tolist()) == frequent
    assert (kept[kept >= 0] == labels[kept >= 0]).all()
    monkeypatch.setattr(baselines, "MAX_WORK", 1000)
    assert (choose(labels, 0) >= 0).sum() == 100
    assert (choose(labels, 0) == choose(labels, 0)).all()
    assert (choose(labels, 0) != choose(labels, 1)).any()
    assert (choose(np.full(5, -1, np.int32), 0) == -1).all()


def test_a_snapshot_is_answered_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["invoice", "password", "delivery", "refund"]
    random = np.random.default_rng(1)
    place = random.integers(0, 4, 500)

    def table(rows: slice, unseen: bool) -> Path:
        topics = [words[index] for index in place[rows]]
        labels: list[str | None] = [f"about > {word}" for word in topics]
        labels[3] = None
        if unseen:
            labels[4] = "a label of tomorrow"
        texts = [f"<p>hello {random.integers(9)}</p> my {word}" for word in topics]
        path = tmp_path / f"{rows.start}.parquet"
        pq.write_table(pa.table({"title": [None] * len(texts), "body": texts, "path": labels}), path)
        return path

    store = Store(str(tmp_path / "store"))
    columns = TicketColumns(text=("title", "body"), contact_type="path")
    parameters = TicketParameters()
    train, test = table(slice(0, 400), False), table(slice(400, 500), True)
    snapshot = take_snapshot(
        store, recipe="ticket", data=str(train), test=str(test), columns=columns, parameters=parameters
    )["id"]
    names = tuple(sorted(f"about > {word}" for word in words))
    counts = tuple(int((place[:400] == words.index(name[8:])).sum()) for name in names)
    spec = Spec(
        "ticket",
        ("title", "body"),
        {},
        {},
        (),
        (),
        (),
        (),
        400,
        {"contact_type": names},
        {"contact_type": counts},
        " > ",
        8,
    )
    monkeypatch.setattr(baselines, "MAX_ROWS", 300)
    answers = tfidf_svc(store, snapshot, spec, parameters)["contact_type"]
    assert answers.top.shape == (100, 3)
    assert (answers.rows, answers.rows_labelled, answers.labels) == (300, 399, 4)
    assert [names[index] for index in answers.top[:, 0]] == [f"about > {words[index]}" for index in place[400:]]
