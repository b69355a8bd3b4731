"""Evaluation and batch scoring of intent bundles: on a run's test sessions, on a champion's, on any log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from frontdesk.errors import BadColumns, UsageError
from frontdesk.evaluation import METRICS, PREDICTIONS, REPORT
from frontdesk.features import FeatureJoin
from frontdesk.intent.columns import FEATURE_PREFIX, FIELD_PREFIX, IntentColumns
from frontdesk.intent.configuration import in_context
from frontdesk.intent.evaluation import (
    baselines,
    damped,
    evaluate,
    evgen_ranking,
    markov_ranking,
    toppop_lists,
    write_predictions,
)
from frontdesk.intent.files import TEST, TRAIN, open_sessions
from frontdesk.intent.metrics import LONGEST, Requests, Similarity, measure
from frontdesk.intent.opening import IntentBundle
from frontdesk.intent.report import render
from frontdesk.intent.requests import SuggestionRequest
from frontdesk.intent.sessions import LiveRow, session_set, usable_rows
from frontdesk.intent.snapshots import read_table, snapshot_table
from frontdesk.intent.tokens import Tokenizer
from frontdesk.records import parse_columns
from frontdesk.scoring import ENDINGS, Sink
from frontdesk.snapshots import refusal_rows
from frontdesk.storage import Store, canonical_json, write_atomically
from frontdesk.version import VERSION, code_digest

DAMPINGS = (0.25, 0.5, 1.0)
_REQUESTS_AT_ONCE = 256


def facts_of(store: Store, snapshot: str) -> dict[str, Any]:
    """Return what the report says of the data: plain values of the snapshot's manifest."""
    manifest = store.manifest("snapshots", snapshot) or {}
    names = ("sources", "split", "span", "checks", "labels", "sessions", "rows")
    return {"snapshot": snapshot} | {name: manifest[name] for name in names if name in manifest}


def evaluate_sessions(
    bundle: IntentBundle,
    tensors: Path,
    out: Path,
    facts: Mapping[str, Any],
    parameters: Mapping[str, Any],
    history: list[dict[str, Any]],
) -> dict[str, Any]:
    """Evaluate a fused bundle on a run's test sessions beside its baselines; write metrics, predictions and report.

    Returns:
        The content of ``metrics.json``.
    """
    train, test = open_sessions(tensors / TRAIN), open_sessions(tensors / TEST)
    tokenizer, asked = bundle.tokenizer, Requests.of(test)
    ranking = evgen_ranking(bundle.evgen, test, asked)
    table = bundle.recommender.tables["all"]
    lists = {"evgen": _cut(ranking.intents), **baselines(train, test, asked, tokenizer, table)}
    similarity = Similarity.of(train, len(tokenizer.intents))
    steady = {
        str(strength): measure(_cut(damped(ranking, asked, strength)), asked, test, similarity) for strength in DAMPINGS
    }
    metrics = {
        "recipe": bundle.recipe,
        "model_id": bundle.model_id,
        "rows": facts["rows"],
        **evaluate(lists, "evgen", train, test, tokenizer),
        "damping": steady,
        "history": history,
        "data": dict(facts),
        "run": _run(bundle, parameters),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_predictions(out / PREDICTIONS, lists["evgen"], train, test, tokenizer)
    _publish(metrics, out)
    return metrics


def evaluate_champion(
    champion: IntentBundle, tokenizer: Tokenizer, store: Store, snapshot: str, out: Path
) -> dict[str, Any]:
    """Ask a champion what the candidate was asked; its intents stand under the candidate's ids.

    Returns:
        ``{"model_id", "test"}``; ``predictions.parquet`` in ``out`` is what the gate compares.
    """
    manifest = store.manifest("snapshots", snapshot) or {}
    columns = parse_columns(manifest["columns"], where="snapshot", recipe=champion.recipe)
    rows = {name: snapshot_table(store, snapshot, name, columns) for name in ("train", "test")}
    train, test = (session_set(rows[name], tokenizer, columns) for name in ("train", "test"))
    # Which rows count as delivered twice is the candidate's matter, or the two would not answer the same requests.
    own = replace(champion.tokenizer, one_delivery=tokenizer.one_delivery)
    seen = session_set(_with_fields(rows["test"], own.fields), own, columns)
    found = evgen_ranking(champion.evgen, seen, Requests.of(seen)).intents
    ids = np.array([tokenizer.intent_ids.get(name, -1) for name in own.intents] + [-1], np.int32)
    lists = _cut(ids[found])
    asked = Requests.of(test)
    out.mkdir(parents=True, exist_ok=True)
    write_predictions(out / PREDICTIONS, lists, train, test, tokenizer)
    similarity = Similarity.of(train, len(tokenizer.intents))
    return {"model_id": champion.model_id, "test": measure(lists, asked, test, similarity)}


def evaluate_log(
    bundle: IntentBundle, data: str, mapping: IntentColumns, out: Path, join: FeatureJoin | None = None
) -> dict[str, Any]:
    """Evaluate a bundle on a log: all of it is the test set. How alike intents are is taken from the log itself.

    Args:
        bundle: suggests intents.
        data: the log.
        mapping: of `columns_of`.
        out: folder of the results.
        join: fills the features that the mapping names.
    """
    rows, refused = read_table(data, mapping, join)
    usable = in_context(usable_rows(rows, mapping), bundle.configuration)
    test = session_set(usable, bundle.tokenizer, mapping)
    asked = Requests.of(test)
    lists = {
        "evgen": _cut(evgen_ranking(bundle.evgen, test, asked).intents),
        "toppop": toppop_lists(bundle.recommender.toppop, asked),
        "markov": markov_ranking(bundle.recommender.tables["all"], bundle.recommender.toppop, test, asked).intents,
    }
    counts = {"train": 0, "test": len(test.tokens), "refused": len(refused)}
    metrics = {
        "recipe": bundle.recipe,
        "model_id": bundle.model_id,
        "rows": counts,
        **evaluate(lists, "evgen", test, test, bundle.tokenizer),
        "damping": {},
        "history": [],
        "data": {"rows": counts, "sources": {"data": {"name": data.rpartition("/")[2]}}},
        "run": _run(bundle, {}),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_predictions(out / PREDICTIONS, lists["evgen"], test, test, bundle.tokenizer)
    _publish(metrics, out)
    return metrics


def score_log(
    bundle: IntentBundle, source: str, mapping: IntentColumns, out: Path, join: FeatureJoin | None = None
) -> dict[str, Any]:
    """Write what would be suggested after the last row of every session of a log.

    Args:
        bundle, mapping, join: as in `evaluate_log`.
        source: the log.
        out: ``.csv``, ``.parquet`` or ``.jsonl`` with ``session``, ``model_id`` and the answer's columns, in the order
            in which sessions first appear. It appears whole.

    Returns:
        ``model_id``, ``rows`` (of the log), ``sessions``, ``refused``, ``out``, and where rows were refused the file of
        reasons.
    """
    if out.suffix not in ENDINGS:
        raise UsageError(f"{out.name}: unknown ending", remedy="Write .csv, .parquet or .jsonl")
    rows, refused = read_table(source, mapping, join)
    schema = pa.schema(
        [("session", pa.string()), ("model_id", pa.string()), *((name, pa.string()) for name in bundle.outputs)]
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.partial")
    sessions = 0
    with Sink(temporary, out.suffix, schema) as sink:
        for names, requests in _requests(rows):
            answers = bundle.recommender.recommend(bundle.model_id, requests)
            lines = [
                {"session": name, "model_id": answer.model_id}
                | {output: one.value(answer) for output, one in bundle.outputs.items()}
                for name, answer in zip(names, answers, strict=True)
            ]
            sink.write(pa.Table.from_pylist(lines, schema))
            sessions += len(requests)
    temporary.replace(out)
    summary = {
        "model_id": bundle.model_id,
        "rows": rows.num_rows,
        "sessions": sessions,
        "refused": len(refused),
        "out": str(out),
    }
    if refused:
        path = out.with_name(f"{out.name}.refused.parquet")
        pq.write_table(pa.Table.from_batches([refusal_rows(refused)]), path)
        summary["refusals"] = str(path)
    return summary


def _requests(rows: pa.Table) -> Iterator[tuple[list[str], list[SuggestionRequest]]]:
    """Yield the sessions of a log as requests without a name, some at a time, and their names."""
    codes = rows["session"].combine_chunks().dictionary_encode().indices.to_numpy()  # by first appearance
    order = np.lexsort((rows["timestamp"].cast(pa.int64()).to_numpy(), codes))  # equal times keep the file's order
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes))])
    fields = [name for name in rows.column_names if name.startswith(FIELD_PREFIX)]
    for begin in range(0, len(offsets) - 1, _REQUESTS_AT_ONCE):
        ends = offsets[begin : begin + _REQUESTS_AT_ONCE + 1]
        some = rows.take(pa.array(order[ends[0] : ends[-1]])).to_pylist()
        sessions = [some[first - ends[0] : last - ends[0]] for first, last in pairwise(ends)]
        yield [session[0]["session"] for session in sessions], [_request(session, fields) for session in sessions]


def _request(session: list[dict[str, Any]], fields: list[str]) -> SuggestionRequest:
    last = session[-1]
    events = [
        LiveRow(
            row["timestamp"], row["kind"], row["name"], {each.removeprefix(FIELD_PREFIX): row[each] for each in fields}
        )
        for row in session
    ]
    features = {
        name.removeprefix(FEATURE_PREFIX): value for name, value in last.items() if name.startswith(FEATURE_PREFIX)
    }
    return SuggestionRequest(None, last["operator"], last["line"], events, None, [], last["timestamp"], features)


def columns_of(bundle: IntentBundle, given: IntentColumns | None) -> IntentColumns:
    """Return the mapping of a log: the one that was given, or the bundle's own.

    Raises:
        BadColumns: it has other fields or features than the bundle's tokens are made of.
    """
    mapping = given or parse_columns(bundle.columns, where="spec.json", recipe=bundle.recipe)
    assert isinstance(mapping, IntentColumns)
    fields = bundle.tokenizer.fields
    if set(mapping.fields) != set(fields):
        words = f"the bundle's events have the fields: {', '.join(fields) or 'none'}"
        raise BadColumns(words, where="fields", remedy="Name the same ones, or leave out the mapping")
    features = {feature.name for feature in bundle.tokenizer.features}
    if set(mapping.features.names if mapping.features else ()) != features:
        words = f"the bundle was trained with the features: {', '.join(sorted(features)) or 'none'}"
        raise BadColumns(words, where="features", remedy="Name the same ones, or leave out the mapping")
    return mapping


def _with_fields(rows: pa.Table, fields: Sequence[str]) -> pa.Table:
    """Add the fields that rows lack, empty: events are then known by their names alone."""
    for name in fields:
        if (column := f"{FIELD_PREFIX}{name}") not in rows.column_names:
            rows = rows.append_column(column, pa.nulls(rows.num_rows, pa.string()))
    return rows


def _cut(lists: np.ndarray) -> np.ndarray:
    """Return lists of `LONGEST`, -1 padded where the catalogue is smaller."""
    missing = max(0, LONGEST - lists.shape[1])
    return np.pad(lists[:, :LONGEST], ((0, 0), (0, missing)), constant_values=-1)


def _run(bundle: IntentBundle, parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model_kind": bundle.manifest["model_kind"],
        "trained_on": bundle.manifest["snapshot"],
        "version": VERSION,
        "code": code_digest(),
        "parameters": dict(parameters),
    }


def _publish(metrics: dict[str, Any], out: Path) -> None:
    write_atomically(out / METRICS, canonical_json(metrics))
    # As it is read again: a report shows what the file says.
    page = render(orjson.loads((out / METRICS).read_bytes()))
    write_atomically(out / REPORT, page.encode("utf-8", "replace"))
