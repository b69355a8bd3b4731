"""The log's counts on the network."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from frontdesk.intent.keys import ORDER, suffix_keys, windows
from frontdesk.intent.markov import PER_KEY, Found
from frontdesk.intent.stacking import Stacking, opening_counts, shares
from tests.intent_sessions import INTENTS, made_sessions


def found_of(intents: list[list[int]], counts: list[list[int]], totals: list[int]) -> Found:
    """Return one request's counts, by length of the path."""
    which = np.full((1, ORDER, PER_KEY), -1, np.int32)
    much = np.zeros((1, ORDER, PER_KEY), np.int64)
    for level, (names, values) in enumerate(zip(intents, counts, strict=True)):
        which[0, level, : len(names)], much[0, level, : len(names)] = names, values
    return Found(which, much, np.array([totals + [0] * (ORDER - len(totals))], np.int64))


def test_without_a_path_the_network_stands_alone() -> None:
    logits = np.random.default_rng(0).normal(size=(1, INTENTS)).astype(np.float32)
    mixed = Stacking(1.0, (0.0, *[0.5] * ORDER)).mix(logits, found_of([], [], []))
    np.testing.assert_allclose(mixed, shares(logits), rtol=1e-5)


def test_what_was_opened_here_rises_and_the_order_of_the_rest_stays() -> None:
    logits = np.arange(INTENTS, dtype=np.float32)[None]
    mixed = Stacking(1.0, (0.0, *[0.5] * ORDER)).mix(logits, found_of([[2], [2]], [[50], [9]], [50, 9]))
    assert mixed.argmax() == 2
    rest = np.delete(mixed[0], 2)
    assert (np.diff(rest) > 0).all()


def test_intents_beyond_the_kept_ones_are_not_crushed() -> None:
    logits = np.zeros((1, INTENTS), np.float32)
    few = Stacking(1.0, (1.0,) * 6).mix(logits, found_of([[0]], [[10]], [1_000]))
    np.testing.assert_allclose(few[0, 1:], few[0, 1], rtol=1e-5)
    assert few[0, 1] > 0.1  # 990 openings of intents that the key does not keep


@given(st.integers(0, 1_000))
@settings(max_examples=20)
def test_shares_are_shares(seed: int) -> None:
    sessions = made_sessions(20, seed)
    rows = np.flatnonzero(sessions.is_intent)
    counts = opening_counts(sessions).look_up(suffix_keys(windows(sessions, sessions.session_of[rows], rows)))
    logits = np.random.default_rng(seed).normal(scale=20, size=(len(rows), INTENTS)).astype(np.float32)
    stacking = Stacking.fit(logits, counts, sessions.intents[rows])
    mixed = stacking.mix(logits, counts)
    assert np.isfinite(mixed).all()
    np.testing.assert_allclose(mixed.sum(1), 1, atol=1e-5)
    assert Stacking.from_json(stacking.to_json()) == stacking


def test_held_out_sessions_say_what_the_counts_are_worth() -> None:
    learnt, held_out = made_sessions(300, 0), made_sessions(300, 1)
    rows = np.flatnonzero(held_out.is_target)
    keys = suffix_keys(windows(held_out, held_out.session_of[rows], rows))
    counts, truth = opening_counts(learnt).look_up(keys), held_out.intents[rows]
    blind = np.zeros((len(rows), INTENTS), np.float32)
    knowing = blind.copy()
    knowing[np.arange(len(rows)), truth] = 12.0
    assert max(Stacking.fit(blind, counts, truth).weights) == 0.7
    assert max(Stacking.fit(knowing, counts, truth).weights) <= 0.05
    assert Stacking.fit(blind, counts, np.full(len(rows), -1)) == Stacking()


def test_only_openings_count_not_the_events_long_before() -> None:
    sessions = made_sessions(30)
    targets = np.flatnonzero(sessions.is_target)
    has_one_before = targets > sessions.offsets[sessions.session_of[targets]]
    newest = suffix_keys(windows(sessions, sessions.session_of[targets], targets))[:, 0]
    table = opening_counts(sessions)
    totals = table.look_up(np.unique(newest[has_one_before])[:, None]).totals
    assert totals.sum() == has_one_before.sum()
