"""Evaluation of the intent recipe: every model and every baseline on the same requests, in one protocol."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from frontdesk.evaluation.slices import SLICE_COLUMN
from frontdesk.intent.counts import first_distinct, top_counts
from frontdesk.intent.evgen import EvGen
from frontdesk.intent.keys import windows
from frontdesk.intent.markov import Backoff, MarkovTable, NextIntents, Ranking, build_table, rank
from frontdesk.intent.metrics import LONGEST, SHOWN, Requests, Similarity, by_slice, measure, ranks, slices
from frontdesk.intent.replay import replay
from frontdesk.intent.sessions import SessionSet
from frontdesk.intent.tokens import Tokenizer
from frontdesk.intent.toppop import TopPop
from frontdesk.progress import report

_SESSIONS_AT_ONCE = 500


def toppop_lists(model: TopPop, asked: Requests) -> np.ndarray:
    """Return TopPop's lists, int32 [N, LONGEST], -1 padded where the catalogue is smaller."""
    return _padded(model.rank(asked.operators, asked.lines, asked.first, _width(model))[0])


def markov_ranking(
    store: NextIntents,
    toppop: TopPop,
    test: SessionSet,
    asked: Requests,
    *,
    width: int = LONGEST,
    backoff: Backoff = "oldest",
    intents_only: bool = False,
) -> Ranking:
    """Return the Markov back-off's lists, filled from TopPop."""
    rest = toppop.rank(asked.operators, asked.lines, asked.first, min(2 * width, toppop.desk_intents.shape[1]))
    window = windows(test, asked.sessions, asked.rows, intents_only=intents_only)
    return rank(store, window, rest, width, backoff)


def plain_toppop(train: SessionSet, asked: Requests, by: str) -> np.ndarray:
    """Return the lists of a plain count, int32 [N, LONGEST]: the floors that a smoothed TopPop is measured against.

    Args:
        by: ``global``; ``line`` (filled from global); ``operator`` (filled from line, then global).
    """
    used = train.is_target & (train.intents >= 0)
    levels = ("operator", "line", "global")[("operator", "line", "global").index(by) :]
    groups = {
        "operator": (train.operators, asked.operators),
        "line": (train.lines, asked.lines),
        "global": (np.zeros(len(used), np.int32), np.zeros(len(asked.rows), np.int32)),
    }
    candidates = [
        top_counts(groups[level][0][used], train.intents[used], 2 * LONGEST).rows(groups[level][1], 2 * LONGEST)[0]
        for level in levels
    ]
    joined = np.concatenate(candidates, axis=1)
    places = first_distinct(joined, LONGEST)
    return np.where(places >= 0, np.take_along_axis(joined, np.maximum(places, 0), 1), -1).astype(np.int32)


def baselines(
    train: SessionSet, test: SessionSet, asked: Requests, tokenizer: Tokenizer, table: MarkovTable | None = None
) -> dict[str, np.ndarray]:
    """Return the lists that a network is always shown beside.

    Args:
        table: the Markov table of ``train``, where it is built already.
    """
    toppop = TopPop.fit(train, tokenizer)
    markov = markov_ranking(table or build_table(train), toppop, test, asked)
    intents = markov_ranking(build_table(train, intents_only=True), toppop, test, asked, intents_only=True)
    return {
        "toppop": toppop_lists(toppop, asked),
        "markov": markov.intents,
        "markov-intents": intents.intents,
        **{f"toppop-{by}": plain_toppop(train, asked, by) for by in ("global", "line", "operator")},
    }


def evgen_ranking(evgen: EvGen, test: SessionSet, asked: Requests, width: int = 2 * LONGEST) -> Ranking:
    """Return the network's lists, each asked just before the opened intent that it must predict.

    Args:
        evgen: as it is served.
        width: entries of a list; at most the catalogue's size.
    """
    width = min(width, evgen.network.config.intents)
    intents = np.zeros((len(asked.rows), width), np.int32)
    scores = np.zeros((len(asked.rows), width), np.float32)
    begins = np.searchsorted(asked.sessions, np.arange(0, len(test), _SESSIONS_AT_ONCE))  # a session is read at once
    for begin, end in pairwise([*begins.tolist(), len(asked.rows)]):
        found = evgen.row_scores(test, asked.rows[begin:end])
        order = np.argsort(-found, axis=1, kind="stable")[:, :width]
        intents[begin:end], scores[begin:end] = order, np.take_along_axis(found, order, 1)
        report("evaluate", end, len(asked.rows), "lists of the network")
    return Ranking(intents, scores, np.zeros_like(intents, np.int8))


def damped(ranking: Ranking, asked: Requests, strength: float) -> np.ndarray:
    """Return the lists that ``damping`` would have shown, int32 [N, W]: what it costs and what it saves.

    A session's requests follow one another, so its lists are made in that order, all sessions at once.

    Args:
        ranking: of ``asked``, with more candidates than are shown.
        strength: see `configuration.ListSettings.damping`.
    """
    result = ranking.intents.copy()
    starts = np.concatenate([[True], asked.sessions[1:] != asked.sessions[:-1]])
    step = np.arange(len(starts)) - np.maximum.accumulate(np.where(starts, np.arange(len(starts)), 0))
    for turn in range(1, int(step.max(initial=0)) + 1):
        rows = np.flatnonzero(step == turn)
        shown = result[rows - 1, :SHOWN]
        own = ranking.intents[rows]
        seen = (own[:, :, None] == shown[:, None, :]).any(2) & (own >= 0)
        scores = np.where(own >= 0, ranking.scores[rows] * np.where(seen, 1 + strength, 1), -1)
        order = np.argsort(-scores, axis=1, kind="stable")
        result[rows] = np.take_along_axis(own, order, 1)
    return result


def evaluate(
    lists: Mapping[str, np.ndarray], model: str, train: SessionSet, test: SessionSet, tokenizer: Tokenizer
) -> dict[str, Any]:
    """Return the figures of ``metrics.json``: ``test``, ``baselines``, ``slices`` and ``replay``.

    Args:
        lists: ``{name: int32 [N, LONGEST]}`` over the requests of ``Requests.of(test)``.
        model: the name of the model under test; the others are baselines.
    """
    asked = Requests.of(test)
    similarity = Similarity.of(train, len(tokenizer.intents))
    sliced = slices(asked, test, tokenizer.lines)
    figures = {name: measure(each, asked, test, similarity) for name, each in lists.items()}
    others = [name for name in lists if name != model]
    return {
        "test": figures[model],
        "baselines": {name: figures[name] for name in others},
        "slices": {name: by_slice(ranks(each, asked.truth), sliced) for name, each in lists.items()},
        "replay": {name: replay(each, asked, test) for name, each in lists.items()},
    }


def write_predictions(path: Path, lists: np.ndarray, train: SessionSet, test: SessionSet, tokenizer: Tokenizer) -> None:
    """Write what the gate reads: for each request the truth, its place, the list's diversity, and the slices.

    Columns: ``row``, ``session`` (places, no customer's identifiers), ``truth``, ``rank`` (0: missed), ``list``
    (int32 [LONGEST]), ``diversity``, and one column per slice.
    """
    asked = Requests.of(test)
    flat = pa.array(lists[:, :LONGEST].ravel(), pa.int32())
    columns: dict[str, Any] = {
        "row": asked.rows,
        "session": asked.sessions,
        "truth": asked.truth,
        "rank": ranks(lists, asked.truth),
        "list": pa.FixedSizeListArray.from_arrays(flat, LONGEST),
        "diversity": Similarity.of(train, len(tokenizer.intents)).diversity(lists[:, :LONGEST]),
    }
    for name, values in slices(asked, test, tokenizer.lines).items():
        columns[f"{SLICE_COLUMN}{name}"] = pa.array(values.tolist(), pa.string())
    pq.write_table(pa.table(columns), path, compression="zstd")


def _width(model: TopPop) -> int:
    return min(LONGEST, int(model.desk_intents.shape[1]))


def _padded(lists: np.ndarray) -> np.ndarray:
    missing = LONGEST - lists.shape[1]
    return np.pad(lists, ((0, 0), (0, missing)), constant_values=-1) if missing else lists
