"""The model registry: MLflow runs, versions and aliases. The only module that knows MLflow.

A version's source is the address of a bundle; MLflow never packs, loads or pickles a model. A version is found by its
``model_id`` tag, so registering the same bundle twice gives one version. Two aliases per recipe: ``candidate`` is the
newest registered version, ``champion`` the one that is deployed. A person approves a version here or in MLflow's own
pages: by the tag ``approved`` (``true``, or ``false`` to reject), or by the alias ``approved``.
"""

from __future__ import annotations

import importlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from frontdesk.errors import FrontdeskError, StorageError, UsageError
from frontdesk.logs import event
from frontdesk.settings import settings

CANDIDATE, CHAMPION = "candidate", "champion"
_APPROVED, _BY = "approved", "approved_by"
_SAID = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "rejected": False}
_DEFAULT_FILE = "mlflow.db"
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # no such model, no such alias
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """A registered bundle.

    Attributes:
        number: counts from 1 within a recipe.
        bundle: address of the bundle's folder.
        snapshot: id of the snapshot that it was trained on.
        reason: why it was trained; empty for a version of an older release.
        approved: whether a person approved it; False also before anybody decided.
        rejected: whether a person rejected it.
        decided_by: that person, where the registry knows.
    """

    number: int
    model_id: str
    bundle: str
    snapshot: str
    reason: str
    approved: bool
    rejected: bool = False
    decided_by: str | None = None


class Registry:
    """Runs and versions at one MLflow address.

    Args:
        address: an MLflow tracking address: ``sqlite:///path/mlflow.db`` or ``https://host``. The folder of an SQLite
            file is created, and run artifacts go beside it.

    Every method raises `StorageError` when MLflow does not answer.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._made: Any = None

    @property
    def _client(self) -> Any:
        """The MLflow client, imported at first use: the import takes seconds, and a new database as long again."""
        if self._made is None:
            os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1", "GIT_PYTHON_REFRESH": "quiet"}
            os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
            if self.address.startswith("sqlite:///"):
                Path(self.address.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                client = importlib.import_module("mlflow").MlflowClient
                for name in ("mlflow", "alembic"):
                    logging.getLogger(name).setLevel(logging.WARNING)
                with self._answering():
                    self._made = client(tracking_uri=self.address, registry_uri=self.address)
            event(_log, "registry_opened", kind=self.address.partition(":")[0])
        return self._made

    def record(
        self,
        recipe: str,
        *,
        model_id: str,
        parameters: Mapping[str, Any],
        history: list[Mapping[str, float]],
        metrics: Any,
        reason: str = "manual",
    ) -> str:
        """Write one finished MLflow run of a model, once.

        Args:
            parameters: written as parameters.
            history: one mapping of numbers per epoch; other values in it are left out.
            metrics: nested mappings of numbers, written under dotted names.
            reason: why the model was trained, a tag.

        Returns:
            The id of the run: the first call's, when the model has one already.
        """
        client = self._client
        with self._answering():
            experiment = self._experiment(recipe)
            found = client.search_runs(
                [experiment], f"tags.model_id = '{model_id}' and attributes.status = 'FINISHED'", max_results=1
            )
            if found:
                return str(found[0].info.run_id)
            run = str(
                client.create_run(
                    experiment, run_name=model_id, tags={"model_id": model_id, "reason": reason}
                ).info.run_id
            )
            from mlflow.entities import Metric, Param

            now = int(client.get_run(run).info.start_time)
            points = [
                Metric(key, value, now, step)
                for step, epoch in enumerate(history, 1)
                for key, value in flatten(epoch).items()
            ]
            points += [Metric(key, value, now, 0) for key, value in flatten(metrics).items()]
            params = [Param(key, str(value)[:500]) for key, value in parameters.items()]
            for start in range(0, max(len(points), 1), 900):  # MLflow takes at most 1000 values in one call
                client.log_batch(run, metrics=points[start : start + 900], params=params if start == 0 else [])
            client.set_terminated(run)
        return run

    def register(
        self,
        recipe: str,
        *,
        model_id: str,
        bundle: str,
        snapshot: str,
        metrics: Mapping[str, Any],
        run: str | None = None,
        reason: str = "manual",
    ) -> Version:
        """Register a bundle as the recipe's candidate; a bundle that is registered already keeps its version."""
        client, name = self._client, _model(recipe)
        with self._answering():
            version = self._by_model_id(recipe, model_id)
            if version is None:
                self._create_model(name)
                tags = {"model_id": model_id, "snapshot": snapshot, "reason": reason}
                tags |= {key: f"{value:.6g}" for key, value in flatten(metrics).items()}
                made = client.create_model_version(name, source=bundle, run_id=run, tags=tags)
                version = _version(made)
                event(_log, "version_registered", recipe=recipe, model_id=model_id, version=version.number)
            client.set_registered_model_alias(name, CANDIDATE, str(version.number))
        return version

    def promote(self, recipe: str, number: int) -> None:
        """Make a version the champion."""
        with self._answering():
            self._client.set_registered_model_alias(_model(recipe), CHAMPION, str(number))
        event(_log, "version_promoted", recipe=recipe, version=number)

    def champion(self, recipe: str) -> Version | None:
        """Return the deployed version, or None before the first deployment."""
        return self._by_alias(recipe, CHAMPION)

    def candidate(self, recipe: str) -> Version | None:
        """Return the version registered last, or None."""
        return self._by_alias(recipe, CANDIDATE)

    def versions(self, recipe: str) -> list[Version]:
        """Return every version of a recipe, oldest first."""
        by_alias = self._by_alias(recipe, _APPROVED)
        with self._answering():
            found = self._client.search_model_versions(f"name = '{_model(recipe)}'")
        versions = sorted((_version(item) for item in found), key=lambda version: version.number)
        if by_alias is None:
            return versions
        return [
            replace(one, approved=True) if one.number == by_alias.number and not one.rejected else one
            for one in versions
        ]

    def version(self, recipe: str, number: int) -> Version:
        """Return a version. Raises `UsageError` for an unknown one."""
        found = next((one for one in self.versions(recipe) if one.number == number), None)
        if found is None:
            raise UsageError(f"{recipe} has no version {number}", where="VERSION")
        return found

    def approve(self, recipe: str, number: int, *, by: str = "", approved: bool = True) -> None:
        """Write down that a person approved a version, or rejected it. Raises `UsageError` for an unknown version."""
        self.version(recipe, number)
        with self._answering():
            if by:
                self._client.set_model_version_tag(_model(recipe), str(number), _BY, by)
            self._client.set_model_version_tag(_model(recipe), str(number), _APPROVED, str(approved).lower())

    def _experiment(self, recipe: str) -> str:
        found = self._client.get_experiment_by_name(_model(recipe))
        if found is not None:
            return str(found.experiment_id)
        place = None  # a server decides itself where artifacts go
        if self.address.startswith("sqlite:///"):
            place = (Path(self.address.removeprefix("sqlite:///")).parent / "mlflow" / recipe).absolute().as_uri()
        return str(self._client.create_experiment(_model(recipe), artifact_location=place))

    def _create_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _by_model_id(self, recipe: str, model_id: str) -> Version | None:
        found = self._client.search_model_versions(f"name = '{_model(recipe)}' and tags.model_id = '{model_id}'")
        return min((_version(item) for item in found), key=lambda version: version.number, default=None)

    def _by_alias(self, recipe: str, alias: str) -> Version | None:
        client = self._client
        from mlflow.exceptions import MlflowException

        with self._answering():
            try:
                return _version(client.get_model_version_by_alias(_model(recipe), alias))
            except MlflowException as error:
                if error.error_code in _NOT_THERE:
                    return None
                raise

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except FrontdeskError:
            raise
        except Exception as error:  # MLflow lets errors of its database and HTTP libraries through
            code = getattr(error, "error_code", type(error).__name__)
            raise StorageError(
                f"the model registry refused ({code})",
                where=self.address.rpartition("@")[2],  # an address may hold a password
                remedy="Check FRONTDESK_MLFLOW and that the server answers",
            ) from error


def flatten(values: Any, prefix: str = "") -> dict[str, float]:
    """Return ``{"a.b": number}`` for the numbers of nested mappings; everything else is left out.

    MLflow allows ``[A-Za-z0-9_-. /:]`` in a name: ``@`` becomes ``_at_``, any other character ``_``.
    """
    if isinstance(values, Mapping):
        merged: dict[str, float] = {}
        for key, value in values.items():
            name = "".join(
                c if c.isascii() and (c.isalnum() or c in "_-. /:") else "_" for c in str(key).replace("@", "_at_")
            )
            merged |= flatten(value, f"{prefix}.{name}" if prefix else name)
        return merged
    if isinstance(values, bool) or not isinstance(values, int | float):
        return {}
    return {prefix: float(values)}


def _model(recipe: str) -> str:
    return f"frontdesk-{recipe}"


def registry_address(store: str) -> str:
    """Return where the registry of a store is: what the settings say, else a file beside a local store.

    Raises:
        UsageError: the store is in S3 and no registry is set.
    """
    if (address := settings().mlflow) is not None:
        return address
    if store.startswith("s3://"):
        raise UsageError("no model registry is set", where="FRONTDESK_MLFLOW", remedy="Name the MLflow address")
    return f"sqlite:///{Path(store).absolute().parent / _DEFAULT_FILE}"


def _version(found: Any) -> Version:
    tags = found.tags
    said = _SAID.get(str(tags.get(_APPROVED, "")).strip().lower())
    return Version(
        number=int(found.version),
        model_id=tags.get("model_id", ""),
        bundle=found.source,
        snapshot=tags.get("snapshot", ""),
        reason=tags.get("reason", ""),
        approved=said is True,
        rejected=said is False,
        decided_by=tags.get(_BY) or None,
    )
