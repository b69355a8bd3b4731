"""A bundle that answers with labels: raw columns -> calibrated probabilities per head -> decisions."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from pydantic import TypeAdapter

from frontdesk.bundle.base import Arrays, Bundle, Encoded, InputKind, InstanceError, Output
from frontdesk.bundle.explaining import LinearPart, explained
from frontdesk.bundle.folder import POLICY, TAXONOMY, parsed
from frontdesk.decisions import Policy, decide
from frontdesk.errors import BundleError, InvalidRequest, PredictorUnavailable, UsageError
from frontdesk.golden import Model
from frontdesk.policy_file import PolicyFile, ServedPolicy, served_policy
from frontdesk.preprocessing.encoding import days, level
from frontdesk.preprocessing.spec import CREATED_AT, Spec
from frontdesk.records import LabelPrediction, Prediction
from frontdesk.records.features import FeatureColumns
from frontdesk.requests import validate
from frontdesk.scope import UnknownWords, doubt
from frontdesk.taxonomy import (
    History,
    Lineage,
    Projected,
    Prototypes,
    RowMapper,
    Taxonomy,
    TaxonomyView,
    hold_back,
    introduce,
    load_taxonomy,
    require_fit,
)
from frontdesk.taxonomy.prototypes import MIN_EXAMPLES
from frontdesk.text.cleaning import clean

_REMEDY = "Copy the bundle again from where it was made"
_DAY_SECONDS = 86_400.0
Embedding = Callable[[Mapping[str, Sequence[Any]], int], np.ndarray]
_answers = TypeAdapter(list[Prediction])


@dataclass(frozen=True)
class Columns:
    """Records as the model takes them: one list of values per field."""

    values: Mapping[str, Sequence[Any]]
    rows: int


class LabelBundle(Bundle):
    """A loaded model of labels.

    Attributes:
        spec, policy, taxonomy: parsed parts; the labels are those that answers are in.
        model: gives probabilities of the labels that it was trained with: an engine, or the classical model.
        lineage: how those stand in time.
        prototypes: ``{head: places of its labels}`` in the space of `embedding`; empty where there are none.
        history: the label file that answers are by; None where there is none.
        served: the policy file that decides; None where the bundle's own policy does.
        linear_part: what of the model is linear in the words; None where nothing is.
        embedding: columns as the model takes them, and their rows -> the model's places of their texts, float
            [rows, D]; None for a model that has none.
    """

    linear_part: LinearPart | None = None
    embedding: Embedding | None = None

    def __init__(self, folder: Path, manifest: dict[str, Any], spec: Spec, model: Model) -> None:
        super().__init__(folder, manifest)
        self.spec = spec
        self.model = model
        labels = parsed(folder, TAXONOMY)
        self.taxonomy = Taxonomy.from_json(labels)
        self.lineage = Lineage.from_json(labels, self.taxonomy)
        self.history: History | None = self.lineage.history
        self.label_version = None if self.history is None else self.lineage.trained
        self._view: TaxonomyView | None = None
        self.served: ServedPolicy | None = None
        self._unknown: UnknownWords | None = None
        self.prototypes: dict[str, Prototypes] = {}
        self._new: dict[str, Prototypes] = {}
        self.policy = Policy.from_json(parsed(folder, POLICY))
        if self.taxonomy != Taxonomy.of(self.spec):
            raise BundleError("the labels are not those of spec.json", where=TAXONOMY, remedy=_REMEDY)
        if self.policy.heads.keys() != self.taxonomy.heads.keys():
            raise BundleError("the heads are not those of taxonomy.json", where=POLICY, remedy=_REMEDY)
        self._trained_spec, self._trained_taxonomy = self.spec, self.taxonomy
        self._trained_heads = {head: len(labels) for head, labels in spec.labels.items()}
        self.inputs = {name: _kind(name, spec) for name in spec.fields}
        if (features := spec.columns.get("features")) is not None:
            self.feature_columns = FeatureColumns.model_validate(features)
        self.outputs = {name: output for head in spec.labels for name, output in _outputs(head).items()}

    @staticmethod
    def load(
        location: str | Path,
        *,
        engine: str = "auto",
        taxonomy: str | None = None,
        taxonomy_version: str | None = None,
        policy: str | None = None,
        ends: bool = False,
    ) -> LabelBundle:
        """Open a bundle that answers with labels; see `Bundle.load`. Raises `BundleError` for one of another form."""
        bundle = Bundle.load(
            location, engine=engine, taxonomy=taxonomy, taxonomy_version=taxonomy_version, policy=policy, ends=ends
        )
        if not isinstance(bundle, LabelBundle):
            words = f"a bundle of {bundle.manifest['model_kind']} does not answer with labels"
            raise BundleError(words, where=str(location), remedy="Name a bundle of another recipe")
        return bundle

    def in_labels_of(self, taxonomy: str | None, version: str | None) -> LabelBundle:
        """Return this bundle answering in a version of a label file; see `Bundle.load`."""
        history = self.lineage.history if taxonomy is None else load_taxonomy(taxonomy)
        if history is None:
            words = "the bundle was trained without a label file, so its labels have no versions"
            raise UsageError(words, where=self.model_id, remedy="Name a label file too")
        separators = {head: tree.separator for head, tree in self._trained_taxonomy.heads.items()}
        require_fit(history, separators, self.model_id if taxonomy is None else taxonomy.rpartition("/")[2])
        return self.in_version(history, version)

    def in_version(self, history: History, version: str | None = None) -> LabelBundle:
        """Return this bundle answering in a version of a label file, the newest for None. Heads it lacks stay.

        Raises:
            UsageError: a head has no label in that version.
        """
        view = self.lineage.view(self._trained_taxonomy, history, version)
        counts = view.counts(self._trained_spec.label_counts)
        made = copy.copy(self)
        made.history, made.label_version = history, view.version
        made._view = None if view.same else view
        made.taxonomy = view.taxonomy
        made.spec = replace(
            self._trained_spec,
            labels={head: tree.labels for head, tree in view.taxonomy.heads.items()},
            label_counts=counts,
        )
        made._new = self._newcomers(history, view, counts)
        return made

    def under(self, policy: PolicyFile) -> LabelBundle:
        """Return this bundle with its decisions made by a policy file; as it is where the file has nothing for it.

        Raises:
            UsageError: the file names a head or a label that there is not.
        """
        served = served_policy(policy, self.recipe, self.policy, self.taxonomy)
        if served is None:
            return self
        made = copy.copy(self)
        made.served, made.policy = served, served.policy
        made._unknown = None if served.scope is None else UnknownWords(self.spec)
        return made

    def _newcomers(
        self, history: History, view: TaxonomyView, counts: Mapping[str, Sequence[int]]
    ) -> dict[str, Prototypes]:
        """Return per head the prototypes with the labels that have texts in the label file and too few rows."""
        found = {}
        for head, tree in view.taxonomy.heads.items():
            known = self.prototypes.get(head) if head in history.heads else None
            if known is None or self.embedding is None:
                continue
            few = {label for label, rows in zip(tree.labels, counts[head], strict=True) if rows < MIN_EXAMPLES}
            texts = [(name, text) for name, text in history.prototype_texts(head, view.version) if name in few]
            if texts:
                names, written = zip(*texts, strict=True)
                vectors = self.embedding({self.spec.text[-1]: written}, len(written))
                found[head] = known.extended(vectors, names)
        return found

    def relabel(self) -> RowMapper | None:
        """Return what brings the labels of rows of every age to the version of the answers; None: they stay."""
        return None if self.history is None else RowMapper(self.history, self.label_version)

    def example(self) -> dict[str, Any]:
        """Return a record of typical length: fifty words of the vocabulary in every text."""
        return dict.fromkeys(self.spec.text, " ".join(self.spec.vocabulary[:50]))

    def prepared(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows of a raw table as `probabilities` takes them: as they are."""
        return rows

    def validate(self, instances: Any) -> dict[str, list[Any]]:
        """Check request instances and turn them into columns; see `frontdesk.requests.validate`."""
        return validate(instances, self.spec)

    def probabilities(self, columns: Mapping[str, Sequence[Any]], rows: int) -> dict[str, np.ndarray]:
        """Return calibrated probabilities ``{head: float32 [rows, K]}`` of raw columns, K as in spec.labels."""
        return {head: made.probabilities for head, made in self.project(columns, rows).items()}

    def project(self, columns: Mapping[str, Sequence[Any]], rows: int) -> dict[str, Projected]:
        """Return `probabilities` with the share of each row that lay on labels without a successor."""
        return self._projected(self.model.probabilities(columns, rows), columns, rows)

    def _projected(
        self, trained: Mapping[str, np.ndarray], columns: Mapping[str, Sequence[Any]], rows: int
    ) -> dict[str, Projected]:
        if self._view is None:
            made = {head: Projected(values, np.zeros(rows, np.float32)) for head, values in trained.items()}
        else:
            made = self._view.apply(dict(trained), columns)
        if self._new and self.embedding is not None:
            vectors = self.embedding(columns, rows)
            for head, prototypes in self._new.items():
                labels = self.taxonomy.heads[head].labels
                told = introduce(made[head].probabilities, labels, prototypes, vectors)
                made[head] = replace(made[head], probabilities=told)
        return made

    def prepare(self, columns: Mapping[str, Sequence[Any]], rows: int) -> Mapping[str, Sequence[Any]]:
        """Return raw columns as the model takes them: as they are."""
        return columns

    def encode(self, instances: Any) -> Encoded:
        """Check request instances and turn them into columns. Raises `InvalidRequest`."""
        return self._encoded(self.validate(instances), len(instances))

    def _encoded(self, columns: Mapping[str, Sequence[Any]], rows: int) -> Encoded:
        return Encoded(Columns(self.prepare(columns, rows) if rows else {}, rows), None)

    def run(self, asked: Columns) -> Arrays:
        """Return calibrated probabilities of the labels that the model was trained with."""
        return self.model.probabilities(asked.values, asked.rows) if asked.rows else {}

    def predict_columns(self, columns: Mapping[str, Sequence[Any]], rows: int) -> list[Prediction]:
        """Answer ``rows`` records given as raw columns; an absent column is missing in every row."""
        encoded = self._encoded(columns, rows)
        return self.decide(encoded, self.run(encoded.asked))

    def decide(self, encoded: Encoded, outputs: Arrays | None) -> list[Prediction]:
        """Turn probabilities into decisions; see `Bundle.decide`."""
        columns, rows = encoded.asked.values, encoded.asked.rows
        if rows == 0:
            return []
        if outputs is None:
            raise PredictorUnavailable("the predictor does not answer", remedy="Ask again in a few seconds")
        if any(outputs[head].shape != (rows, count) for head, count in self._trained_heads.items()):
            raise PredictorUnavailable("the predictor serves another model", remedy="Serve one bundle in both")
        probabilities, lost = outputs, None
        if self._view is not None or self._new:  # the usual way costs nothing more
            projected = self._projected(outputs, columns, rows)
            probabilities = {head: made.probabilities for head, made in projected.items()}
            lost = {head: made.lost for head, made in projected.items()}
        texts = [columns[name] for name in self.spec.text if name in columns]
        has_text = [not self.spec.text or any(clean(text[row]) for text in texts) for row in range(rows)]
        answers = {
            head: decide(probabilities[head], has_text, tree, self.policy.heads[head])
            for head, tree in self.taxonomy.heads.items()
        }
        if lost is not None:
            answers = {
                head: hold_back(
                    answer,
                    lost[head],
                    auto=self.policy.heads[head].auto,
                    new_labels=self._new[head].new if head in self._new else (),
                )
                for head, answer in answers.items()
            }
        found = [
            Prediction.model_construct(
                model_id=self.model_id, labels={head: answer[row] for head, answer in answers.items()}
            )
            for row in range(rows)
        ]
        if self.served is not None:
            self._apply(self.served, found, probabilities, columns)
        return found

    def _apply(
        self,
        served: ServedPolicy,
        answers: Sequence[Prediction],
        probabilities: Mapping[str, np.ndarray],
        columns: Mapping[str, Sequence[Any]],
    ) -> None:
        """Add what a policy file alone decides: what is out of scope, and what may be answered at once."""
        shares: list[float] | None = None
        if served.scope is not None and self._unknown is not None:
            unknown = self._unknown.shares(columns, len(answers))
            shares = served.scope.share(doubt(probabilities), unknown).tolist()
        for row, answer in enumerate(answers):
            answer.policy = served.version
            if shares is not None and served.scope is not None:
                answer.scope = shares[row]
                if shares[row] < served.scope.least:
                    for said in answer.labels.values():
                        said.decision, said.level, said.reason = "abstain", "none", "out_of_scope"
            answer.automatic_reply = served.automatic_reply(answer.labels)

    def explain(self, encoded: Encoded, outputs: Arrays, answers: Sequence[Prediction]) -> Sequence[Prediction]:
        """Take apart what each label owes to the words; see `frontdesk.bundle.explaining`.

        Answers in other labels than those of training stay as they are: there several labels' parts are mixed.
        """
        if self.linear_part is not None and self._view is None and not self._new:
            columns = encoded.asked.values
            for row, answer in enumerate(answers):
                record = {name: [values[row]] for name, values in columns.items()}
                said = {head: outputs[head][row] for head in answer.labels}
                answer.explanation = explained(self.linear_part, record, said, answer, self.spec.labels)
        return answers

    def moment_of(self, instance: Mapping[str, Any]) -> float | None:
        """Return a record's ``created_at``."""
        created = instance.get(CREATED_AT)
        return None if created is None else days(created) * _DAY_SECONDS

    def incomplete(self, answer: Prediction, missing: list[str], *, degraded: bool) -> Prediction:
        """Mark an answer."""
        answer.missing_features, answer.degraded = missing, degraded or None
        return answer

    def pack(self, asked: Columns) -> dict[str, np.ndarray]:
        """Return columns as arrays: prepared texts, categories as `level` writes them ("" missing), numbers (NaN)."""
        packed: dict[str, np.ndarray] = {}
        for name, kind in self.inputs.items():
            values = asked.values.get(name, [None] * asked.rows)
            if kind in ("text", "category"):
                packed[name] = np.empty(asked.rows, object)
                packed[name][:] = [
                    (self.packed_text(value) if kind == "text" else level(value)) or "" for value in values
                ]
            else:
                packed[name] = np.array([np.nan if value is None else value for value in values], np.float64)
        return packed

    def packed_text(self, value: str | None) -> str:
        """Return a prepared text as it leaves a transformer: cleaned, which cleaning again does not change."""
        return clean(value)

    def unpack(self, arrays: Arrays) -> Columns:
        """Return what `pack` packed. Raises `InvalidRequest` that names the array."""
        rows = {len(array) for array in arrays.values() if array.ndim == 1}
        for name, array in arrays.items():
            if name not in self.inputs:
                raise InvalidRequest(
                    "there is no such field", where=name[:80], remedy=f"Fields: {', '.join(self.inputs)}"
                )
            if array.ndim != 1 or len(rows) != 1:
                raise InvalidRequest("must have one value per record", where=name)
            if (array.dtype == object) != (self.inputs[name] in ("text", "category")):
                raise InvalidRequest("is of another datatype", where=name)
        if not arrays:
            raise InvalidRequest("there is no field", where="inputs")
        return Columns({name: array.tolist() for name, array in arrays.items()}, rows.pop())

    def dump(self, answers: Sequence[Any]) -> bytes:
        """Return answers as a JSON array."""
        if any(isinstance(answer, InstanceError) for answer in answers):
            parts = [answer.model_dump_json(exclude_none=True).encode() for answer in answers]
            return b"[" + b",".join(parts) + b"]"
        return _answers.dump_json(list(answers), exclude_none=True)


def _kind(name: str, spec: Spec) -> InputKind:
    if name in spec.text:
        return "text"
    if name in spec.categorical:
        return "category"
    return "moment" if name == CREATED_AT else "number"


def _outputs(head: str) -> dict[str, Output]:
    def of(value: Any) -> Any:
        return lambda prediction: value(prediction.labels[head])

    return {
        head: Output("BYTES", of(lambda answer: answer.label)),
        f"{head}_confidence": Output("FP64", of(lambda answer: answer.confidence)),
        f"{head}_decision": Output("BYTES", of(lambda answer: answer.decision)),
        f"{head}_reason": Output("BYTES", of(lambda answer: answer.reason)),
        f"{head}_alternatives": Output("BYTES", of(_alternatives)),
        f"{head}_backoff": Output("BYTES", of(lambda answer: answer.backoff.label if answer.backoff else "")),
    }


def _alternatives(answer: LabelPrediction) -> str:
    return orjson.dumps([{"label": one.label, "confidence": one.confidence} for one in answer.alternatives]).decode()
