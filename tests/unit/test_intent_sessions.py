"""Are sessions read as the mapping says, split at one moment, and tokenised alike offline and online?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontdesk.errors import BadColumns, BundleError, EmptyTable
from frontdesk.intent.columns import DEFAULT_INTENT_COLUMNS, IntentColumns, parse_intent_columns, rows_of
from frontdesk.intent.sessions import LiveRow, SessionSet, live_session, session_set, temporal_split, usable_rows
from frontdesk.intent.tokens import FIRST_TOKEN, UNKNOWN_EVENT, UNKNOWN_INTENT, UNSEEN, Tokenizer
from frontdesk.storage import canonical_json
from tests.intent_data import PLAIN, START, sessions, simulated, table

MAPPING = {"session": "s", "operator": "o", "line": "l", "timestamp": "t", "kind": "k", "name": "n"}


def test_a_mapping_is_strict() -> None:
    assert parse_intent_columns(MAPPING | {"fields": ["text"]}).fields == ("text",)
    with pytest.raises(BadColumns, match="colour: unknown key"):
        parse_intent_columns(MAPPING | {"colour": "c"})
    with pytest.raises(BadColumns, match="name: this key is missing"):
        parse_intent_columns({key: value for key, value in MAPPING.items() if key != "name"})
    with pytest.raises(BadColumns, match="named twice: n"):
        parse_intent_columns(MAPPING | {"fields": ["n"]})


def test_bad_rows_are_refused_with_row_and_field() -> None:
    made = pa.table(
        {
            "session": ["a", None, "a", "a", "a"],
            "operator": ["o", "o", None, "o", "o"],
            "line": ["l"] * 5,
            "time": [
                "2025-01-01T10:00:00",
                "2025-01-01T10:00:00",
                "2025-01-01T10:00:01",
                "soon",
                "2025-01-01T10:00:02",
            ],
            "kind": ["intent", "intent", "event", "event", "click"],
            "name": ["A", "B", "c", "d", "e"],
        }
    )
    rows, refused = rows_of(made, PLAIN, where="file.csv")
    assert rows["name"].to_pylist() == ["A", "c"]
    assert [(each.row, each.field) for each in refused] == [(2, "session"), (4, "time"), (5, "kind")]
    assert "click" not in str(refused)
    with pytest.raises(BadColumns, match="'kind'"):
        rows_of(made.drop_columns("kind"), PLAIN)
    with pytest.raises(EmptyTable):
        rows_of(made.slice(4), PLAIN)


def test_tokens_are_intents_then_events_and_the_unknown_is_reserved() -> None:
    columns = PLAIN.model_copy(update={"fields": ("text",)})
    made = table(("o", "l", "click", "B", "click", "scroll", "A"), text=["Pay", None, "Block", None, None])
    rows, _ = rows_of(made, columns)
    tokenizer = Tokenizer.fit(rows)
    assert tokenizer.intents == ("A", "B")
    assert tokenizer.token("intent", "B", [""]) == FIRST_TOKEN + 1
    assert tokenizer.token("intent", "C", [""]) == UNKNOWN_INTENT
    assert tokenizer.token("event", "hover", [""]) == UNKNOWN_EVENT
    pay, block, other = (tokenizer.token("event", "click", [text]) for text in ("Pay", "Block", "New"))
    assert len({pay, block, other}) == 3
    assert other == tokenizer.token("event", "click", ["Newer"]) > UNKNOWN_INTENT, "an unseen text is the plain event"
    again = Tokenizer.from_json(orjson.loads(canonical_json(tokenizer.to_json())))
    assert again == tokenizer
    assert again.digest == tokenizer.digest
    with pytest.raises(BundleError, match="format 7"):
        Tokenizer.from_json(tokenizer.to_json() | {"format": 7})


def test_sessions_lie_by_start_and_rows_by_time() -> None:
    made = table(("o", "l", "a", "A"), ("p", "m", "b", "B"))
    shuffled = made.take([3, 0, 2, 1])
    rows, _ = rows_of(shuffled, PLAIN)
    tokenizer = Tokenizer.fit(rows)
    found = session_set(rows, tokenizer, PLAIN)
    assert found.session_ids == ("s0", "s1")
    assert found.is_intent.tolist() == [False, True, False, True]
    assert found.intents.tolist() == [-1, 0, -1, 1]
    assert found[1].operator == tokenizer.operator_ids["p"]
    assert (found[0].weekday, found[0].hour) == (0, 9)
    assert found.take(1, 2)[0].tokens.tolist() == found[1].tokens.tolist()
    assert found.weekday.tolist() == [0, 1]


def test_the_split_is_at_one_moment() -> None:
    made = table(*[("o", "l", "a", "A")] * 10).take(list(np.random.default_rng(0).permutation(20)))
    rows, _ = rows_of(made, PLAIN)
    test = temporal_split(rows)
    assert set(rows.filter(pa.array(test))["session"].to_pylist()) == {"s8", "s9"}
    same = made.set_column(made.column_names.index("time"), "time", pa.array([START] * 20))
    rows, _ = rows_of(same, PLAIN)
    tied = set(rows.filter(pa.array(temporal_split(rows)))["session"].to_pylist())
    order = list(dict.fromkeys(rows["session"].to_pylist()))
    assert tied == set(order[-2:]), "ties go by file order"


def test_shown_options_are_kept() -> None:
    columns = PLAIN.model_copy(update={"options": "shown"})
    made = table(("o", "l", "a", "A", "B"), shown=[None, "B| A|Z", "A"])
    rows, _ = rows_of(made, columns)
    found = session_set(rows, Tokenizer.fit(rows), columns)
    assert found.option_offsets.tolist() == [0, 0, 3, 4]
    assert found.options.tolist() == [1, 0, UNSEEN, 0]


def test_an_equal_row_is_one_delivery_unless_the_clock_is_coarse() -> None:
    made = table(("o", "l", "a", "A", "B"), ("o", "l", "a"))
    doubled = pa.concat_tables([made, made.slice(1, 1)])
    rows, _ = rows_of(doubled, PLAIN)
    assert Tokenizer.fit(rows).one_delivery
    assert len(session_set(rows, Tokenizer.fit(rows), PLAIN).tokens) == 4
    days = doubled.set_column(doubled.column_names.index("time"), "time", pa.array([datetime(2025, 1, 1)] * 5))
    rows, _ = rows_of(days, PLAIN)
    assert not Tokenizer.fit(rows).one_delivery
    assert len(session_set(rows, Tokenizer.fit(rows), PLAIN).tokens) == 5


def offline(rows: list[LiveRow], columns: IntentColumns, tokenizer: Tokenizer) -> SessionSet:
    """Return what the log of one session becomes."""
    made = {
        "session_id": ["s"] * len(rows),
        "operator": ["o"] * len(rows),
        "line": ["l"] * len(rows),
        "timestamp": [row.timestamp for row in rows],
        "kind": [row.kind for row in rows],
        "name": [row.name for row in rows],
        **{name: [row.fields.get(name) for row in rows] for name in columns.fields},
    }
    logged = columns.model_copy(update={"options": None, "status": None})
    return session_set(rows_of(pa.table(made), logged)[0], tokenizer, logged)


VALUES = (st.sampled_from(["Pay", " Pay ", "", "Block", "x" * 150]), st.integers(0, 3), st.booleans())


@settings(max_examples=60)
@given(data=st.data())
def test_a_replayed_stream_gives_the_log_s_tokens(data: st.DataObject) -> None:
    """Order, lateness, duplicates: what the screen sends, in any order and twice, is what the log holds."""
    columns = DEFAULT_INTENT_COLUMNS
    values = st.none() | data.draw(st.sampled_from(VALUES))  # a column holds values of one type
    drawn = data.draw(
        st.lists(st.tuples(st.booleans(), st.sampled_from(["A", "B", "c", " d"]), values), min_size=1, max_size=12)
    )
    log = [
        LiveRow(
            START + timedelta(milliseconds=10 * place),
            "intent" if is_intent else "event",
            name,
            {"element": "button", "text": value},
        )
        for place, (is_intent, name, value) in enumerate(drawn)
    ]
    tokenizer = TOKENIZER
    expected = offline(log, columns, tokenizer)
    stream = [*log, *data.draw(st.lists(st.sampled_from(log), max_size=5))]
    arrived = data.draw(st.permutations(stream))
    live = live_session(arrived, tokenizer, session_id="s", operator="o", line="l", now=START)
    assert live.tokens.tolist() == expected.tokens.tolist()
    assert live.is_intent.tolist() == expected.is_intent.tolist()
    assert live.intents.tolist() == expected.intents.tolist()
    assert live.times.tolist() == expected.times.tolist()
    assert live.start == int(expected.starts[0])


def _known() -> Tokenizer:
    rows = [
        LiveRow(START + timedelta(seconds=place), kind, name, {"element": "button", "text": text})
        for place, (kind, name, text) in enumerate(
            [
                ("intent", "A", None),
                ("event", "c", "Pay"),
                ("event", "c", "1"),
                ("event", "d", "true"),
                ("event", "d", None),
                ("event", "c", "x" * 120),
            ]
        )
    ]
    made = {
        "session_id": ["s"] * len(rows),
        "operator": ["o"] * len(rows),
        "line": ["l"] * len(rows),
        "timestamp": [row.timestamp for row in rows],
        "kind": [row.kind for row in rows],
        "name": [row.name for row in rows],
        "element": [row.fields["element"] for row in rows],
        "text": [row.fields["text"] for row in rows],
    }
    columns = DEFAULT_INTENT_COLUMNS.model_copy(update={"options": None, "status": None})
    return Tokenizer.fit(rows_of(pa.table(made), columns)[0])


TOKENIZER = _known()


def test_a_session_without_rows_starts_now() -> None:
    now = datetime(2025, 5, 4, 23, 30, tzinfo=UTC)
    live = live_session([], TOKENIZER, session_id="s", operator="new", line=None, now=now)
    assert (live.operator, live.line, len(live.tokens)) == (UNSEEN, UNSEEN, 0)
    assert (live.weekday, live.hour) == (6, 23)


def test_sessions_whose_intents_all_failed_are_left_out() -> None:
    columns = PLAIN.model_copy(update={"status": "status"})
    made = table(
        ("o", "l", "a", "A", "B"),
        ("o", "l", "a", "A"),
        ("o", "l", "a"),
        status=[None, "error", "ok", None, "error", None],
    )
    rows, _ = rows_of(made, columns)
    kept = usable_rows(rows, columns)
    assert set(kept["session"].to_pylist()) == {"s0"}
    found = session_set(kept, Tokenizer.fit(kept), columns)
    assert found.is_target.tolist() == [False, False, True], "an intent that failed is context, no target"
    with pytest.raises(EmptyTable):
        usable_rows(rows.slice(3), columns)


def test_operators_and_lines_that_training_never_saw_are_unseen() -> None:
    known, tokenizer = sessions(("o", "l", "a", "A"))
    assert known.operators.tolist() == [0, 0]
    rows, _ = rows_of(table(("p", "m", "a", "B")), PLAIN)
    found = session_set(rows, tokenizer, PLAIN)
    assert found.operators.tolist() == found.lines.tolist() == [UNSEEN, UNSEEN]
    assert found.tokens.tolist()[1] == UNKNOWN_INTENT
    assert found.is_target.tolist() == [False, True]


def test_simulated_sessions_keep_their_arrays_aligned() -> None:
    found = simulated(3_000).train
    assert found.offsets[-1] == len(found.tokens) == len(found.times) == len(found.operators)
    assert (np.diff(found.starts) >= 0).all()
    assert all((np.diff(session.times) >= 0).all() for session in found)
    assert ((found.tokens >= FIRST_TOKEN) & (found.intents >= 0))[found.is_intent].all()
