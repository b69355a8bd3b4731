"""Does v1 learn, answer within the catalogue, and repeat itself byte for byte?"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse

from frontdesk.errors import BundleError, TrainingError
from frontdesk.preprocessing.encoding import Encoder, level
from frontdesk.preprocessing.spec import CREATED_AT, Number, Spec
from frontdesk.records import DEFAULT_TICKET_COLUMNS
from frontdesk.simulation.tickets import simulate
from frontdesk.snapshots import read_rows, take_snapshot
from frontdesk.storage import MANIFEST, Store, canonical_json, describe
from frontdesk.text.cleaning import clean_fields
from frontdesk.ticket.candidates import Comparison, Profiles, Sums, Tickets
from frontdesk.ticket.classical import Knobs, fit, sampled, train_classical
from frontdesk.ticket.classical_model import ClassicalModel
from frontdesk.ticket.recipe import TicketParameters
from frontdesk.ticket.topics import TextVectors, fit_topics, unit_rows

SMALL = Knobs(topics=16, negatives=8, folds=4, rounds=40)
Columns = dict[str, list[Any]]


def spec_of(columns: Columns, text: tuple[str, ...], categorical: tuple[str, ...], numeric: tuple[str, ...]) -> Spec:
    """Fit a spec the plain way."""
    rows = len(columns[next(iter(columns))])
    texts = [clean_fields(columns[name][row] for name in text).split() for row in range(rows)]
    documents = Counter(word for words in texts for word in set(words))
    words = sorted((word for word, count in documents.items() if count > 1), key=lambda word: (-documents[word], word))
    place = {word: index + 2 for index, word in enumerate(words)}
    ids = [[place.get(word, 1) for word in words] for words in texts]
    pairs = Counter(pair for row in ids for pair in set(itertools.pairwise(row)) if min(pair) > 1)
    phrases = sorted((pair for pair, count in pairs.items() if count > 2), key=lambda pair: (-pairs[pair], pair))
    numbers = {}
    for name in numeric:
        values = np.array([Encoder.numeric(name, value) for value in columns[name]])
        known = values[~np.isnan(values)]
        fill = known.max() if name == CREATED_AT else np.median(known)
        numbers[name] = Number(float(fill), float(known.mean()), float(known.std() or 1))

    def frequent(name: str) -> tuple[str, ...]:
        return tuple(value for value, _ in Counter(filter(None, map(level, columns[name]))).most_common())

    labels = {head: Counter(filter(None, map(level, columns[head]))) for head in HEADS if head in columns}
    return Spec(
        recipe="ticket",
        text=text,
        categorical={name: frequent(name) for name in categorical},
        numeric=numbers,
        vocabulary=tuple(words),
        word_documents=tuple(documents[word] for word in words),
        phrases=tuple(phrases),
        phrase_documents=tuple(pairs[pair] for pair in phrases),
        documents=rows,
        labels={head: tuple(sorted(counts)) for head, counts in labels.items()},
        label_counts={head: tuple(counts[label] for label in sorted(counts)) for head, counts in labels.items()},
        separator=" > ",
        max_tokens=32,
    )


HEADS = ("contact_type", "reply")


def of_simulation(rows: int, seed: int) -> Columns:
    table: pa.Table = simulate(rows, seed)
    return {name: table.column(name).to_pylist() for name in table.column_names}


@pytest.fixture(scope="module")
def desk() -> tuple[Spec, Columns, Columns, ClassicalModel]:
    train, test = of_simulation(1200, 1), of_simulation(400, 2)
    spec = spec_of(
        train, ("subject", "body"), ("channel", "language", "product", "region"), ("account_age_days", "created_at")
    )
    halves = [({name: values[:700] for name, values in train.items()}, 700)]
    halves += [({name: values[700:] for name, values in train.items()}, 500)]
    return spec, train, test, fit(halves, spec, 0, SMALL)[0]


def test_it_beats_the_most_frequent_label_by_far(desk: tuple[Spec, Columns, Columns, ClassicalModel]) -> None:
    spec, _, test, model = desk
    answers = model.probabilities(test, 400)
    encoder = Encoder(spec)
    for head, labels in spec.labels.items():
        truth = encoder.labels(head, test[head])
        kept = truth >= 0
        chance = answers[head]
        assert chance.shape == (400, len(labels))
        assert chance.dtype == np.float32
        assert (chance >= 0).all()
        np.testing.assert_allclose(chance.sum(axis=1), 1, atol=1e-5)
        right = (chance.argmax(axis=1) == truth)[kept].mean()
        majority = (truth[kept] == np.argmax(spec.label_counts[head])).mean()
        assert right > majority + 0.2, (head, right, majority)


def test_what_is_saved_answers_alike_and_repeats_byte_for_byte(
    desk: tuple[Spec, Columns, Columns, ClassicalModel], tmp_path: Path
) -> None:
    spec, train, test, model = desk
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    model.save(first)
    again, _ = fit([(train, 1200)], spec, 0, SMALL)  # in one batch instead of two
    again.save(second)
    assert describe(first) == describe(second)
    # The spec of a bundle went through JSON, which sorts the fields.
    loaded = ClassicalModel.load(first, Spec.from_json(orjson.loads(canonical_json(spec.to_json()))))
    expected, answers = model.probabilities(test, 400), loaded.probabilities(test, 400)
    for head, chance in expected.items():
        np.testing.assert_array_equal(answers[head], chance)
    row = {name: values[7:8] for name, values in test.items()}
    np.testing.assert_allclose(loaded.probabilities(row, 1)["reply"], expected["reply"][7:8], atol=1e-6)


def test_a_damaged_model_is_refused(desk: tuple[Spec, Columns, Columns, ClassicalModel], tmp_path: Path) -> None:
    spec, _, _, model = desk
    with pytest.raises(BundleError):
        ClassicalModel.load(tmp_path, spec)
    model.save(tmp_path)
    arrays = tmp_path / "classical.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-100])
    with pytest.raises(BundleError):
        ClassicalModel.load(tmp_path, spec)


def test_hostile_rows_get_an_answer(desk: tuple[Spec, Columns, Columns, ClassicalModel]) -> None:
    _, _, _, model = desk
    columns = {
        "subject": [None, "", "<b", "\x00", "🙂 مرحبا"],
        "body": [None, "zzz qqq", "<script>", "a" * 30_000, "word " * 9_000],
        "product": [None, "never seen", "", "x", "\u202e"],
        "account_age_days": [None, 1e308, -1e308, float("nan"), float("inf")],
    }
    for chance in model.probabilities(columns, 5).values():
        assert np.isfinite(chance).all()
        np.testing.assert_allclose(chance.sum(axis=1), 1, atol=1e-5)
    for chance in model.probabilities({}, 1).values():
        assert np.isfinite(chance).all()


def test_thousands_of_labels_are_pruned_and_still_sum_to_one() -> None:
    random = np.random.default_rng(0)
    labels = [f"branch {index % 7} > leaf {index}" for index in range(300)]
    truth = np.concatenate([np.arange(300), random.integers(0, 300, 900)])
    columns: Columns = {
        "body": [f"thing{label} part{label % 40} about word{random.integers(50)}" for label in truth],
        "contact_type": [labels[label] for label in truth],
    }
    spec = spec_of(columns, ("body",), (), ())
    knobs = Knobs(topics=16, candidates=20, negatives=5, folds=3, rounds=20)
    model, held = fit([(columns, len(truth))], spec, 0, knobs)
    chance = model.probabilities(columns, len(truth))["contact_type"]
    np.testing.assert_allclose(chance.sum(axis=1), 1, atol=1e-5)
    assert held["contact_type"].probabilities.shape == (400, 300)
    assert held["contact_type"].labels.shape == (400,)
    assert (chance > 0).all()  # a label outside the candidates is unlikely, not impossible
    assert (chance.argmax(axis=1) == Encoder(spec).labels("contact_type", columns["contact_type"])).mean() > 0.8


@pytest.mark.parametrize(
    "columns",
    [
        {"body": ["a", "a"], "contact_type": ["x", "x"]},
        {"body": ["a a", "b"], "contact_type": ["x", "y"]},
        {"body": [None, None, ""], "contact_type": ["x", None, "y"], "reply": [None, "r", None]},
        {"body": ["a", "b", "c"], "size": [1.0, None, 1e100], "contact_type": ["x", "y", "z"]},
    ],
)
def test_tiny_tables_train(columns: Columns, tmp_path: Path) -> None:
    numeric = tuple(name for name in columns if name == "size")
    spec = spec_of(columns, ("body",), (), numeric)
    rows = len(columns["body"])
    model, _ = fit([(columns, rows)], spec, 0)
    model.save(tmp_path)
    for head, chance in ClassicalModel.load(tmp_path, spec).probabilities(columns, rows).items():
        assert chance.shape == (rows, len(spec.labels[head]))
        np.testing.assert_allclose(chance.sum(axis=1), 1, atol=1e-5)


def test_a_table_without_text_is_ranked_by_its_fields() -> None:
    random = np.random.default_rng(3)
    # Without text, a candidate is known by its share only, so the shares differ: 1 to 4 parts of ten. A
    # field then says something only together with the share, which takes the ranker more rounds to find.
    groups = random.permutation(np.repeat(np.arange(4), [60, 120, 180, 240]))
    columns: Columns = {
        "group": [f"g{group}" for group in groups],
        "size": (groups + random.normal(0, 0.1, 600)).tolist(),
        "contact_type": [f"queue {group}" for group in groups],
    }
    spec = spec_of(columns, (), ("group",), ("size",))
    model, held = fit([(columns, 600)], spec, 0, replace(SMALL, rounds=300))
    chance = model.probabilities({"group": ["g1", None], "size": [1.0, 2.0]}, 2)
    out = held["contact_type"]
    assert (out.probabilities.argmax(axis=1) == out.labels).mean() > 0.95
    assert chance["contact_type"].argmax(axis=1).tolist() == [1, 2]


def test_levels_have_no_order_for_the_ranker(
    desk: tuple[Spec, Columns, Columns, ClassicalModel], tmp_path: Path
) -> None:
    desk[3].save(tmp_path)
    for head in HEADS:
        trees = (tmp_path / f"{head}.ranker.txt").read_text("utf-8").splitlines()
        assert any(line.startswith("num_cat=") and line != "num_cat=0" for line in trees)


def test_a_table_without_labels_is_an_error() -> None:
    columns: Columns = {"body": ["a", "b"], "contact_type": ["x", "y"]}
    spec = spec_of(columns, ("body",), (), ())
    with pytest.raises(TrainingError):
        fit([({"body": ["a"], "contact_type": [None]}, 1)], spec, 0)
    with pytest.raises(TrainingError):
        fit([], spec, 0)


def test_vectors_are_the_spec_s_tf_idf() -> None:
    columns: Columns = {"body": ["pay the fee", "pay the fee the fee", "lost card"], "contact_type": ["x", "x", "y"]}
    spec = spec_of(columns, ("body",), (), ())
    vectors = TextVectors(spec)
    dense = vectors(columns, 3).toarray()
    assert spec.vocabulary == ("fee", "pay", "the")
    assert vectors.width == 3 + len(spec.phrases)
    np.testing.assert_allclose(np.linalg.norm(dense, axis=1), [1, 1, 0], atol=1e-6)
    assert dense[1, 0] / dense[1, 1] == pytest.approx(1 + np.log(2))  # "fee" twice, "pay" once, as frequent


def test_phrases_do_not_reach_over_the_end_of_a_text() -> None:
    spec = spec_of({"body": ["a b"] * 3, "contact_type": ["x"] * 3}, ("body",), (), ())
    assert len(spec.phrases) == 1
    assert TextVectors(spec)({"body": ["b a", "b", "a b"]}, 3).toarray()[:, -1].astype(bool).tolist() == [
        False,
        False,
        True,
    ]


def test_topics_are_the_leading_singular_vectors() -> None:
    matrix = sparse.random(60, 40, 0.2, "csr", np.float32, np.random.default_rng(0))
    matrix.data += 1
    found = fit_topics(matrix, 3, 0)
    exact = np.linalg.svd(matrix.toarray())[2][:3].T
    np.testing.assert_allclose(np.abs((found * exact).sum(axis=0)), 1, atol=1e-3)
    assert fit_topics(matrix[:, :0], 3, 0).shape == (0, 0)


def test_taking_a_fold_away_is_as_if_it_had_never_been_there() -> None:
    random = np.random.default_rng(1)
    words = sparse.random(50, 30, 0.3, "csr", np.float32, random)
    tickets = Tickets(
        unit_rows(words),
        unit_rows(random.random((50, 4), np.float32)),
        random.integers(0, 3, (50, 2)),
        np.zeros((50, 0)),
    )
    labels = random.integers(0, 5, 50)
    fold = np.arange(50) % 5 == 0
    rest = tickets.take(~fold)
    taken = Profiles.of(Sums.of(tickets, labels, 5) - Sums.of(tickets.take(fold), labels[fold], 5))
    without = Profiles.of(Sums.of(rest, labels[~fold], 5))
    one, other = Comparison(taken, tickets), Comparison(without, tickets)
    candidates = other.candidates(5)
    np.testing.assert_allclose(one.pairs(candidates), other.pairs(candidates), atol=1e-5)


def test_a_sample_is_seeded_and_keeps_the_order() -> None:
    batches = [({"n": list(range(start, start + 10))}, 10) for start in range(0, 50, 10)]
    drawn = [value for columns, _ in sampled(batches, 50, 12, 0) for value in columns["n"]]
    assert len(drawn) == 12
    assert drawn == sorted(drawn)
    assert drawn == [value for columns, _ in sampled(batches, 50, 12, 0) for value in columns["n"]]
    assert sum(rows for _, rows in sampled(batches, 50, 50, 0)) == 50


def test_a_job_finds_what_it_had_finished(tmp_path: Path) -> None:
    pq.write_table(simulate(250, 5), tmp_path / "tickets.parquet")
    store, parameters = Store(str(tmp_path / "store")), TicketParameters(split="random")
    snapshot = take_snapshot(
        store,
        recipe="ticket",
        data=str(tmp_path / "tickets.parquet"),
        columns=DEFAULT_TICKET_COLUMNS,
        parameters=parameters,
    )["id"]
    rows = pa.Table.from_batches(read_rows(store, snapshot, "train")).to_pydict()
    spec = spec_of(rows, ("subject", "body"), ("product",), ("order_total",))
    work = tmp_path / "work"
    folder = train_classical(store, snapshot, spec, parameters, work)
    made = describe(folder)
    ranked = {"contact_type.ranker.txt", "reply.ranker.txt"}
    assert set(made) == {"classical.safetensors", "config.json", "validation.safetensors"} | ranked
    changed = (folder / MANIFEST).stat().st_mtime_ns
    assert train_classical(store, snapshot, spec, parameters, work) == folder
    assert (folder / MANIFEST).stat().st_mtime_ns == changed
    # A folder that was never finished, and one of another seed, are made anew.
    (folder / MANIFEST).unlink()
    assert describe(train_classical(store, snapshot, spec, parameters, work)) == made
    other = train_classical(store, snapshot, spec, parameters.model_copy(update={"seed": 9}), work)
    assert describe(other) != made
