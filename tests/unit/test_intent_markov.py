"""Do TopPop and the Markov back-off count and rank what they say, against plain Python?"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontdesk.errors import BundleError
from frontdesk.intent.counts import first_distinct, top_counts
from frontdesk.intent.evaluation import markov_ranking
from frontdesk.intent.keys import (
    NO_KEY,
    ORDER,
    asked_keys,
    backoff_keys,
    recent_tokens,
    suffix_keys,
    window_of,
    windows,
)
from frontdesk.intent.mapped import map_arrays, write_arrays
from frontdesk.intent.markov import MARKOV, PER_KEY, TOPPOP, Backoff, MarkovTable, build_table, rank, walk
from frontdesk.intent.metrics import Requests
from frontdesk.intent.sessions import SessionSet
from frontdesk.intent.toppop import TopPop
from tests.intent_data import names_of, sessions, simulated

TOKENS = st.lists(st.sampled_from(["A", "B", "C", "a", "b"]), min_size=1, max_size=9)


def plain_table(found: SessionSet, *, intents_only: bool) -> dict[tuple[int, ...], Counter[int]]:
    """Count as the article tells it: every prefix, its last 1 to 5 tokens, the next opened intent."""
    counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for session in found:
        kept = session.is_intent if intents_only else np.ones(len(session.tokens), bool)
        tokens, intents = session.tokens[kept].tolist(), session.intents[kept].tolist()
        for end in range(1, len(tokens)):
            following = next((intent for intent in intents[end:] if intent >= 0), None)
            if following is None:
                continue
            for length in range(1, min(ORDER, end) + 1):
                counts[tuple(tokens[end - length : end])][following] += 1
    return counts


def key_of(tokens: tuple[int, ...]) -> np.uint64:
    window = np.full((1, ORDER), -1, np.int32)
    window[0, : len(tokens)] = tokens[::-1]
    return suffix_keys(window)[0, len(tokens) - 1]


@settings(max_examples=60)
@given(made=st.lists(TOKENS, min_size=1, max_size=6), intents_only=st.booleans())
def test_the_table_counts_every_prefix(made: list[list[str]], intents_only: bool) -> None:
    if not any(token.isupper() for tokens in made for token in tokens):
        return
    found, _ = sessions(*[("o", "l", *tokens) for tokens in made])
    table, expected = build_table(found, intents_only=intents_only), plain_table(found, intents_only=intents_only)
    assert len(table.keys) == len(expected)
    for tokens, counter in expected.items():
        got = table.look_up(np.array([[key_of(tokens)]]))
        best = sorted(counter.items(), key=lambda entry: (-entry[1], entry[0]))[:PER_KEY]
        assert got.intents[0, 0, : len(best)].tolist() == [intent for intent, _ in best]
        assert got.counts[0, 0, : len(best)].tolist() == [count for _, count in best]
        assert got.totals[0, 0] == counter.total()
    assert table.look_up(np.array([[NO_KEY]])).totals[0, 0] == 0


@settings(max_examples=60)
@given(made=st.lists(TOKENS, min_size=1, max_size=5), backoff=st.sampled_from(["oldest", "newest"]))
def test_the_back_off_asks_the_longest_key_first(made: list[list[str]], backoff: str) -> None:
    if not any(token.isupper() for tokens in made for token in tokens):
        return
    found, tokenizer = sessions(*[("o", "l", *tokens) for tokens in made])
    counts, toppop = plain_table(found, intents_only=False), TopPop.fit(found, tokenizer)
    asked = Requests.of(found)
    width = len(tokenizer.intents)
    got = markov_ranking(build_table(found), toppop, found, asked, width=width, backoff=backoff)  # type: ignore[arg-type]
    rest = toppop.rank(asked.operators, asked.lines, asked.first, width)[0]
    for place, (row, session) in enumerate(zip(asked.rows, asked.sessions, strict=True)):
        context = found.tokens[found.offsets[session] : row].tolist()[-ORDER:]
        expected: list[int] = []
        for length in range(len(context), 0, -1):
            key = tuple(context[-length:] if backoff == "oldest" else context[:length])
            expected += sorted(counts.get(key, {}), key=lambda intent: (-counts[key][intent], intent))[:PER_KEY]
        expected = list(dict.fromkeys([*expected, *rest[place].tolist()]))[:width]
        assert got.intents[place].tolist() == expected
        assert (np.diff(got.scores[place]) <= 0).all()


def test_ties_go_by_count_then_by_name() -> None:
    found, tokenizer = sessions(("o", "l", "a", "C"), ("o", "l", "a", "B"), ("o", "l", "a", "A"), ("o", "l", "a", "B"))
    ranking = markov_ranking(build_table(found), TopPop.fit(found, tokenizer), found, Requests.of(found), width=3)
    assert names_of(tokenizer, ranking.intents[0]) == ["B", "A", "C"]


def test_a_live_session_asks_the_keys_of_training() -> None:
    found = simulated(1_500).train
    for intents_only in (False, True):
        places = np.arange(len(found))
        whole = windows(found, places, found.offsets[1:], intents_only=intents_only)
        live = np.concatenate([window_of(session, intents_only=intents_only) for session in found])
        assert np.array_equal(whole, live)
    assert (whole[:, 0] >= 0).any()


def test_different_contexts_have_different_keys() -> None:
    rng = np.random.default_rng(0)
    drawn = np.unique(rng.integers(0, 400, (200_000, ORDER)).astype(np.int32), axis=0)
    keys = suffix_keys(drawn)
    assert len(np.unique(keys[:, -1])) == len(drawn)
    assert len(np.unique(keys[:, 0])) == 400
    assert (keys != NO_KEY).all()
    short = drawn[:3].copy()
    short[:, 2:] = -1
    assert (suffix_keys(short)[:, 2:] == NO_KEY).all()
    assert (backoff_keys(short, "newest")[:, :2] != NO_KEY).all()
    assert (backoff_keys(short, "oldest")[:, 2:] == NO_KEY).all()


def test_what_the_chain_lacks_comes_from_toppop_and_is_marked() -> None:
    found, tokenizer = sessions(("o", "l", "a", "A"), ("o", "l", "b", "B"), ("o", "l", "b", "C"))
    ranking = markov_ranking(build_table(found), TopPop.fit(found, tokenizer), found, Requests.of(found), width=3)
    assert names_of(tokenizer, ranking.intents[0]) == ["A", "B", "C"]
    assert ranking.sources[0].tolist() == [MARKOV, TOPPOP, TOPPOP]


def test_an_operator_with_few_sessions_looks_like_the_line() -> None:
    many = [("old", "l", "A")] * 30 + [("old", "l", "B")] * 12 + [("own", "l", "C")] * 12
    found, tokenizer = sessions(*many, ("new", "l", "B"))
    model = TopPop.fit(found, tokenizer)

    def top(operator: str, line: str) -> list[str]:
        ids = (tokenizer.operator_ids.get(operator, -1), tokenizer.line_ids.get(line, -1))
        return names_of(tokenizer, model.rank(np.array([ids[0]]), np.array([ids[1]]), np.array([True]), 3)[0][0])

    assert top("old", "l")[0] == "A"
    assert top("own", "l")[0] == "C"
    assert top("never seen", "l") == top("never seen", "never seen")
    assert top("never seen", "l")[0] == "A"
    assert set(top("new", "l")) == {"A", "B", "C"}


def test_first_intents_are_counted_apart() -> None:
    found, tokenizer = sessions(*[("o", "l", "A", "B", "B")] * 5)
    model = TopPop.fit(found, tokenizer)
    zero = np.zeros(2, np.int64)
    ranked = model.rank(zero, zero, np.array([True, False]), 2)
    assert [names_of(tokenizer, row)[0] for row in ranked[0]] == ["A", "B"]
    assert (np.diff(ranked[1]) <= 0).all()


def test_lists_longer_than_an_operator_s_own_go_on_with_the_line_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frontdesk.intent.toppop.KEPT", 2)
    letters = [chr(ord("A") + place) for place in range(6)]
    found, tokenizer = sessions(*[("o", "l", letter) for letter in letters for _ in range(ord(letter) - 60)])
    model = TopPop.fit(found, tokenizer)
    zero = np.zeros(1, np.int64)
    intents, scores = model.rank(zero, zero, np.array([True]), 6)
    assert names_of(tokenizer, intents[0]) == letters[::-1]
    assert (np.diff(scores[0]) <= 0).all()


@pytest.mark.parametrize("kept", [2, 5])
def test_a_list_for_one_request_is_the_row_of_the_lists_for_many(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frontdesk.intent.toppop.KEPT", kept)
    many = [("old", "l", letter) for letter in "AABBCDE"] + [("own", "l", "C"), ("own", "m", "A", "B")]
    found, tokenizer = sessions(*many)
    model = TopPop.fit(found, tokenizer)
    for operator, line, first in itertools.product((-1, 0, 1), (-1, 0, 1), (True, False)):
        intents, scores = model.rank(np.array([operator]), np.array([line]), np.array([first]), 4)
        expected = intents[0].tolist(), scores[0].tolist()
        assert model.listed(operator, line, first=first, width=4) == expected


def test_tables_are_mapped_as_they_were_written(tmp_path: Path) -> None:
    data = simulated(1_500)
    table, toppop = build_table(data.train), TopPop.fit(data.train, data.tokenizer)
    write_arrays(tmp_path / "markov.safetensors", table.arrays())
    write_arrays(tmp_path / "again.safetensors", table.arrays())
    write_arrays(tmp_path / "toppop.safetensors", toppop.arrays())
    assert (tmp_path / "markov.safetensors").read_bytes() == (tmp_path / "again.safetensors").read_bytes()
    mapped = MarkovTable.from_arrays(map_arrays(tmp_path / "markov.safetensors"))
    popular = TopPop.from_arrays(map_arrays(tmp_path / "toppop.safetensors"))
    asked = Requests.of(data.test)
    expected = markov_ranking(table, toppop, data.test, asked)
    got = markov_ranking(mapped, popular, data.test, asked)
    assert np.array_equal(expected.intents, got.intents)
    assert np.array_equal(expected.scores, got.scores)
    assert not mapped.keys.flags.writeable


@pytest.mark.parametrize("damage", ["cut", "header", "missing", "empty"])
def test_a_damaged_table_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "markov.safetensors"
    write_arrays(path, {"keys": np.arange(100, dtype=np.uint64)})
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": content[:-8], "header": b"\xff" * 16 + content[16:], "empty": b""}[damage])
    with pytest.raises(BundleError, match=r"markov\.safetensors"):
        map_arrays(path)


@pytest.mark.parametrize("backoff", ["oldest", "newest"])
@pytest.mark.parametrize("intents_only", [False, True])
def test_one_request_is_ranked_as_many_are(backoff: Backoff, intents_only: bool) -> None:
    """The walk of a single request, in plain integers, against the arrays of the evaluation."""
    data = simulated(1_500)
    table = build_table(data.train, intents_only=intents_only)
    for session in list(data.test)[:100]:
        window = window_of(session, intents_only=intents_only)
        expected = rank(table, window, (np.zeros((1, 0), np.int32), np.zeros((1, 0))), ORDER * PER_KEY, backoff)
        count = int((expected.intents[0] >= 0).sum())
        keys = asked_keys(recent_tokens(session, intents_only=intents_only), backoff)
        for levels in (map(table.level, keys), table.look_up(backoff_keys(window, backoff)).levels(0)):
            walked = list(walk(levels))
            assert [intent for intent, _ in walked] == expected.intents[0, :count].tolist()
            assert [score for _, score in walked] == pytest.approx(expected.scores[0, :count].tolist(), rel=1e-6)


def test_an_empty_table_answers_with_toppop() -> None:
    found, tokenizer = sessions(("o", "l", "A"))
    table = build_table(found)
    assert len(table.keys) == 0
    assert table.level(7) == ([], [], 0)
    window = np.full((1, ORDER), -1, np.int32)
    ranking = rank(
        table, window, TopPop.fit(found, tokenizer).rank(*np.zeros((2, 1), np.int64), np.ones(1, bool), 1), 1
    )
    assert names_of(tokenizer, ranking.intents[0]) == ["A"]


@settings(max_examples=100)
@given(rows=st.lists(st.lists(st.integers(-1, 4), min_size=6, max_size=6), min_size=1, max_size=5))
def test_first_distinct_keeps_order(rows: list[list[int]]) -> None:
    places = first_distinct(np.array(rows), 4)
    for row, got in zip(rows, places.tolist(), strict=True):
        expected = list(dict.fromkeys(value for value in row if value >= 0))[:4]
        assert [row[place] for place in got if place >= 0] == expected


def test_totals_count_what_is_not_kept() -> None:
    counted = top_counts(np.zeros(60, np.int64), np.arange(60) % 20, 15)
    assert (len(counted.intents), counted.totals.tolist()) == (15, [60])
    intents, counts = counted.rows(np.array([0, 7]), 3)
    assert intents.tolist() == [[0, 1, 2], [-1, -1, -1]]
    assert counts.tolist() == [[3, 3, 3], [0, 0, 0]]
