"""Evaluation of a bundle on the raw test rows of a snapshot: figures, predictions and the report.

What is measured is the bundle as a server loads it, from raw fields to calibrated probabilities, not the network in the
training loop. Every system in the tables answers the same rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from frontdesk import progress
from frontdesk.bundle.labels import LabelBundle
from frontdesk.evaluation import METRICS, PICTURES, PREDICTIONS, sections
from frontdesk.evaluation.baselines import tfidf_svc
from frontdesk.evaluation.label_drift import label_drift
from frontdesk.evaluation.maps import maps
from frontdesk.evaluation.metrics import classification
from frontdesk.evaluation.outcomes import Outcome, measure
from frontdesk.evaluation.pictures import draw
from frontdesk.evaluation.report import write_report
from frontdesk.evaluation.slices import (
    SLICE_COLUMN,
    RowFacts,
    Slices,
    facts,
    label_slices,
    slice_table,
    text_keys,
    text_slices,
)
from frontdesk.parameters import RunParameters
from frontdesk.snapshots import read_rows
from frontdesk.storage import Store, canonical_json, filesystem, write_atomically
from frontdesk.version import VERSION, code_digest

Read = Callable[[], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class TestRows:
    """Rows to evaluate on.

    Attributes:
        read: gives the rows from the beginning, as often as it is called.
        rows: ``{"train", "test", "refused"}`` counts.
        data: what the report says of the data; plain values.
    """

    __test__ = False  # not a test class, whatever pytest makes of its name

    read: Read
    rows: dict[str, int]
    data: dict[str, Any] = field(default_factory=dict)


def snapshot_rows(store: Store, snapshot_id: str) -> TestRows:
    """Return the test rows of a snapshot and the facts that its manifest holds."""
    manifest = store.manifest("snapshots", snapshot_id) or {}
    names = ("sources", "split", "span", "checks", "labels", "duplicates", "unseen_test_labels")
    data = {name: manifest[name] for name in names if name in manifest}
    if manifest.get("taxonomy"):
        data["taxonomy"] = relabelled(manifest["taxonomy"])
    return TestRows(
        read=lambda: read_rows(store, snapshot_id, "test"),
        rows={name: int(manifest["rows"][name]) for name in ("train", "test", "refused")},
        data=data
        | {"snapshot": snapshot_id, "refused": _refusals(store, snapshot_id) if manifest["rows"]["refused"] else []},
    )


def relabelled(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the report says of `frontdesk.taxonomy.RowMapper.to_json`: all but the label file itself."""
    return {name: content[name] for name in ("version", "digest", "heads")}


def _refusals(store: Store, snapshot_id: str) -> list[dict[str, Any]]:
    """Return how many rows were refused for which reason, most first."""
    files, path = filesystem(store.uri("snapshots", snapshot_id, "refused.parquet"))
    table = pq.read_table(path, columns=["field", "reason"], filesystem=files)
    counted = table.group_by(["field", "reason"]).aggregate([([], "count_all")]).to_pylist()
    found = [{"field": row["field"], "reason": row["reason"], "rows": row["count_all"]} for row in counted]
    return sorted(found, key=lambda row: (-row["rows"], row["field"] or "", row["reason"] or ""))


def evaluate(
    bundle: LabelBundle,
    store: Store,
    snapshot_id: str,
    *,
    others: Mapping[str, LabelBundle],
    parameters: RunParameters,
    out: Path,
    network: Path | None = None,
    history: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Evaluate a fused bundle beside its baselines.

    Args:
        bundle: the candidate.
        store, snapshot_id: where the rows are that it was trained on and is tested on.
        others: further models on the same snapshot, by the name of their baseline.
        parameters: give the seed, and the baselines what they need.
        out: folder that gets the files; each appears whole.
        network: the finished folder of a ticket network, for its temperatures and maps of its embeddings.
        history: entries of training, one per epoch, for the learning curves.

    Returns:
        The content of ``metrics.json``.
    """
    evaluation = _Evaluation(
        bundle, snapshot_rows(store, snapshot_id), network=network, seed=parameters.seed, others=len(others)
    )
    answers = tfidf_svc(store, snapshot_id, bundle.spec, parameters)
    evaluation.add_baseline("tfidf-svc", {head: answer.top for head, answer in answers.items()})
    for name, other in others.items():
        evaluation.add_bundle(name, other)
    keys = text_keys(read_rows(store, snapshot_id, "train"), bundle.spec)
    every = itertools.chain.from_iterable(read_rows(store, snapshot_id, split) for split in ("train", "test"))
    return evaluation.write(
        out,
        training_keys=keys,
        drift=label_drift(every, list(bundle.spec.labels)),
        parameters=parameters.model_dump(mode="json"),
        history=history,
    )


def evaluate_rows(
    bundle: LabelBundle, test: TestRows, out: Path, *, seed: int = 0, with_report: bool = True
) -> dict[str, Any]:
    """Evaluate a bundle on any rows: a champion on a candidate's snapshot, or a bundle on a new table.

    Same files as `evaluate`; the only baseline is the majority label of the bundle's own training.

    Args:
        bundle: what is evaluated.
        test: rows with labels.
        out: folder that gets the files.
        seed: of the bootstrap.
        with_report: the gate needs no report of a champion.
    """
    evaluation = _Evaluation(bundle, test, network=None, seed=seed, others=0)
    return evaluation.write(
        out,
        training_keys=np.zeros(0, np.uint64),
        drift=label_drift(test.read(), list(bundle.spec.labels)),
        parameters={"seed": seed},
        with_report=with_report,
    )


class _Evaluation:
    """The candidate's answers on the test rows, and what is compared with them."""

    def __init__(self, bundle: LabelBundle, test: TestRows, *, network: Path | None, seed: int, others: int) -> None:
        """Predict the rows; ``others`` bundles will follow (for the progress)."""
        self.bundle, self.test, self.network, self.seed = bundle, test, network, seed
        self._steps, self._done = (1 + others) * test.rows["test"] + 1, 0
        spec = bundle.spec
        config = _json(network, "config.json") or {}
        self.temperatures: Mapping[str, float] = config.get("network", {}).get("temperature") or {}
        self.facts: RowFacts = facts(test.read(), spec, test.rows["test"])
        self.outcomes = self._measure(bundle, temperatures=self.temperatures, policy=bundle.policy)
        self.baselines: dict[str, dict[str, Any]] = {}
        self.comparison: dict[str, dict[str, Any]] = {}
        constant = {
            head: np.tile(sections.majority_answers(spec.label_counts[head]), (len(outcome.truth), 1))
            for head, outcome in self.outcomes.items()
        }
        self.majority = {
            head: classification(outcome.truth, constant[head][:, 0], constant[head], outcome.known)["accuracy"]
            for head, outcome in self.outcomes.items()
        }
        self.add_baseline("majority", constant)

    def _measure(self, bundle: LabelBundle, **options: Any) -> dict[str, Outcome]:
        before = self._done

        def tell(rows: int) -> None:
            self._done = before + rows
            progress.report("evaluate", self._done, self._steps, f"{rows:,} rows")

        has_text = self.facts.words > 0 if bundle.spec.text else np.ones(len(self.facts.words), bool)
        return measure(bundle, self.test.read(), has_text=has_text, progress=tell, **options)

    def add_baseline(self, name: str, tops: Mapping[str, np.ndarray]) -> None:
        """Compare with a system's three best labels per head and row, int [N, 3], in the catalogue of the bundle."""
        self.baselines[name], self.comparison[name] = {}, {}
        for head, outcome in self.outcomes.items():
            if head in tops:
                self.baselines[name][head] = sections.baseline_figures(outcome, tops[head], self.majority[head])
                right = outcome.truth == tops[head][:, 0]
                self.comparison[name][head] = sections.comparison(outcome, right, self.seed)

    def add_bundle(self, name: str, other: LabelBundle) -> None:
        """Compare with another bundle on the same rows; its catalogue may be another."""
        found = self._measure(other)
        self.add_baseline(
            name,
            {
                head: sections.in_catalogue(found[head], outcome.names)
                for head, outcome in self.outcomes.items()
                if head in found
            },
        )

    def slices(self, training_keys: np.ndarray) -> dict[str, Slices]:
        """Return the slices of every head."""
        spec = self.bundle.spec
        shared = self.facts.values | text_slices(self.facts, training_keys)
        return {
            head: shared | label_slices(outcome, self._separator(head), spec.label_counts[head])
            for head, outcome in self.outcomes.items()
        }

    def _separator(self, head: str) -> str | None:
        return self.bundle.spec.separator if head in self.bundle.spec.trees else None

    def write(
        self,
        out: Path,
        *,
        training_keys: np.ndarray,
        drift: dict[str, dict[str, Any]],
        parameters: dict[str, Any],
        history: list[dict[str, Any]] | None = None,
        with_report: bool = True,
    ) -> dict[str, Any]:
        """Write the files of the evaluation; return the content of ``metrics.json``.

        Args:
            out: folder.
            training_keys: hashes of the texts of training, see `text_keys`.
            drift: the labels of every month, see `label_drift`.
            parameters: of the run.
            history: entries of training, one per epoch.
            with_report: draw the pictures and write the page.
        """
        bundle, outcomes = self.bundle, self.outcomes
        slices = self.slices(training_keys)
        trees = {head: separator for head in outcomes if (separator := self._separator(head)) is not None}
        metrics = {
            "recipe": bundle.recipe,
            "model_id": bundle.model_id,
            "rows": self.test.rows,
            "test": {head: sections.head_figures(outcome, self.majority[head]) for head, outcome in outcomes.items()},
            "baselines": self.baselines,
            "comparison": self.comparison,
            "slices": {head: slice_table(slices[head], outcome) for head, outcome in outcomes.items()},
            "calibration": {
                head: sections.calibration_figures(outcome, self.temperatures.get(head, 1.0))
                for head, outcome in outcomes.items()
            },
            "automation": {
                head: sections.automation_figures(outcome, bundle.policy.heads[head].coverage)
                for head, outcome in outcomes.items()
            },
            "tree": {head: sections.tree_figures(outcomes[head], separator) for head, separator in trees.items()},
            "label_drift": drift,
            "labels": {head: sections.label_figures(outcome) for head, outcome in outcomes.items()},
            "confusion": {head: sections.confusion_figures(outcome) for head, outcome in outcomes.items()},
            "data": self.test.data | {"separator": bundle.spec.separator},
            "run": {
                "model_kind": bundle.manifest["model_kind"],
                "trained_on": bundle.manifest["snapshot"],
                "version": VERSION,
                "code": code_digest(),
                "parameters": parameters,
            },
        }
        out.mkdir(parents=True, exist_ok=True)
        _write_table(out / PREDICTIONS, predictions_table(self.facts.row, outcomes, slices))
        write_atomically(out / METRICS, canonical_json(metrics))
        if with_report:
            points = {} if self.network is None else maps(self.network, bundle.spec, self.seed)
            drawn = draw(metrics, history, points)
            write_atomically(out / PICTURES, canonical_json(drawn))
            write_report(out)
        progress.report("evaluate", self._steps, self._steps)
        return metrics


def _json(folder: Path | None, name: str) -> Any:
    """Return the content of a JSON file of the training's folder, None where there is none."""
    if folder is None or not (folder / name).is_file():
        return None
    return orjson.loads((folder / name).read_bytes())


def predictions_table(row: np.ndarray, outcomes: Mapping[str, Outcome], slices: Mapping[str, Slices]) -> pa.Table:
    """Return every answer as a table for the gate: row, head, label, predicted, confidence, and the slices. No text.

    Labels stand by name, because the champion may count them in another order. Rows without a label are left out.
    """
    parts = []
    for head, outcome in outcomes.items():
        kept = np.flatnonzero(outcome.labelled)
        names = pa.array(outcome.names, pa.string())
        columns = {
            "row": pa.array(row[kept]),
            "head": pa.array([head] * len(kept), pa.string()),
            "label": names.take(pa.array(outcome.truth[kept])),
            "predicted": names.take(pa.array(outcome.predicted[kept])),
            "confidence": pa.array(outcome.confidence[kept], pa.float32()),
        }
        for name, values in slices[head].items():
            columns[SLICE_COLUMN + name] = pa.array([values[place] for place in kept.tolist()], pa.string())
        parts.append(pa.table(columns))
    return pa.concat_tables(parts, promote_options="default")


def _write_table(path: Path, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_atomically(path, sink.getvalue().to_pybytes())
