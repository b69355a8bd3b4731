"""The mistakes that cost the authors of such a desk most, one test each, named after the mistake."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from frontdesk.errors import BadColumns
from frontdesk.intent.columns import DEFAULT_INTENT_COLUMNS, parse_intent_columns, rows_of
from frontdesk.intent.configuration import Configuration, LineConfiguration, ListSettings
from frontdesk.intent.evaluation import damped, evaluate, markov_ranking
from frontdesk.intent.keys import ORDER, window_of
from frontdesk.intent.lists import Access, Candidate, assemble
from frontdesk.intent.markov import build_table, rank, samples
from frontdesk.intent.metrics import Requests, Similarity, churn, measure
from frontdesk.intent.sessions import LiveRow, live_session, session_set, temporal_split, usable_rows
from frontdesk.intent.tokens import Tokenizer
from frontdesk.intent.toppop import TopPop
from tests.intent_data import PLAIN, START, Split, names_of, sessions, simulated, table


@pytest.fixture(scope="module")
def desk() -> Split:
    return simulated()


def test_trained_on_full_chains_only() -> None:
    """A session of n tokens teaches the intent after every one of its prefixes, not only after the whole of it."""
    found, _ = sessions(("o", "l", "a", "b", "A", "c", "B"))
    keys, following = samples(found)
    assert len(keys) == 4
    assert following.tolist() == [0, 0, 1, 1]
    table = build_table(found)
    asked = [LiveRow(START, "event", "a", {})]
    _, tokenizer = sessions(("o", "l", "a", "b", "A", "c", "B"))
    early = live_session(asked, tokenizer, session_id="s", operator="o", line="l", now=START)
    ranking = markov_ranking(table, TopPop.fit(found, tokenizer), found, Requests.of(found))
    assert names_of(tokenizer, ranking.intents[0])[0] == "A"
    assert window_of(early)[0, 0] == found.tokens[0], "the operator gets a hint before the chain is clicked through"


def test_a_chain_that_training_never_saw_gets_no_suggestion() -> None:
    """Out of vocabulary: the longest known part of the context answers, and at last TopPop."""
    found, tokenizer = sessions(*[("o", "l", "a", "A")] * 3, ("o", "l", "b", "B"))
    rows = [LiveRow(START + timedelta(seconds=place), "event", name, {}) for place, name in enumerate(["never", "b"])]
    live = live_session(rows, tokenizer, session_id="s", operator="stranger", line="l", now=START)
    toppop = TopPop.fit(found, tokenizer)
    rest = toppop.rank(np.array([live.operator]), np.array([live.line]), np.array([True]), 2)
    assert names_of(tokenizer, rank(build_table(found), window_of(live), rest, 2).intents[0]) == ["B", "A"]


def test_the_window_forgets_the_intents_that_were_opened() -> None:
    """Five clicks push every opened intent out of the raw window; a context of intents keeps them."""
    found, _ = sessions(("o", "l", "A", "B", *"abcde"))
    (session,) = found
    intents = {int(token) for token in session.tokens[session.is_intent]}
    assert not intents & set(window_of(session)[0].tolist())
    assert intents <= set(window_of(session, intents_only=True)[0].tolist())
    assert window_of(session).shape[1] == ORDER


def test_opened_intents_are_hidden_although_they_are_opened_again() -> None:
    candidates = [Candidate(name, 1.0, "sequence") for name in "ABC"]
    asked = {"operator": "o", "now": START, "opened": ["A"]}
    assert assemble(candidates, ListSettings(), **asked)[0].intent == "A"  # type: ignore[arg-type]
    hidden = Configuration(default=LineConfiguration(lists=ListSettings(hide_opened=True))).of("any").lists
    assert assemble(candidates, hidden, **asked)[0].intent == "B"  # type: ignore[arg-type]


def test_a_suggestion_ends_in_an_error_for_lack_of_rights() -> None:
    access = Access(rights={"o": {"B"}})
    candidates = [Candidate(name, 1.0, "sequence") for name in "ABC"]
    settings = ListSettings(defaults=("C",))
    assert [each.intent for each in assemble(candidates, settings, operator="o", now=START, access=access)] == ["B"]


def test_intents_that_ended_in_an_error_are_learnt() -> None:
    columns = PLAIN.model_copy(update={"status": "status"})
    made = table(("o", "l", "a", "A", "B"), ("o", "l", "C"), status=[None, "error", "ok", "error"])
    rows = usable_rows(rows_of(made, columns)[0], columns)
    assert "C" not in rows["name"].to_pylist()
    tokenizer = Tokenizer.fit(rows)
    found = session_set(rows, tokenizer, columns)
    assert names_of(tokenizer, samples(found)[1]) == ["B", "B"]
    assert names_of(
        tokenizer, TopPop.fit(found, tokenizer).rank(*np.zeros((2, 1), int), np.ones(1, bool), 1)[0][0]
    ) == ["A"]


def test_suggestions_change_too_much_after_one_wrong_click(desk: Split) -> None:
    """Damping lowers churn, and what it costs in hit rate is measured beside it."""
    asked = Requests.of(desk.test)
    toppop = TopPop.fit(desk.train, desk.tokenizer)
    ranking = markov_ranking(build_table(desk.train), toppop, desk.test, asked, width=15)
    similarity = Similarity.of(desk.train, len(desk.tokenizer.intents))
    free, calm = (measure(damped(ranking, asked, by)[:, :10], asked, desk.test, similarity) for by in (0.0, 2.0))
    assert calm["churn@6"] < free["churn@6"] - 0.02
    assert abs(calm["hr@6"] - free["hr@6"]) < 0.05


def test_diversity_was_not_looked_at(desk: Split) -> None:
    """A model that says the same six to everybody is found out by coverage, diversity or churn, whatever it hits."""
    asked = Requests.of(desk.test)
    toppop = TopPop.fit(desk.train, desk.tokenizer)
    markov = markov_ranking(build_table(desk.train), toppop, desk.test, asked).intents
    same = np.tile(toppop.desk_intents[1, :10], (len(asked.rows), 1))
    got = evaluate({"same": same, "markov": markov}, "same", desk.train, desk.test, desk.tokenizer)
    assert got["test"]["coverage@10"] < 0.2 < got["baselines"]["markov"]["coverage@10"]
    assert got["test"]["churn@6"] == 0
    for name in ("coverage@10", "ild@10", "churn@6"):
        assert got["test"][name] is not None


def test_first_intents_are_mixed_with_later_ones(desk: Split) -> None:
    """Cold start has a counting of its own, and figures of its own."""
    asked = Requests.of(desk.test)
    toppop = TopPop.fit(desk.train, desk.tokenizer)
    assert not np.array_equal(toppop.desk_intents[0], toppop.desk_intents[1])
    cold = toppop.rank(asked.operators, asked.lines, asked.first, 10)[0]
    warm = toppop.rank(asked.operators, asked.lines, np.zeros(len(asked.rows), bool), 10)[0]
    similarity = Similarity.of(desk.train, len(desk.tokenizer.intents))
    apart, mixed = (measure(lists, asked, desk.test, similarity)["first"] for lists in (cold, warm))
    assert apart["hr@6"] > mixed["hr@6"] + 0.05


def test_offline_events_are_not_those_of_the_screen() -> None:
    """An event that the front end does not send must not be a token of training, nor the other way round."""
    columns = DEFAULT_INTENT_COLUMNS.model_copy(update={"options": None, "status": None})
    made = table(("o", "l", "click", "A"), element=["button", None], text=["Pay  ", None])
    renamed = made.rename_columns(["session_id", "operator", "line", "timestamp", "name", "kind", "element", "text"])
    rows, _ = rows_of(renamed, columns)
    tokenizer = Tokenizer.fit(rows)
    logged = session_set(rows, tokenizer, columns)
    sent = [
        LiveRow(START + timedelta(seconds=10), "intent", "A", {}),
        LiveRow(START, "event", "click", {"element": "button", "text": "Pay"}),
    ]
    live = live_session(sent, tokenizer, session_id="s", operator="o", line="l", now=START)
    assert live.tokens.tolist() == logged.tokens.tolist()


def test_the_future_leaks_into_training() -> None:
    """A session is whole on one side, and no training session begins after a test session."""
    rng = np.random.default_rng(0)
    made = table(*[("o", "l", "a", "A", "b", "B")] * 50).take(list(rng.permutation(200)))
    rows, _ = rows_of(made, PLAIN)
    test = temporal_split(rows)
    before, after = rows.filter(pa.array(~test)), rows.filter(pa.array(test))
    assert not set(before["session"].to_pylist()) & set(after["session"].to_pylist())
    assert max(before["timestamp"].to_pylist()) < min(after["timestamp"].to_pylist())


def test_slices_of_users_were_not_checked(desk: Split) -> None:
    asked = Requests.of(desk.test)
    lists = {"toppop": TopPop.fit(desk.train, desk.tokenizer).rank(asked.operators, asked.lines, asked.first, 10)[0]}
    got = evaluate(lists, "toppop", desk.train, desk.test, desk.tokenizer)["slices"]["toppop"]
    assert {"first", "later"} == set(got["phase"])
    assert {"seen", "unseen"} == set(got["operator"])
    assert set(got["line"]) == {"cards", "loans", "deposits", "insurance", "mobile", "business"}


def test_the_offline_metric_does_not_know_what_was_shown(desk: Split) -> None:
    """Operators pick from a list: replay says which of its clicks a model keeps, and how much a position weighs."""
    asked = Requests.of(desk.test)
    lists = TopPop.fit(desk.train, desk.tokenizer).rank(asked.operators, asked.lines, asked.first, 10)[0]
    got = evaluate({"toppop": lists}, "toppop", desk.train, desk.test, desk.tokenizer)["replay"]["toppop"]
    assert 0.4 < got["clicked"] < 0.8
    shares = [each["click_share"] for each in got["positions"]]
    assert shares[0] > shares[-1], "the simulated list favours its top"
    assert got["note"]


def test_churn_is_not_measured_between_sessions() -> None:
    lists = np.array([[0, 1], [2, 3]], np.int32)
    assert churn(lists, np.array([0, 1])) is None
    assert churn(lists, np.array([0, 0])) == 1.0


def test_a_misspelt_mapping_goes_unnoticed() -> None:
    with pytest.raises(BadColumns, match="feilds"):
        parse_intent_columns(PLAIN.model_dump() | {"feilds": ["text"]})
