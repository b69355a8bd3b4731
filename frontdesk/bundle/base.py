"""A loaded bundle, whatever its recipe: raw records in, answers out."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from pydantic import BaseModel

from frontdesk.bundle.folder import METRICS, local_copy, parsed, verify_bundle
from frontdesk.bundle.kinds import KINDS
from frontdesk.errors import BundleError
from frontdesk.policy_file import PolicyFile, load_policy
from frontdesk.records.features import FeatureColumns

InputKind = Literal["text", "category", "number", "moment", "json"]
"""``moment`` is ISO 8601 text, ``json`` any JSON value."""


class InstanceError(BaseModel):
    """What stands in the place of an answer to an instance that could not be read.

    Attributes:
        error: ``{"code", "message"}``.
    """

    error: dict[str, str]


@dataclass(frozen=True)
class Output:
    """One column of an answer, where answers are a table: a V2 tensor, a column of a scored file.

    Attributes:
        datatype: of the V2 protocol.
        value: takes it out of an answer.
    """

    datatype: Literal["BYTES", "FP64"]
    value: Callable[[Any], Any]


@dataclass(frozen=True)
class Encoded:
    """A request on its way through a bundle.

    Attributes:
        asked: what the model is asked, for `Bundle.run`.
        kept: what the answers need beside what the model says.
    """

    asked: Any
    kept: Any


Arrays = Mapping[str, np.ndarray]


class Bundle(ABC):
    """A verified and opened bundle. Safe to share between threads.

    An answer is made in three steps: `encode` checks and prepares a request, `run` asks the model, `decide` turns what
    the model says into answers. One process does all three (`predict`), or a transformer does the first and the last
    and a predictor the second; `pack` and `unpack` carry what is asked between them.

    Attributes:
        model_id, recipe: of the manifest.
        manifest, metrics: plain values.
        inputs: ``{field: kind}`` that an instance may have.
        outputs: ``{name: Output}`` of an answer as columns.
        label_version: name of the version of a label file that answers are in, where there is one.
        feature_columns: the features of a feature store that the model was trained with; None for none.
    """

    inputs: dict[str, InputKind]
    outputs: dict[str, Output]
    partial = False
    """Whether the good instances of a V1 request are answered beside the errors of the bad ones, unless the caller asks
    for all or nothing (``"parameters": {"on_error": "refuse"}``)."""
    label_version: str | None = None
    feature_columns: FeatureColumns | None = None

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        """Take over what every bundle has; see `load`."""
        self.manifest = manifest
        self.model_id: str = manifest["model_id"]
        self.recipe: str = manifest["recipe"]
        self.metrics = parsed(folder, METRICS)

    @staticmethod
    def load(
        location: str | Path,
        *,
        engine: str = "auto",
        taxonomy: str | None = None,
        taxonomy_version: str | None = None,
        policy: str | None = None,
        ends: bool = False,
    ) -> Bundle:
        """Verify and open a bundle.

        Args:
            location: a local folder or ``s3://bucket/prefix``.
            engine: ``auto`` or an engine's name; see `frontdesk.engines.open_engine`.
            taxonomy: a label file, whose labels the bundle then answers in; without it, its own.
            taxonomy_version: a day, in whose labels it answers; without it the newest of ``taxonomy``, or with neither
                those that it was trained with. Bundles that answer with anything but labels heed neither.
            policy: a policy file, see `frontdesk.policy_file`; without it, the bundle's own policy decides.
            ends: open it without its model, for `encode` and `decide` alone; only what these read is verified and
                loaded. Not where it answers in the labels of another file or day: those may need the model.

        Raises:
            UntrustedBundle: the settings name keys, and none of them signed it.
            BundleError: a file is missing, altered, unlisted or unreadable, or the golden rows differ.
            UnreadableFile, StorageError: the ``s3://`` address does not answer.
            BadTaxonomy, UsageError: the label or policy file does not fit the bundle, or there is none.
        """
        ends = ends and taxonomy is None and taxonomy_version is None
        folder = local_copy(location, ends=ends)
        manifest = verify_bundle(folder, ends=ends, signed=True)
        module, _, function = KINDS[manifest["model_kind"]].opener.partition(":")
        try:
            opener = getattr(importlib.import_module(module), function)
            bundle = cast(Bundle, opener(folder, manifest, None if ends else engine))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OSError) as error:
            words = f"the bundle is complete but cannot be understood ({type(error).__name__})"
            raise BundleError(words, where=str(location), remedy="Use the release that made it") from error
        if taxonomy is not None or taxonomy_version is not None:
            bundle = bundle.in_labels_of(taxonomy, taxonomy_version)
        return bundle if policy is None else bundle.under(load_policy(policy))

    def in_labels_of(self, taxonomy: str | None, version: str | None) -> Bundle:
        """Return this bundle answering in a version of a label file; see `load`. Here: as it is."""
        return self

    def under(self, policy: PolicyFile) -> Bundle:
        """Return this bundle with its decisions made by a policy file; see `load`. Here: as it is."""
        return self

    def validate(self, instances: Any) -> Any:
        """Check request instances as `predict` does. Raises `InvalidRequest`."""
        return self.encode(instances)

    def predict(self, instances: Any) -> Sequence[Any]:
        """Answer request instances. Raises `InvalidRequest` that names the instance and the field."""
        encoded = self.encode(instances)
        return self.decide(encoded, self.run(encoded.asked))

    @abstractmethod
    def encode(self, instances: Any) -> Encoded:
        """Check request instances and prepare them. Raises `InvalidRequest` that names the instance and the field."""

    @abstractmethod
    def run(self, asked: Any) -> Arrays:
        """Ask the model."""

    @abstractmethod
    def decide(self, encoded: Encoded, outputs: Arrays | None) -> Sequence[Any]:
        """Turn what the model says into answers.

        Args:
            encoded: the request.
            outputs: of `run`; None where the model could not be asked.

        Raises:
            PredictorUnavailable: there is no answer without the model.
        """

    def moment_of(self, instance: Mapping[str, Any]) -> float | None:
        """Return when a checked request was made, in seconds since 1970; None where it does not say."""
        return None

    def incomplete(self, answer: Any, missing: list[str], *, degraded: bool) -> Any:
        """Return an answer that says which features it lacked. Asked only where there are `feature_columns`.

        Args:
            answer: of `decide`.
            missing: names of the features.
            degraded: one of them was there once, or may be.
        """
        return answer

    def explain(self, encoded: Encoded, outputs: Arrays, answers: Sequence[Any]) -> Sequence[Any]:
        """Add to answers why they are as they are, where a part of the model can be taken apart exactly.

        Args:
            encoded, outputs: the request and what `run` said.
            answers: of `decide`.
        """
        return answers

    @abstractmethod
    def pack(self, asked: Any) -> dict[str, np.ndarray]:
        """Return what is asked as arrays, one row per record; texts are objects."""

    @abstractmethod
    def unpack(self, arrays: Arrays) -> Any:
        """Return what `pack` packed. Raises `InvalidRequest` that names the array."""

    @abstractmethod
    def example(self) -> dict[str, Any]:
        """Return an instance of typical size, to time the model with."""

    @abstractmethod
    def dump(self, answers: Sequence[Any]) -> bytes:
        """Return answers as a JSON array."""
