"""The six jobs of the ticket recipe: each finds its finished work in the store, or calls the library and stores it.

Everything comes in as plain text and ids, because the caller is a pipeline step that may run on another machine.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from frontdesk.errors import BundleError, TrainingError, UnreadableFile
from frontdesk.preprocessing.spec import Spec
from frontdesk.records import DEFAULT_TICKET_COLUMNS, parse_columns
from frontdesk.storage import MANIFEST, Store, canonical_json, describe, work_key
from frontdesk.ticket.recipe import NAME, TicketParameters, parameters_of

if TYPE_CHECKING:
    from frontdesk.bundle.labels import LabelBundle

FORMAT = 1


def etl(*, data: str, test: str, columns: str, parameters: str, store: str) -> dict[str, Any]:
    """Job 1: tables -> snapshot. Returns its manifest."""
    from frontdesk.snapshots import take_snapshot

    return take_snapshot(
        Store(store),
        recipe=NAME,
        data=data,
        test=test or None,
        columns=parse_columns(orjson.loads(columns)) if columns else DEFAULT_TICKET_COLUMNS,
        parameters=_parameters(parameters),
    )


def spark_preprocess(*, snapshot: str, parameters: str, store: str) -> dict[str, Any]:
    """Job 2: snapshot -> tensors, by Spark. Returns their manifest."""
    from frontdesk.preprocessing.spark import preprocess

    return preprocess(Store(store), snapshot, _parameters(parameters))


def data_transfer(*, tensors: str, store: str, node: Path) -> Path:
    """Job 3: tensors -> the training node. Returns the folder there."""
    from frontdesk.tensors import transfer

    return transfer(Store(store), tensors, node)


def train(*, snapshot: str, tensors: Path, parameters: str, store: str, work: Path) -> dict[str, Any]:
    """Job 4: train the network (v2) and the classical system (v1).

    Args:
        tensors: folder on this node.
        work: folder of checkpoints; a killed training goes on there.

    Returns:
        The manifest of ("trained", id), a folder with ``network/`` and ``classical/``.
    """
    from frontdesk.ticket.classical import train_classical
    from frontdesk.training import train as train_network

    chosen = _parameters(parameters)
    key = work_key("train", tensors=tensors.name, parameters=chosen.model_dump(mode="json"))
    place = Store(store)
    if (done := place.manifest("trained", key)) is not None:
        return done
    with _scratch(work / key) as folder:
        network = train_network(tensors, folder, chosen)
        classical = train_classical(place, snapshot, _spec(tensors), chosen, folder)
        history = orjson.loads((network / "history.json").read_bytes())
        with place.writing("trained", key) as finished:
            shutil.copytree(network, finished / "network")
            shutil.copytree(classical, finished / "classical")
            manifest = {
                "format": FORMAT,
                "id": key,
                "recipe": NAME,
                "snapshot": snapshot,
                "tensors": tensors.name,
                "parameters": chosen.model_dump(mode="json"),
                "metrics": history[-1] if history else {},
                "history": history,
                "files": describe(finished),
            }
            (finished / MANIFEST).write_bytes(canonical_json(manifest))
    return manifest


def fuse(*, snapshot: str, tensors: Path, trained: str, parameters: str, store: str, work: Path) -> dict[str, Any]:
    """Job 5: build the bundles of both models, prove them equal to what was trained, measure them on the test rows.

    Returns:
        The manifest of ("fused", id): ``bundle/``, ``bundle-v1/``, ``metrics.json``, ``predictions.parquet`` and
        ``report.html``.
    """
    from frontdesk.bundle.labels import LabelBundle
    from frontdesk.evaluation.evaluate import evaluate
    from frontdesk.fusion import fuse as fuse_models

    chosen = _parameters(parameters)
    key = work_key("fuse", trained=trained, parameters=chosen.model_dump(mode="json"))
    place = Store(store)
    if (done := place.manifest("fused", key)) is not None:
        return done
    source = place.manifest("trained", trained)
    if source is None:
        raise TrainingError("the training has not finished", where=place.uri("trained", trained))
    with _scratch(work / key) as folder:
        models = (
            Path(place.uri("trained", trained)) if place.local else place.fetch("trained", trained, to=folder / "in")
        )
        bundle, bundle_v1 = fuse_models(
            place,
            network=models / "network",
            classical=models / "classical",
            tensors=tensors,
            snapshot_id=snapshot,
            parameters=chosen,
            work=folder,
            spark=True,
        )
        candidate = LabelBundle.load(bundle)
        metrics = evaluate(
            candidate,
            place,
            snapshot,
            v1=LabelBundle.load(bundle_v1),
            parameters=chosen,
            out=folder / "evaluation",
            network=models / "network",
        )
        _describe_in_bundle(bundle, candidate, metrics)
        with place.writing("fused", key) as finished:
            shutil.copytree(folder / "evaluation", finished, dirs_exist_ok=True)
            shutil.copytree(bundle, finished / "bundle")
            shutil.copytree(bundle_v1, finished / "bundle-v1")
            manifest = {
                "format": FORMAT,
                "id": key,
                "recipe": NAME,
                "model_id": candidate.model_id,
                "snapshot": snapshot,
                "trained": trained,
                "parameters": source["parameters"],
                "history": source["history"],
                "metrics": {name: metrics[name] for name in ("rows", "test", "baselines")},
                "confusion": _confusion(metrics),
                "files": describe(finished),
            }
            (finished / MANIFEST).write_bytes(canonical_json(manifest))
    return manifest


def gate(*, fused: str, champion: str | None, store: str) -> dict[str, Any]:
    """Compare a candidate with the champion on the candidate's test rows.

    Args:
        fused: id of the candidate's folder.
        champion: address of the champion's bundle, None where there is none.

    Returns:
        ``{"decision": "promote" | "hold", "reasons": [words, ...]}``.
    """
    from frontdesk.bundle.labels import LabelBundle
    from frontdesk.evaluation import METRICS, PREDICTIONS
    from frontdesk.evaluation.evaluate import evaluate_rows, snapshot_rows
    from frontdesk.evaluation.gate import gate as compare

    place = Store(store)
    candidate = orjson.loads(place.read_bytes("fused", fused, METRICS))
    measured, reasons = None, []
    with tempfile.TemporaryDirectory(prefix="frontdesk-") as name:
        ours, theirs = Path(name) / PREDICTIONS, Path(name) / "champion"
        ours.write_bytes(place.read_bytes("fused", fused, PREDICTIONS))
        if champion is not None:
            try:
                opened = LabelBundle.load(champion)
            except (BundleError, UnreadableFile) as error:  # a release that cannot load it cannot serve it either
                reasons = [f"The champion cannot be loaded, so nothing was compared with it: {error.message}."]
            else:
                rows = snapshot_rows(place, candidate["data"]["snapshot"])
                measured = evaluate_rows(opened, rows, theirs, with_report=False)
        verdict = compare(candidate, ours, measured, theirs / PREDICTIONS if measured else None)
    return {"decision": verdict.decision, "reasons": reasons + verdict.reasons}


def _spec(tensors: Path) -> Spec:
    return Spec.from_json(orjson.loads((tensors / "spec.json").read_bytes()))


def _parameters(text: str) -> TicketParameters:
    return parameters_of(orjson.loads(text))


def _describe_in_bundle(folder: Path, bundle: LabelBundle, metrics: dict[str, Any]) -> None:
    """Put the evaluation's results into the bundle."""
    from frontdesk.bundle import update_bundle
    from frontdesk.card import model_card

    card = model_card(
        recipe=NAME,
        model_kind=bundle.manifest["model_kind"],
        snapshot=bundle.manifest["snapshot"],
        spec=bundle.spec,
        policy=bundle.policy,
        metrics=metrics,
    )
    update_bundle(folder, metrics=metrics, card=card)


def _confusion(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the confusion matrix of the first head, as the pipeline's console shows one."""
    first: dict[str, Any] = next(iter(metrics["confusion"].values()), {"labels": [], "matrix": []})
    return {"labels": first["labels"], "matrix": first["matrix"]}


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Yield a working folder; it is removed when the block ends well and stays for the next attempt otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    shutil.rmtree(folder)
