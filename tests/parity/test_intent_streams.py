"""Does a screen that sends its session event by event get what the evaluation measured?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from frontdesk.intent.configuration import Configuration, LineConfiguration
from frontdesk.intent.evaluation import evgen_ranking, markov_ranking, toppop_lists
from frontdesk.intent.metrics import SHOWN, Requests
from frontdesk.intent.opening import IntentBundle, load_intents
from tests.intent_bundles import IntentRun, as_request, shown

SESSIONS = 25


@pytest.fixture(scope="module")
def bundle(intent_run: IntentRun) -> IntentBundle:
    return load_intents(intent_run.bundle)


def streams(run: IntentRun) -> list[list[dict[str, Any]]]:
    """Return the rows of the test sessions in the evaluation's order."""
    sessions: dict[str, list[dict[str, Any]]] = {}
    for row in run.test_rows():
        sessions.setdefault(row["session"], []).append(row)
    for rows in sessions.values():
        rows.sort(key=lambda row: row["timestamp"])
    return sorted(sessions.values(), key=lambda rows: rows[0]["timestamp"])


@pytest.mark.parametrize("model", ["evgen", "markov", "markov-intents", "toppop"])
def test_replayed_streams_get_the_lists_that_were_measured(
    intent_run: IntentRun, bundle: IntentBundle, model: str
) -> None:
    context = "intents" if model == "markov-intents" else "all"
    settings = LineConfiguration(model=model.removesuffix("-intents"), markov_context=context)
    bundle.recommender.configuration = Configuration(default=settings)
    test = intent_run.test
    asked = Requests.of(test)
    table, toppop = bundle.recommender.tables[context], bundle.recommender.toppop
    lists = {
        "evgen": lambda: evgen_ranking(bundle.evgen, test, asked).intents,
        "toppop": lambda: toppop_lists(toppop, asked),
    }.get(model, lambda: markov_ranking(table, toppop, test, asked, intents_only=context == "intents").intents)()
    names = np.array([*bundle.tokenizer.intents, ""])
    compared = 0
    for place, rows in enumerate(streams(intent_run)[:SESSIONS]):
        assert len(rows) == test.offsets[place + 1] - test.offsets[place]
        for request in np.flatnonzero(asked.sessions == place):
            before = rows[: asked.rows[request] - test.offsets[place]]
            row = rows[len(before)]  # who is asked is whoever opens the next intent
            changes = {"operator": row["operator"], "line": row["line"], "now": row["timestamp"].isoformat()}
            sent = as_request(before, **changes) if before else as_request([row], events=[], **changes)
            (answer,) = bundle.predict([sent])
            assert shown(answer) == names[lists[request, :SHOWN]].tolist(), (model, place, len(before))
            compared += 1
    assert compared > 2 * SESSIONS
