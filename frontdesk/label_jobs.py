"""What the recipes that answer with labels share of the jobs: the snapshot, the gate, the evaluation of a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from frontdesk.engines.choice import PORTABLE
from frontdesk.errors import BadColumns, UsageError
from frontdesk.jobs import Jobs
from frontdesk.records import Columns, default_columns, load_columns, parse_columns
from frontdesk.storage import Store
from frontdesk.taxonomy import Lineage, RowMapper, load_taxonomy, require_fit

if TYPE_CHECKING:
    import pyarrow as pa

    from frontdesk.bundle.labels import LabelBundle
    from frontdesk.evaluation.gate import Verdict
    from frontdesk.snapshots import Prepare


class LabelJobs(Jobs):
    """The jobs of a recipe whose answers are labels."""

    def parameters(self, text: str) -> Any:
        """Read the parameters of a run from JSON, without the label file: job 1 alone reads it.

        What it said then stands in the snapshot, and nothing that later jobs make depends on where the file was.
        """
        values = orjson.loads(text)
        return self.parameters_type.of({name: values[name] for name in values if not name.startswith("taxonomy")})

    def prepare(self, parameters: Any) -> tuple[Prepare | None, dict[str, Any] | None]:
        """Return what is done to rows before they are stored, and what its result depends on; nothing by default.

        Labels are brought to one version after it, whatever it is.
        """
        return None, None

    def etl(self, *, data: str, test: str, columns: str, parameters: str, store: str) -> dict[str, Any]:
        """Job 1: tables -> snapshot. Returns its manifest."""
        from frontdesk.snapshots import take_snapshot

        chosen: Any = self.parameters_type.of(orjson.loads(parameters))
        mapping = parse_columns(orjson.loads(columns), recipe=self.name) if columns else default_columns(self.name)
        prepare, key = self.prepare(chosen)
        with self.join_of(mapping.features) as join:
            return take_snapshot(
                Store(store),
                recipe=self.name,
                data=data,
                test=test or None,
                columns=mapping,
                parameters=chosen,
                prepare=prepare,
                prepare_key=key,
                join=join,
                relabel=relabel_of(chosen.taxonomy, chosen.taxonomy_version, mapping),
            )

    def open_bundle(self, location: str) -> LabelBundle:
        """Open a bundle that answers with labels."""
        from frontdesk.bundle.labels import LabelBundle

        return LabelBundle.load(location, engine=PORTABLE)

    def measure_champion(
        self, store: Store, fused: str, snapshot: str, champion: LabelBundle, out: Path
    ) -> dict[str, Any]:
        """Measure a champion on a candidate's test rows.

        Where the candidate was trained with a label file, the champion answers in the candidate's version of it.
        """
        from frontdesk.evaluation.evaluate import evaluate_rows, snapshot_rows

        lineage = Lineage.of(store.manifest("snapshots", snapshot) or {})
        if lineage.history is not None:
            champion = champion.in_version(lineage.history, lineage.trained)
        return evaluate_rows(champion, snapshot_rows(store, snapshot), out, with_report=False)

    def decide(
        self, candidate: dict[str, Any], ours: Path, champion: dict[str, Any] | None, theirs: Path | None
    ) -> Verdict:
        """Compare per head and slice; see `frontdesk.evaluation.gate`."""
        from frontdesk.evaluation.gate import gate

        return gate(candidate, ours, champion, theirs)

    def evaluate(
        self,
        bundle: str,
        data: str,
        columns: str | None,
        out: Path,
        *,
        taxonomy: str | None = None,
        taxonomy_version: str | None = None,
    ) -> dict[str, Any]:
        """Evaluate a bundle on a table with labels of any age."""
        from frontdesk.bundle.labels import LabelBundle
        from frontdesk.evaluation.evaluate import TestRows, evaluate_rows, relabelled
        from frontdesk.tables import joined_batches, read_batches

        model = LabelBundle.load(bundle, engine=PORTABLE, taxonomy=taxonomy, taxonomy_version=taxonomy_version)
        mapping = columns_of(model, columns)
        if not mapping.heads:
            raise BadColumns("the mapping names no label column", where=columns or "spec.json")

        rows, refused, relabel = 0, 0, model.relabel()
        for batch in read_batches(data, mapping):
            rows += batch.rows.num_rows
            refused += len(batch.refused)
            if relabel is not None:
                relabel(batch.rows)
        counts = {"train": model.spec.documents, "test": rows, "refused": refused}
        facts = {} if relabel is None else {"taxonomy": relabelled(relabel.to_json(mapping.heads))}
        with self.join_of(mapping.features) as join:

            def read() -> Iterator[pa.RecordBatch]:
                again = model.relabel()
                batches = (model.prepared(batch.rows) for batch in joined_batches(data, mapping, join))
                return map(again, batches) if again else batches

            return evaluate_rows(model, TestRows(read=read, rows=counts, data=facts), out)

    def score(
        self,
        bundle: str,
        source: str,
        columns: str | None,
        out: Path,
        *,
        taxonomy: str | None = None,
        taxonomy_version: str | None = None,
    ) -> dict[str, Any]:
        """Predict every row of a table."""
        from frontdesk.bundle.labels import LabelBundle
        from frontdesk.scoring import score_table

        model = LabelBundle.load(bundle, engine=PORTABLE, taxonomy=taxonomy, taxonomy_version=taxonomy_version)
        mapping = columns_of(model, columns)
        with self.join_of(mapping.features) as join:
            return score_table(model, source, mapping, out, join)


def relabel_of(taxonomy: str | None, version: str | None, columns: Columns) -> RowMapper | None:
    """Return what brings the labels of a table's rows to a version of a label file; None without a file.

    Raises:
        UsageError: a version without a file, or one that is no day.
        BadTaxonomy: the file contradicts itself, or is about other labels.
    """
    if taxonomy is None:
        if version is not None:
            raise UsageError("a version of no label file", where=version, remedy="Name the label file too")
        return None
    history = load_taxonomy(taxonomy)
    separators = {head: columns.separator if head in columns.trees else None for head in columns.heads}
    require_fit(history, separators, taxonomy.rpartition("/")[2])
    return RowMapper(history, version)


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
