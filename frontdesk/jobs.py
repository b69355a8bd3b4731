"""The six jobs, whatever the recipe: each finds its finished work in the store, or makes it and stores it.

Everything comes in as plain text and ids, because the caller is a pipeline step that may run on another machine. A
recipe's room has a class of its own that says what differs.
"""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from frontdesk.errors import BundleError, TrainingError, UnreadableFile, UntrustedBundle, UsageError
from frontdesk.parameters import RunParameters
from frontdesk.storage import MANIFEST, Store, canonical_json, describe, work_key

if TYPE_CHECKING:
    from frontdesk.evaluation.gate import Verdict
    from frontdesk.features import FeatureJoin, OpenJoin
    from frontdesk.records.features import FeatureColumns

FORMAT = 1


@dataclass(frozen=True)
class Trained:
    """What job 4 made.

    Attributes:
        folders: finished folders by the name that they are stored under.
        history: one object of numbers per epoch of the main model.
    """

    folders: dict[str, Path]
    history: list[dict[str, Any]]


@dataclass(frozen=True)
class Fused:
    """What job 5 made.

    Attributes:
        bundles: finished folders by the name that they are stored under; ``bundle`` is the candidate.
        evaluation: folder of ``metrics.json``, ``predictions.parquet`` and ``report.html``.
        model_id: of the candidate.
        metrics: content of ``metrics.json``.
        confusion: ``{"labels", "matrix"}`` that the pipeline's console shows.
    """

    bundles: dict[str, Path]
    evaluation: Path
    model_id: str
    metrics: dict[str, Any]
    confusion: dict[str, Any] = field(default_factory=lambda: {"labels": [], "matrix": []})


class Jobs(ABC):
    """The jobs of one recipe."""

    name: ClassVar[str]
    parameters_type: ClassVar[type[RunParameters]]

    def __init__(self, open_join: OpenJoin | None = None) -> None:
        """Take what joins features to tables; see `frontdesk.features`. Without it, mappings that name some fail."""
        self.open_join = open_join

    @contextmanager
    def join_of(self, features: FeatureColumns | None) -> Iterator[FeatureJoin | None]:
        """Yield what fills the features of a mapping; None where it names none.

        Raises:
            UsageError: it names some, and these jobs were given no feature store.
        """
        if features is None:
            yield None
            return
        if self.open_join is None:
            raise UsageError("the mapping names features, but there is no feature store", where="features")
        with self.open_join(features) as join:
            yield join

    def parameters(self, text: str) -> Any:
        """Read the parameters of a run from JSON. Raises `UsageError` that names the key."""
        return self.parameters_type.of(orjson.loads(text))

    @abstractmethod
    def etl(self, *, data: str, test: str, columns: str, parameters: str, store: str) -> dict[str, Any]:
        """Job 1: tables -> snapshot. Returns its manifest."""

    @abstractmethod
    def spark_preprocess(self, *, snapshot: str, parameters: str, store: str) -> dict[str, Any]:
        """Job 2: snapshot -> tensors, by Spark. Returns their manifest."""

    def data_transfer(self, *, tensors: str, store: str, node: Path) -> Path:
        """Job 3: tensors -> the training node. Returns the folder there."""
        from frontdesk.tensors import transfer

        return transfer(Store(store), tensors, node)

    def train(self, *, snapshot: str, tensors: Path, parameters: str, store: str, work: Path) -> dict[str, Any]:
        """Job 4: tensors -> trained models.

        Args:
            tensors: folder on this node.
            work: folder of checkpoints; a killed training goes on there.

        Returns:
            The manifest of ("trained", id).
        """
        chosen = self.parameters(parameters)
        key = work_key("train", tensors=tensors.name, parameters=chosen.model_dump(mode="json"))
        place = Store(store)
        if (done := place.manifest("trained", key)) is not None:
            return done
        with _scratch(work / key) as folder:
            trained = self.train_models(place, snapshot, tensors, chosen, folder)
            with place.writing("trained", key) as finished:
                for name, made in trained.folders.items():
                    shutil.copytree(made, finished / name)
                manifest = {
                    "format": FORMAT,
                    "id": key,
                    "recipe": self.name,
                    "snapshot": snapshot,
                    "tensors": tensors.name,
                    "parameters": chosen.model_dump(mode="json"),
                    "metrics": trained.history[-1] if trained.history else {},
                    "history": trained.history,
                    "files": describe(finished),
                }
                (finished / MANIFEST).write_bytes(canonical_json(manifest))
        return manifest

    @abstractmethod
    def train_models(self, store: Store, snapshot: str, tensors: Path, parameters: Any, work: Path) -> Trained:
        """Train the recipe's models in a working folder that survives a kill."""

    def fuse(
        self, *, snapshot: str, tensors: Path, trained: str, parameters: str, store: str, work: Path
    ) -> dict[str, Any]:
        """Job 5: trained models -> bundles, proven equal to what was trained, and measured on the test rows.

        Returns:
            The manifest of ("fused", id): the bundles' folders and the evaluation's files.
        """
        chosen = self.parameters(parameters)
        key = work_key("fuse", trained=trained, parameters=chosen.model_dump(mode="json"))
        place = Store(store)
        if (done := place.manifest("fused", key)) is not None:
            return done
        source = place.manifest("trained", trained)
        if source is None:
            raise TrainingError("the training has not finished", where=place.uri("trained", trained))
        with _scratch(work / key) as folder:
            models = (
                Path(place.uri("trained", trained))
                if place.local
                else place.fetch("trained", trained, to=folder / "in")
            )
            fused = self.fuse_models(place, snapshot, tensors, models, chosen, folder)
            with place.writing("fused", key) as finished:
                shutil.copytree(fused.evaluation, finished, dirs_exist_ok=True)
                for name, made in fused.bundles.items():
                    shutil.copytree(made, finished / name)
                manifest = {
                    "format": FORMAT,
                    "id": key,
                    "recipe": self.name,
                    "model_id": fused.model_id,
                    "snapshot": snapshot,
                    "trained": trained,
                    "parameters": source["parameters"],
                    "history": source["history"],
                    "metrics": {name: fused.metrics[name] for name in ("rows", "test", "baselines")},
                    "confusion": fused.confusion,
                    "files": describe(finished),
                }
                (finished / MANIFEST).write_bytes(canonical_json(manifest))
        return manifest

    @abstractmethod
    def fuse_models(
        self, store: Store, snapshot: str, tensors: Path, models: Path, parameters: Any, work: Path
    ) -> Fused:
        """Build, prove and measure the bundles of the models in a folder."""

    def gate(self, *, fused: str, champion: str | None, store: str) -> dict[str, Any]:
        """Compare a candidate with the champion on the candidate's test rows.

        Args:
            fused: id of the candidate's folder.
            champion: address of the champion's bundle, None where there is none.

        Returns:
            ``{"decision": "promote" | "hold", "reasons": [words, ...]}``.

        Raises:
            UntrustedBundle: no trusted key signed the champion.
        """
        with tempfile.TemporaryDirectory(prefix="frontdesk-") as folder:
            return self.compare(Store(store), fused, champion, Path(folder))

    def compare(self, store: Store, fused: str, champion: str | None, work: Path) -> dict[str, Any]:
        """Do the work of `gate` with a folder for temporary files."""
        from frontdesk.evaluation import METRICS, PREDICTIONS

        candidate = orjson.loads(store.read_bytes("fused", fused, METRICS))
        ours, theirs = work / PREDICTIONS, work / "champion"
        ours.write_bytes(store.read_bytes("fused", fused, PREDICTIONS))
        measured, reasons = None, []
        if champion is not None:
            try:
                opened = self.open_bundle(champion)
            except UntrustedBundle:  # taking a signature away must not spare a candidate the comparison
                raise
            except (BundleError, UnreadableFile) as error:  # a release that cannot load it cannot serve it either
                reasons = [f"The champion cannot be loaded, so nothing was compared with it: {error.message}."]
            else:
                measured = self.measure_champion(store, fused, candidate["data"]["snapshot"], opened, theirs)
        verdict = self.decide(candidate, ours, measured, theirs / PREDICTIONS if measured else None)
        return {"decision": verdict.decision, "reasons": reasons + verdict.reasons}

    @abstractmethod
    def open_bundle(self, location: str) -> Any:
        """Open a bundle of this recipe. Raises `BundleError` for another one."""

    @abstractmethod
    def measure_champion(self, store: Store, fused: str, snapshot: str, champion: Any, out: Path) -> dict[str, Any]:
        """Measure a champion on a candidate's test rows; leave ``predictions.parquet`` in ``out``.

        Args:
            fused: id of the candidate's folder.
            snapshot: what the candidate was trained on.
            champion: what `open_bundle` returned.

        Returns:
            Figures as in ``metrics.json``.
        """

    @abstractmethod
    def decide(
        self, candidate: dict[str, Any], ours: Path, champion: dict[str, Any] | None, theirs: Path | None
    ) -> Verdict:
        """Weigh the figures and predictions of both; without a champion, of the candidate alone."""

    def publish(self, bundle: str) -> None:  # noqa: B027 - most recipes have nothing to publish
        """Put what the servers of a bundle share where they look for it, before the bundle is deployed."""

    @abstractmethod
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
        """Evaluate a bundle on a table with labels; return the content of ``metrics.json``.

        Args:
            columns: file of the mapping; None takes the one that the bundle was trained through.
            out: folder that gets ``metrics.json`` and ``report.html``.
            taxonomy, taxonomy_version: whose labels the bundle answers in; see `frontdesk.bundle.Bundle.load`.
        """

    @abstractmethod
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
        """Answer every row of a table; return counts. See `frontdesk.scoring.score_table`."""


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Yield a working folder; it is removed when the block ends well and stays for the next attempt otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    shutil.rmtree(folder)


def first_confusion(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the confusion matrix of the first head, as the pipeline's console shows one."""
    first: dict[str, Any] = next(iter(metrics["confusion"].values()), {"labels": [], "matrix": []})
    return {"labels": first["labels"], "matrix": first["matrix"]}
