"""What Spark fits is what counting by hand finds, and what it applies is the library's own encoder."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pytest

from frontdesk.errors import EmptyTable, UnreadableFile
from frontdesk.preprocessing import spark as spark_job
from frontdesk.preprocessing.encoding import Encoder, level, number
from frontdesk.preprocessing.spark import preprocess
from frontdesk.preprocessing.spec import FIRST_WORD, NO_LABEL, UNSEEN_LABEL, Spec
from frontdesk.records import DEFAULT_TICKET_COLUMNS, TicketColumns
from frontdesk.storage import Store, digest
from frontdesk.tensors import SPLITS, TensorSet, transfer
from frontdesk.text.cleaning import clean_fields
from frontdesk.ticket.recipe import TicketParameters
from tests.hostile import hostile_rows
from tests.s3_server import S3
from tests.snapshot_folder import put_snapshot

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Rows = list[dict[str, Any]]
COLUMNS = DEFAULT_TICKET_COLUMNS
PARAMETERS = TicketParameters(max_tokens=24, max_words=60, max_phrases=80, max_levels=5, min_level_rows=3)


def tickets(n: int, seed: int) -> Rows:
    draw = random.Random(seed)
    words = tuple(f"word{number}" for number in range(40))
    rows = hostile_rows(n, seed, levels=("web", "phone"), words=words)
    for row in rows:
        row["contact_type"] = draw.choice((None, "a > b", "a > c", "d", "é > \u202eא"))
        row["reply"] = draw.choice((None, "r1", "R1", "r2"))
        if row["created_at"] and row["created_at"][:4] in ("0001", "9999"):  # a snapshot holds no such date
            row["created_at"] = f"2024-03-{draw.randint(1, 28):02d}T12:34:56.789012"
    return rows


TRAIN = tickets(150, 1)
TEST: Rows = [*tickets(40, 2), {"contact_type": "never seen", "reply": "r1", "body": "testonly testonly"}]
TEST += [{"body": "testonly"}] * 3


def raw(rows: Rows) -> dict[str, list[Any]]:
    return {name: [row.get(name) for row in rows] for name in (*COLUMNS.inputs, "created_at", *COLUMNS.heads)}


def by_count(counts: Counter[Any], least: int, most: int) -> list[tuple[Any, int]]:
    return sorted((item for item in counts.items() if item[1] >= least), key=lambda item: (-item[1], item[0]))[:most]


def spec_of(store: Store, manifest: dict[str, Any]) -> Spec:
    return Spec.from_json(orjson.loads(store.read_bytes("tensors", manifest["id"], "spec.json")))


def array_digests(store: Store, manifest: dict[str, Any], node: Path) -> dict[str, str]:
    folder = transfer(store, manifest["id"], node)
    return {path.name: digest(path.read_bytes()) for path in sorted(folder.glob("*.npy"))}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    # A name that Spark would read as a pattern, and one that needs quoting in an address.
    store = Store(str(tmp_path_factory.mktemp("a {store} [1] 100%")))
    put_snapshot(store, "tickets", COLUMNS, TRAIN, TEST)
    return store


@pytest.fixture(scope="module")
def manifest(spark: SparkSession, store: Store) -> dict[str, Any]:
    return preprocess(store, "tickets", PARAMETERS)


@pytest.fixture(scope="module")
def arrays(store: Store, manifest: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, TensorSet]:
    folder = transfer(store, manifest["id"], tmp_path_factory.mktemp("node"))
    return {split: TensorSet.open(folder, split, verify=True) for split in SPLITS}


def test_words_and_phrases_are_counted_per_training_document(store: Store, manifest: dict[str, Any]) -> None:
    spec = spec_of(store, manifest)
    texts = [clean_fields(row[name] for name in COLUMNS.text).split()[: PARAMETERS.max_tokens] for row in TRAIN]
    words = by_count(Counter(word for text in texts for word in set(text)), 2, PARAMETERS.max_words)
    assert list(zip(spec.vocabulary, spec.word_documents, strict=True)) == words
    ids = {word: place + FIRST_WORD for place, (word, _) in enumerate(words)}
    pairs = [{(ids[a], ids[b]) for a, b in pairwise(text) if a in ids and b in ids} for text in texts]
    phrases = by_count(Counter(pair for found in pairs for pair in found), 2, PARAMETERS.max_phrases)
    assert list(zip(spec.phrases, spec.phrase_documents, strict=True)) == phrases
    assert len(phrases) == PARAMETERS.max_phrases
    assert spec.documents == len(TRAIN)
    assert "testonly" not in spec.vocabulary


def test_levels_labels_and_numbers_are_those_of_the_training_rows(store: Store, manifest: dict[str, Any]) -> None:
    spec = spec_of(store, manifest)
    columns = raw(TRAIN)
    for name in COLUMNS.categorical:
        counts = Counter(text for value in columns[name] if (text := level(value)) is not None)
        assert list(spec.categorical[name]) == [text for text, _ in by_count(counts, 3, 5)]
    for head in COLUMNS.heads:
        counts = Counter(value for value in columns[head] if value)
        assert list(zip(spec.labels[head], spec.label_counts[head], strict=True)) == sorted(counts.items())
    for name in COLUMNS.numeric:
        values = [number(value) for value in columns[name] if value is not None]
        assert spec.numeric[name].fill == pytest.approx(np.median(np.clip(values, -1e300, 1e300)), rel=1e-12)
    days = [Encoder.numeric("created_at", value) for value in columns["created_at"] if value]
    time = spec.numeric["created_at"]
    assert (time.low, time.high, time.fill) == (min(days), max(days), max(days))
    assert list(spec.numeric) == sorted([*COLUMNS.numeric, "created_at"])
    assert spec.columns == COLUMNS.model_dump(mode="json")


@pytest.mark.parametrize(("split", "rows"), [("train", TRAIN), ("test", TEST)])
def test_tensors_are_the_encoders(
    split: str, rows: Rows, store: Store, manifest: dict[str, Any], arrays: dict[str, TensorSet]
) -> None:
    encoder = Encoder(spec_of(store, manifest))
    expected = encoder.encode(raw(rows), len(rows))
    found = arrays[split]
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.categories, expected.categories)
    assert found.numbers.tobytes() == expected.numbers.tobytes()  # the sign of zero and every bit of a date
    for head in COLUMNS.heads:
        np.testing.assert_array_equal(found.labels[head], encoder.labels(head, raw(rows)[head]))
    assert found.rows == len(rows) == manifest["rows"][split]


def test_a_label_that_training_never_saw_is_marked(arrays: dict[str, TensorSet]) -> None:
    assert arrays["test"].labels["contact_type"][40] == UNSEEN_LABEL
    assert arrays["test"].labels["contact_type"][41] == NO_LABEL
    assert UNSEEN_LABEL not in arrays["train"].labels["contact_type"]


def test_one_core_gives_the_same_and_says_nothing(store: Store, manifest: dict[str, Any], tmp_path: Path) -> None:
    """Another process, another number of tasks, its own session: the same spec and arrays, no noise from the JVM."""
    other = Store(str(tmp_path / "store"))
    put_snapshot(other, "tickets", COLUMNS, TRAIN, TEST, files=3, row_group=50)
    code = (
        "import sys; from frontdesk.preprocessing.spark import preprocess; from frontdesk.storage import Store\n"
        "from frontdesk.ticket.recipe import TicketParameters\n"
        "preprocess(Store(sys.argv[1]), 'tickets', TicketParameters.model_validate_json(sys.argv[2]))"
    )
    environment = os.environ | {"FRONTDESK_SPARK_MASTER": "local[1]", "FRONTDESK_SPARK_MEMORY": "1g"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, other.root, PARAMETERS.model_dump_json()],
        env=environment | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (tensors_id,) = (path.name for path in Path(other.uri("tensors")).iterdir())
    alone = other.manifest("tensors", tensors_id)
    assert alone is not None
    assert alone["spec"] == manifest["spec"]
    assert array_digests(other, alone, tmp_path / "a") == array_digests(store, manifest, tmp_path / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "store"]  # the session's folder is gone


def test_a_store_in_s3_gives_the_same(
    spark: SparkSession, s3: S3, store: Store, manifest: dict[str, Any], tmp_path: Path
) -> None:
    far = Store(s3.uri("preprocess"))
    put_snapshot(far, "tickets", COLUMNS, TRAIN, TEST, files=3)
    there = preprocess(far, "tickets", PARAMETERS)
    assert there["spec"] == manifest["spec"]
    assert far.manifest("tensors", there["id"]) == there
    assert array_digests(far, there, tmp_path / "a") == array_digests(store, manifest, tmp_path / "b")


def test_finished_work_is_not_done_again(
    spark: SparkSession, store: Store, manifest: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark_job, "session", None)
    assert preprocess(store, "tickets", PARAMETERS.model_copy(update={"seed": 99})) == manifest


def test_names_that_sql_would_misread_and_columns_without_values(spark: SparkSession, tmp_path: Path) -> None:
    columns = TicketColumns(
        created_at="when",
        text=("Body.text", "body.text"),
        categorical=("a`b", "x y", "A`b"),
        numeric=("n.1", "empty"),
        contact_type="label",
    )
    store = Store(str(tmp_path))
    rows = [
        {"Body.text": "upper", "body.text": f"lower {place % 3}", "a`b": "l", "x y": "m", "A`b": "n",
         "n.1": float(place), "contact_type": "z"}
        for place in range(12)
    ]  # fmt: skip
    put_snapshot(store, "odd", columns, rows)
    manifest = preprocess(store, "odd", TicketParameters(max_tokens=8))
    spec = spec_of(store, manifest)
    assert spec.vocabulary[:2] == ("lower", "upper")
    assert spec.categorical == {"a`b": ("l",), "x y": ("m",), "A`b": ("n",)}
    assert spec.numeric["n.1"].fill == 5.5
    assert spec.numeric["empty"].scale == 1.0
    assert "created_at" not in spec.numeric  # mapped, but never filled in
    found = TensorSet.open(transfer(store, manifest["id"], tmp_path / "node"), "test")
    assert (found.rows, found.ids.shape) == (0, (0, 8))


def test_a_table_without_text_has_no_words(spark: SparkSession, tmp_path: Path) -> None:
    columns = TicketColumns(categorical=("kind",), reply="answer")
    store = Store(str(tmp_path))
    put_snapshot(store, "bare", columns, [{"kind": "a", "reply": "x"}] * 5, [{"kind": "b", "reply": "y"}])
    manifest = preprocess(store, "bare", TicketParameters(max_tokens=8))
    spec = spec_of(store, manifest)
    assert (spec.vocabulary, spec.phrases, spec.numeric) == ((), (), {})
    test = TensorSet.open(transfer(store, manifest["id"], tmp_path / "node"), "test")
    assert test.categories.tolist() == [[0]]
    assert test.numbers.shape == (1, 0)
    assert test.labels["reply"].tolist() == [UNSEEN_LABEL]


def test_no_snapshot_or_no_training_row_is_said_before_spark_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark_job, "session", None)
    store = Store(str(tmp_path))
    with pytest.raises(UnreadableFile, match="no such snapshot"):
        preprocess(store, "absent", PARAMETERS)
    put_snapshot(store, "hollow", COLUMNS, [], TEST)
    with pytest.raises(EmptyTable, match="no row is left"):
        preprocess(store, "hollow", PARAMETERS)
    assert store.manifest("tensors", "absent") is None
