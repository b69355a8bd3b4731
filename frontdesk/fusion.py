"""Fusion (job 5): trained weights and fitted preprocessing become one bundle, proven equal to what was trained.

The reference is the network in torch on the golden rows. Every engine that may serve, and on request the bundle inside
Spark, must give its probabilities to `EQUAL`; otherwise there is no bundle.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file

from frontdesk.bundle import save_bundle
from frontdesk.bundle.labels import LabelBundle
from frontdesk.card import model_card
from frontdesk.decisions import learn_policy
from frontdesk.engines import ENGINES, ORDER, PORTABLE
from frontdesk.engines.network_files import CONFIG, WEIGHTS, read_config, read_weights
from frontdesk.errors import BundleError
from frontdesk.golden import GOLDEN, INPUT, Golden, Model, golden_inputs, golden_table, read_golden
from frontdesk.logs import event
from frontdesk.preprocessing.spec import CREATED_AT, Spec
from frontdesk.progress import report
from frontdesk.records import TicketColumns
from frontdesk.storage import MANIFEST, Store
from frontdesk.taxonomy import Lineage, Taxonomy
from frontdesk.ticket.recipe import NAME, TicketParameters

EQUAL = 1e-5
"""Largest difference of a probability between the forms of one model, all in float32."""
_VALIDATION = "validation.safetensors"
_log = logging.getLogger(__name__)


def fuse(
    store: Store,
    *,
    network: Path,
    classical: Path,
    tensors: Path,
    snapshot_id: str,
    parameters: TicketParameters,
    work: Path,
    spark: bool = False,
) -> tuple[Path, Path]:
    """Build the bundles of both models.

    Args:
        store: holds the snapshot, whose manifest tells the label file.
        network: finished folder of v2's training.
        classical: finished folder of v1's training.
        tensors: the training's tensors; its ``spec.json`` is the spec of both.
        snapshot_id: what both were trained on.
        parameters: of the run.
        work: gets ``bundle`` and ``bundle-v1``.
        spark: also prove the bundle inside Spark; starts a session.

    Returns:
        The two folders.

    Raises:
        BundleError: a form of a model gives other probabilities, or files of the training do not fit together.
    """
    spec = Spec.from_json(orjson.loads((tensors / "spec.json").read_bytes()))
    report("fuse", 0, 4, "graph")
    lineage = Lineage.of(store.manifest("snapshots", snapshot_id) or {})
    bundle = fuse_network(network, spec, snapshot_id, work / "bundle", lineage)
    report("fuse", 2, 4, "v1")
    bundle_v1 = fuse_classical(classical, spec, snapshot_id, work / "bundle-v1", lineage)
    report("fuse", 3, 4, "golden rows")
    if spark:
        prove_in_spark(bundle)
    report("fuse", 4, 4)
    return bundle, bundle_v1


def fuse_network(network: Path, spec: Spec, snapshot_id: str, target: Path, lineage: Lineage = Lineage()) -> Path:  # noqa: B008 - frozen
    """Build v2's bundle at ``target`` and prove every engine of `ORDER` against torch."""
    from frontdesk.engines.eager import EagerEngine
    from frontdesk.ticket.graph import build_graph

    graph = build_graph(read_weights(network), read_config(network, spec), spec)
    files: dict[str, Path | bytes] = {"model.onnx": graph, WEIGHTS: network / WEIGHTS, CONFIG: network / CONFIG}
    reference = EagerEngine(network, spec)
    draft = draft_bundle(network, spec, snapshot_id, target, NAME, "ticket-network", files, reference, lineage)
    golden = read_golden(draft)
    for name in ORDER:
        prove(ENGINES[name](draft, spec), golden, f"engine {name}")
    return publish(draft, target)


def fuse_classical(classical: Path, spec: Spec, snapshot_id: str, target: Path, lineage: Lineage = Lineage()) -> Path:  # noqa: B008 - frozen
    """Build v1's bundle at ``target`` and prove that what a bundle loads is what was trained."""
    from frontdesk.ticket.classical_model import ClassicalModel

    files: dict[str, Path | bytes] = {
        path.name: path for path in sorted(classical.iterdir()) if path.name not in (MANIFEST, _VALIDATION)
    }
    model = ClassicalModel.load(classical, spec)
    draft = draft_bundle(classical, spec, snapshot_id, target, NAME, "ticket-classical", files, model, lineage)
    prove(ClassicalModel.load(draft, spec), read_golden(draft), "v1")
    return publish(draft, target)


def draft_bundle(
    trained: Path,
    spec: Spec,
    snapshot_id: str,
    target: Path,
    recipe: str,
    kind: str,
    files: Mapping[str, Path | bytes],
    reference: Model,
    lineage: Lineage,
) -> Path:
    """Write an unproven bundle beside the target; the reference gives the golden probabilities."""
    inputs, rows = golden_inputs(spec)
    golden = golden_table(inputs, reference.probabilities(inputs, rows), spec)
    taxonomy = Taxonomy.of(spec)
    # The fields of a ticket can tell its type; a bank alone tells nothing of what a mail is about.
    policy = learn_policy(_validation(trained, spec), taxonomy, needs_text=recipe == "email")
    metrics: dict[str, Any] = {}
    draft = target.with_name(f".{target.name}.unproven")
    save_bundle(
        draft,
        recipe=recipe,
        model_kind=kind,
        files=files,
        spec=spec.to_json(),
        policy=policy.to_json(),
        taxonomy=taxonomy.to_json() | lineage.to_json(),
        metrics=metrics,
        golden=golden,
        card=model_card(
            recipe=recipe, model_kind=kind, snapshot=snapshot_id, spec=spec, policy=policy, metrics=metrics
        ),
        snapshot=snapshot_id,
    )
    return draft


def publish(draft: Path, target: Path) -> Path:
    """Put a proven bundle in its place."""
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)
    return target


def _validation(trained: Path, spec: Spec) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the held-out probabilities and labels that training left; none where it left none."""
    path = trained / _VALIDATION
    if not path.is_file():
        return {}
    arrays = load_file(path)
    return {
        head: (arrays[f"{head}.probabilities"], arrays[f"{head}.labels"])
        for head in spec.labels
        if f"{head}.labels" in arrays
    }


def prove(model: Model, golden: Golden, name: str, tolerance: float | None = None) -> float:
    """Compare a form of a model with the golden rows; return the largest difference.

    Raises:
        BundleError: it is more than ``tolerance``, or without one than `EQUAL`.
    """
    limit = EQUAL if tolerance is None else tolerance
    difference = golden.difference(model)
    event(_log, "golden_rows", form=name, difference=difference)
    if not difference <= limit:
        words = f"{name} gives other probabilities than the reference: {difference:.1e} is more than {limit}"
        raise BundleError(words, where=GOLDEN, remedy="Report it with the column mapping and the parameters")
    return difference


def prove_in_spark(bundle: Path) -> int:
    """Score the golden rows by the bundle inside Spark and compare the confidences with those of the bundle here.

    Rows go through a table, as any batch does, so a time that a table refuses (the year 1) is left out.

    Returns:
        The number of rows compared.

    Raises:
        BundleError: a confidence differs by more than `EQUAL`, or Spark refused most rows.
        MissingTool: there is no Java.
    """
    from frontdesk.preprocessing.spark_scoring import score
    from frontdesk.preprocessing.spark_session import session

    here = LabelBundle.load(bundle, engine=PORTABLE)  # the fastest may compute in fewer bits
    spec, golden = here.spec, read_golden(bundle)
    answers = here.predict_columns(golden.columns, golden.rows)
    columns = TicketColumns(
        created_at=CREATED_AT if CREATED_AT in spec.numeric else None,
        text=spec.text,
        categorical=tuple(spec.categorical),
        numeric=tuple(name for name in spec.numeric if name != CREATED_AT),
    )
    # The bundle and its rows lie on this machine, so its own workers score them, whatever the master of the tables is.
    with tempfile.TemporaryDirectory(prefix="frontdesk-golden-") as folder, session(master="local[1]"):
        source, target = Path(folder) / "rows.parquet", Path(folder) / "scores"
        inputs = golden_table(golden.columns, {}, spec)
        pq.write_table(inputs.rename_columns([name.removeprefix(INPUT) for name in inputs.column_names]), source)
        score(str(bundle), str(source), str(target), columns)
        scored = pa.concat_tables(pq.read_table(path) for path in sorted(target.glob("part-*.parquet")))
    rows = scored["row"].to_numpy()
    if len(rows) < golden.rows // 2:
        raise BundleError(f"Spark scored {len(rows)} of {golden.rows} golden rows", where=GOLDEN)
    for head in spec.labels:
        expected = np.array([answer.labels[head].confidence for answer in answers])
        confidence = scored[f"{head}_confidence"].to_numpy()
        difference = float(np.abs(confidence - expected[rows]).max(initial=0.0))
        event(_log, "golden_rows", form="Spark", head=head, difference=difference)
        if not difference <= EQUAL:
            words = f"the bundle inside Spark gives other confidences: {difference:.1e} is more than {EQUAL}"
            raise BundleError(words, where=GOLDEN)
    return len(rows)
