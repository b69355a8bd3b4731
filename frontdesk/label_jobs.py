"""What the recipes that answer with labels share of the jobs: the snapshot, the gate, the evaluation of a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from frontdesk.errors import BadColumns, BundleError, UnreadableFile
from frontdesk.jobs import Jobs
from frontdesk.records import Columns, default_columns, load_columns, parse_columns
from frontdesk.storage import Store

if TYPE_CHECKING:
    import pyarrow as pa

    from frontdesk.bundle.labels import LabelBundle
    from frontdesk.snapshots import Prepare


class LabelJobs(Jobs):
    """The jobs of a recipe whose answers are labels."""

    def prepare(self, parameters: Any) -> tuple[Prepare | None, dict[str, Any] | None]:
        """Return what is done to rows before they are stored, and what its result depends on; nothing by default."""
        return None, None

    def etl(self, *, data: str, test: str, columns: str, parameters: str, store: str) -> dict[str, Any]:
        """Job 1: tables -> snapshot. Returns its manifest."""
        from frontdesk.snapshots import take_snapshot

        chosen = self.parameters(parameters)
        mapping = parse_columns(orjson.loads(columns), recipe=self.name) if columns else default_columns(self.name)
        prepare, key = self.prepare(chosen)
        return take_snapshot(
            Store(store),
            recipe=self.name,
            data=data,
            test=test or None,
            columns=mapping,
            parameters=chosen,
            prepare=prepare,
            prepare_key=key,
        )

    def compare(self, store: Store, fused: str, champion: str | None, work: Path) -> dict[str, Any]:
        """Compare a candidate with the champion per head and slice; see `frontdesk.evaluation.gate`."""
        from frontdesk.bundle.labels import LabelBundle
        from frontdesk.evaluation import METRICS, PREDICTIONS
        from frontdesk.evaluation.evaluate import evaluate_rows, snapshot_rows
        from frontdesk.evaluation.gate import gate

        candidate = orjson.loads(store.read_bytes("fused", fused, METRICS))
        measured, reasons = None, []
        ours, theirs = work / PREDICTIONS, work / "champion"
        ours.write_bytes(store.read_bytes("fused", fused, PREDICTIONS))
        if champion is not None:
            try:
                opened = LabelBundle.load(champion)
            except (BundleError, UnreadableFile) as error:  # a release that cannot load it cannot serve it either
                reasons = [f"The champion cannot be loaded, so nothing was compared with it: {error.message}."]
            else:
                rows = snapshot_rows(store, candidate["data"]["snapshot"])
                measured = evaluate_rows(opened, rows, theirs, with_report=False)
        verdict = gate(candidate, ours, measured, theirs / PREDICTIONS if measured else None)
        return {"decision": verdict.decision, "reasons": reasons + verdict.reasons}

    def evaluate(self, bundle: str, data: str, columns: str | None, out: Path) -> dict[str, Any]:
        """Evaluate a bundle on a table with labels."""
        from frontdesk.bundle.labels import LabelBundle
        from frontdesk.evaluation.evaluate import TestRows, evaluate_rows
        from frontdesk.tables import read_batches

        model = LabelBundle.load(bundle)
        mapping = columns_of(model, columns)
        if not mapping.heads:
            raise BadColumns("the mapping names no label column", where=columns or "spec.json")

        def read() -> Iterator[pa.RecordBatch]:
            return (model.prepared(batch.rows) for batch in read_batches(data, mapping))

        rows, refused = 0, 0
        for batch in read_batches(data, mapping):
            rows += batch.rows.num_rows
            refused += len(batch.refused)
        counts = {"train": model.spec.documents, "test": rows, "refused": refused}
        return evaluate_rows(model, TestRows(read=read, rows=counts), out)

    def score(self, bundle: str, source: str, columns: str | None, out: Path) -> dict[str, Any]:
        """Predict every row of a table."""
        from frontdesk.bundle.labels import LabelBundle
        from frontdesk.scoring import score_table

        model = LabelBundle.load(bundle)
        return score_table(model, source, columns_of(model, columns), out)


def columns_of(bundle: LabelBundle, path: str | None) -> Columns:
    """Return the mapping to read a table by: the given one, or the one that the bundle was trained through.

    Raises:
        BadColumns: the bundle reads a field that the mapping does not name.
    """
    recipe = bundle.recipe
    mapping: Columns = (
        load_columns(path, recipe)
        if path is not None
        else parse_columns(bundle.spec.columns, where="spec.json", recipe=recipe)
    )
    missing = [name for name in bundle.spec.fields if name not in mapping.roles]
    if missing:
        raise BadColumns(
            f"the bundle reads {', '.join(missing)}, which the mapping does not name",
            where=path or "spec.json",
            remedy="Use the mapping that the bundle was trained with",
        )
    return mapping


def describe_in_bundle(folder: Path, bundle: LabelBundle, metrics: dict[str, Any]) -> None:
    """Put the evaluation's results into a bundle."""
    from frontdesk.bundle import update_bundle
    from frontdesk.card import model_card

    card = model_card(
        recipe=bundle.recipe,
        model_kind=bundle.manifest["model_kind"],
        snapshot=bundle.manifest["snapshot"],
        spec=bundle.spec,
        policy=bundle.policy,
        metrics=metrics,
    )
    update_bundle(folder, metrics=metrics, card=card)
