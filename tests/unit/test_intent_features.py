"""Do features become the same levels everywhere, as they were known, and does the network read them everywhere?"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontdesk.errors import BadColumns, BundleError, InvalidRequest
from frontdesk.intent.batches import Positions, pad, pad_requests
from frontdesk.intent.columns import DEFAULT_INTENT_COLUMNS, IntentColumns, convert, schema_of, with_features
from frontdesk.intent.engines.eager import EagerEngine
from frontdesk.intent.evgen import EvGen
from frontdesk.intent.levels import MISSING, FeatureLevels
from frontdesk.intent.opening import open_evgen
from frontdesk.intent.packing import pack, unpack
from frontdesk.intent.requests import parse_requests
from frontdesk.intent.sessions import Session, live_session, session_set
from frontdesk.intent.tokens import Tokenizer
from frontdesk.records import parse_columns
from frontdesk.simulation.incidents import MAPPING
from tests.intent_sessions import made_session, made_sessions, saved, small_config, small_network, small_tokenizer

COLUMNS: IntentColumns = parse_columns(MAPPING, recipe="intent")
INCIDENT = FeatureLevels("open_incident", ("none", "outage"))
QUEUE = FeatureLevels("queue_length", cuts=(2.0, 5.0))
WITH = replace(small_tokenizer(), features=(INCIDENT, QUEUE))
START = datetime(2025, 5, 5, 9, tzinfo=UTC)


def table(rows: list[tuple[str, int, str, str]]) -> pa.Table:
    """Return opened intents ``(session, minute, operator, line)`` without a known feature."""
    values: dict[str, list[Any]] = {
        "session_id": [row[0] for row in rows],
        "timestamp": [START + timedelta(minutes=row[1]) for row in rows],
        "operator": [row[2] for row in rows],
        "line": [row[3] for row in rows],
        "kind": ["intent"] * len(rows),
        "name": [f"intent {place % 3}" for place in range(len(rows))],
    }
    empty = dict.fromkeys(("element", "text", "options_shown", "status"), [None] * len(rows))
    return convert(values | empty, range(len(rows)), COLUMNS, where="t")[0]


@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(-3, 3).map(float)), min_size=1, max_size=60))
def test_numbers_have_one_level_offline_and_online(values: list[float | None]) -> None:
    column = pa.chunked_array([pa.array(values, pa.float64())])
    feature = FeatureLevels.fit("n", column)
    assert feature == FeatureLevels.from_json({"name": "n", "values": [], "cuts": list(feature.cuts or ())})
    found = feature.levels(column)
    assert found.tolist() == [feature.level(value) for value in values]
    assert (found < feature.size).all()
    known = sorted(zip([v for v in values if v is not None and np.isfinite(v)], strict=False))
    assert [feature.level(v[0]) for v in known] == sorted(feature.level(v[0]) for v in known)
    assert all((level == MISSING) == (v is None or not np.isfinite(v)) for v, level in zip(values, found, strict=True))


@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=40), st.text(max_size=3))
def test_categories_have_one_level_offline_and_online(values: list[str | None], other: str) -> None:
    column = pa.chunked_array([pa.array(values, pa.string())])
    feature = FeatureLevels.fit("c", column)
    assert feature.levels(column).tolist() == [feature.level(value) for value in values]
    assert (feature.level(other) == MISSING) == (other not in values)


def test_a_tokeniser_without_features_is_what_it_was() -> None:
    content = small_tokenizer().to_json()
    assert "features" not in content
    assert Tokenizer.from_json(content) == small_tokenizer()
    assert Tokenizer.from_json(WITH.to_json()) == WITH
    assert WITH.digest != small_tokenizer().digest


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"entities": {"line": "line", "operator": "name"}}, "the key of an entity is one of session, operator, line"),
        ({"categorical": ["rights"]}, "cannot be called rights"),
        ({"categorical": ["text"]}, "cannot be called text"),
        ({"numeric": [], "categorical": []}, "no feature"),
    ],
)
def test_a_mapping_that_cannot_be_served_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadColumns, match=words):
        parse_columns(MAPPING | {"features": MAPPING["features"] | changes}, recipe="intent")


def test_a_row_knows_what_a_request_before_it_could_know() -> None:
    asked: list[dict[str, Any]] = []

    def join(rows: pa.RecordBatch) -> pa.RecordBatch:
        asked.extend(rows.to_pylist())
        place = rows.schema.get_field_index("queue_length")
        minutes = [(row["created_at"] - START) / timedelta(minutes=1) for row in rows.to_pylist()]
        return rows.set_column(place, rows.schema.field(place), pa.array(minutes, pa.float64()))

    join.key = {}  # type: ignore[attr-defined]
    rows = table([("a", 5, "o1", "l1"), ("b", 1, "o2", "l2"), ("a", 2, "o1", "l1"), ("a", 9, "o3", "l1")])
    joined = with_features(rows, COLUMNS, join)  # type: ignore[arg-type]
    assert joined.schema == rows.schema == schema_of(COLUMNS)
    assert joined["feature:queue_length"].to_pylist() == [2.0, 1.0, 2.0, 5.0]  # the session's row before, or its own
    assert [(row["operator"], row["line"]) for row in asked] == [("o1", "l1"), ("o2", "l2"), ("o1", "l1"), ("o3", "l1")]
    tokenizer = Tokenizer.fit(joined)
    sessions = session_set(joined, tokenizer, COLUMNS)
    cuts = tokenizer.features[1].cuts
    assert tokenizer.features[0].size == 1  # nothing but missing ones
    assert cuts == (2.0, 5.0)
    assert sessions.features.tolist() == [[0, 1], [0, 2], [0, 2], [0, 3]]  # b; then a by time
    positions = Positions.of(sessions)
    assert positions.features.tolist() == [[0, 1], [0, 1], [0, 2], [0, 2], [0, 3], [0, 3]]
    assert pad(sessions, positions, np.array([1])).features.tolist() == [[0, 2]]


def test_a_log_that_holds_a_feature_itself_is_believed() -> None:
    rows = table([("a", 1, "o", "l"), ("a", 2, "o", "l")])
    values = {name: rows[role].to_pylist() for role, name in COLUMNS.roles.items()} | {"queue_length": ["3", None]}
    read, refused = convert(values, range(2), COLUMNS, where="t")
    assert read["feature:queue_length"].to_pylist() == [3.0, None]
    assert not refused
    wrong = convert(values | {"queue_length": ["3", "many"]}, range(2), COLUMNS, where="t")
    assert [(one.field, one.row) for one in wrong[1]] == [("queue_length", 2)]
    assert session_set(read.drop_columns("feature:open_incident"), WITH, COLUMNS).features.tolist() == [[0, 2], [0, 0]]
    assert not session_set(read, small_tokenizer(), DEFAULT_INTENT_COLUMNS).features.size


def test_requests_are_tokenised_with_their_features() -> None:
    request = {"line": "l", "open_incident": "outage", "queue_length": 7}
    one = parse_requests([request], WITH)[0]
    live = live_session(
        one.events, WITH, session_id="s", operator=one.operator, line=one.line, now=one.now, features=one.features
    )
    assert live.features == (2, 3)
    assert parse_requests([{"open_incident": None}], WITH)[0].features == {}
    assert live_session([], WITH, session_id="s", operator=None, line=None, now=START).features == (MISSING, MISSING)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"queue_length": "many"}, r"instances\[0\].queue_length: must be a number or null, not text"),
        ({"queue_length": True}, "must be a number or null, not a boolean"),
        ({"open_incident": ["outage"]}, r"instances\[0\].open_incident: must be text, a number or null, not a list"),
        ({"tenure_days": 1}, r"instances\[0\].tenure_days: there is no such field"),
    ],
)
def test_bad_features_are_told(request_: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        parse_requests([request_], WITH)


def _with(session: Session, *features: int) -> Session:
    return replace(session, features=features)


def test_sessions_travel_with_their_features() -> None:
    sessions = [_with(made_session([5, 11], name="a"), 1, 3), _with(made_session([4], name="b"), 0, 0)]
    arrays = pack(sessions)
    again = unpack(arrays, WITH)
    assert [one.features for one in again] == [(1, 3), (0, 0)]
    assert "features" not in pack([made_session([5])])
    bad: list[np.ndarray] = [np.array([[1, 4], [0, 0]], np.int32), np.zeros((2, 1), np.int32), np.zeros(2, np.int32)]
    for features in bad:
        with pytest.raises(InvalidRequest, match="features"):
            unpack(arrays | {"features": features}, WITH)
    with pytest.raises(InvalidRequest, match="must be session, operator, line, start, tokens"):
        unpack(arrays, small_tokenizer())


def test_every_form_of_the_network_reads_the_features(tmp_path: Path) -> None:
    """Torch, the full pass and the cached step agree; another level is another answer; a changed one is read again."""
    config = replace(small_config(), features=tuple(feature.size for feature in WITH.features))
    folder = saved(tmp_path, small_network(config), made_sessions(20))
    evgen, eager = open_evgen(folder, WITH), EagerEngine(folder)
    draw = np.random.default_rng(5)
    bare = [made_session(draw.integers(1, 14, length).tolist(), name=f"s{length}") for length in range(9)]
    sessions = [_with(one, int(draw.integers(3)), int(draw.integers(4))) for one in bare]
    padded = pad_requests(sessions)
    expected = eager.logits(padded)[np.arange(len(sessions)), padded.lengths]
    np.testing.assert_allclose(evgen.logits(sessions), expected, atol=1e-4)
    live = evgen.live()
    np.testing.assert_allclose(live.logits(sessions), expected, atol=1e-4)
    changed = [_with(one, (one.features[0] + 1) % 3, one.features[1]) for one in sessions]
    other = evgen.logits(changed)
    assert (np.abs(other - expected).max(1) > 1e-3).all()
    np.testing.assert_allclose(live.logits(changed), other, atol=1e-4)


def test_a_network_of_other_features_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path, small_network(small_config()), made_sessions(20))
    assert isinstance(open_evgen(folder, small_tokenizer()), EvGen)
    with pytest.raises(BundleError, match="other features"):
        open_evgen(folder, WITH)


def test_who_asks_now_decides_in_the_evaluation_as_in_a_request(tmp_path: Path) -> None:
    """Operator, line and features that change within a session: those of the row that is asked before, everywhere."""
    draw = np.random.default_rng(7)
    made = made_sessions(15, handovers=True)
    levels = np.column_stack([draw.integers(0, feature.size, len(made.tokens)) for feature in WITH.features])
    sessions = replace(made, features=levels.astype(np.int32))
    config = replace(small_config(), features=tuple(feature.size for feature in WITH.features))
    model = open_evgen(saved(tmp_path, small_network(config), made), WITH)
    rows = np.flatnonzero(sessions.is_intent)
    requests = []
    for row in rows:
        place = int(sessions.session_of[row])
        before = sessions[place].head(int(row - sessions.offsets[place]))
        asker = {"operator": int(sessions.operators[row]), "line": int(sessions.lines[row])}
        requests.append(replace(before, **asker, features=tuple(sessions.features[row].tolist())))
    by_row = model.row_scores(sessions, rows)
    np.testing.assert_allclose(model.scores(requests), by_row, atol=1e-5)
    np.testing.assert_allclose(model.scores(requests, live=model.live(4)), by_row, atol=1e-5)
