"""Features of the feature store in front of a bundle: a request that carries only keys is answered with what is known.

The values of a request win over the store's. What is missing takes the model's training default (the median of a
number, the level "unknown"), which is how training saw a missing feature too; the answer says so, and it is counted. A
store that hangs costs one deadline per request, and after a few in a row it is left alone for a moment, so that its
timeouts do not become everybody's latency; one slow read alone takes the features from nobody else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from typing import Any

import numpy as np

from frontdesk.bundle import Arrays, Bundle, Encoded, Output
from frontdesk.errors import FrontdeskError, InvalidRequest, StorageError
from frontdesk.features import FeatureReader, FoundFeatures
from frontdesk.logs import event
from frontdesk.preprocessing.encoding import level
from frontdesk.records.features import FeatureColumns
from frontdesk.requests import kind_of
from frontdesk.serving import metrics

_READERS = 4
_PAUSE_SECONDS = 1.0
_FAILURES_IN_A_ROW = 3
_log = logging.getLogger(__name__)


class TimedReader:
    """A reader with a deadline, and a pause after `_FAILURES_IN_A_ROW` failures. Safe to share between threads.

    Args:
        reader: the feature store; None where there is none, and everything is missing.
        deadline_seconds: how long `read` waits.
        pause_seconds: how long a store that keeps failing is not asked; then one failure is enough for the next pause.
    """

    def __init__(
        self, reader: FeatureReader | None, *, deadline_seconds: float, pause_seconds: float = _PAUSE_SECONDS
    ) -> None:
        self._reader = reader
        self._deadline_seconds = deadline_seconds
        self._pause_seconds = pause_seconds
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="features")
        self._again_at = 0.0
        self._failures = 0

    def read(self, keys: Mapping[str, Sequence[str | None]], moments: Sequence[float]) -> list[FoundFeatures] | None:
        """Return what the store knows; None where it does not answer in time."""
        if self._reader is None or time.monotonic() < self._again_at:
            return None
        try:
            found = self._pool.submit(self._reader.read, keys, moments).result(self._deadline_seconds)
        except (StorageError, TimeoutError) as error:
            self._failures += 1
            if self._failures >= _FAILURES_IN_A_ROW:
                self._again_at = time.monotonic() + self._pause_seconds
                event(_log, "features_unavailable", logging.WARNING, kind=type(error).__name__)
            return None
        self._failures = 0
        return found


class FeatureBundle(Bundle):
    """A bundle whose instances may carry the keys of entities in place of the features that it was trained with.

    Args:
        bundle: its mapping names features.
        columns: what the mapping says of them.
        reader: finds them.
    """

    def __init__(self, bundle: Bundle, columns: FeatureColumns, reader: TimedReader) -> None:
        self._bundle = bundle
        self._columns = columns
        self._reader = reader
        self.manifest, self.metrics = bundle.manifest, bundle.metrics
        self.model_id, self.recipe = bundle.model_id, bundle.recipe
        self.label_version, self.partial = bundle.label_version, bundle.partial
        self._keys = tuple(name for name in columns.entities.values() if name not in bundle.inputs)
        self.inputs = {**bundle.inputs, **dict.fromkeys(self._keys, "category")}
        self.outputs = {**bundle.outputs, "missing_features": Output("BYTES", _missing_names)}

    def __getattr__(self, name: str) -> Any:
        """Return what else the bundle has."""
        return getattr(self._bundle, name)

    def validate(self, instances: Any) -> Any:
        """Check request instances without asking the store."""
        self._entity_keys(instances)
        return self._bundle.validate([self._without_keys(instance) for instance in instances])

    def encode(self, instances: Any) -> Encoded:
        """Look up what request instances lack and prepare them. Raises `InvalidRequest`."""
        keys = self._entity_keys(instances)
        plain = [self._without_keys(instance) for instance in instances]
        self._bundle.validate(plain)
        with metrics.timed(self.recipe, "features"):
            absent = [[name for name in self._columns.names if one.get(name) is None] for one in plain]
            found = self._look_up(keys, plain, absent)
        encoded = self._bundle.encode([one | new.values for one, new in zip(plain, found, strict=True)])
        return Encoded(encoded.asked, (encoded, found))

    def run(self, asked: Any) -> Arrays:
        """Ask the model."""
        return self._bundle.run(asked)

    def decide(self, encoded: Encoded, outputs: Arrays | None) -> Sequence[Any]:
        """Turn what the model says into answers that tell which features they lacked."""
        inner, found = encoded.kept
        answers = self._bundle.decide(inner, outputs)
        told = []
        for answer, new in zip(answers, found, strict=True):
            if new.missing:
                degraded = any(reason != "unknown" for reason in new.missing.values())
                answer = self._bundle.incomplete(answer, sorted(new.missing), degraded=degraded)
            told.append(answer)
            for name, reason in new.missing.items():
                metrics.count_missing_feature(self.recipe, name, reason)
        return told

    def explain(self, encoded: Encoded, outputs: Arrays, answers: Sequence[Any]) -> Sequence[Any]:
        """Add to answers why they are as they are."""
        return self._bundle.explain(encoded.kept[0], outputs, answers)

    def pack(self, asked: Any) -> dict[str, np.ndarray]:
        """Return what is asked as arrays."""
        return self._bundle.pack(asked)

    def unpack(self, arrays: Arrays) -> Any:
        """Return what `pack` packed."""
        return self._bundle.unpack(arrays)

    def example(self) -> dict[str, Any]:
        """Return an instance of typical size."""
        return self._bundle.example()

    def dump(self, answers: Sequence[Any]) -> bytes:
        """Return answers as a JSON array."""
        return self._bundle.dump(answers)

    def _look_up(
        self, keys: list[dict[str, str | None]], plain: list[dict[str, Any]], absent: list[list[str]]
    ) -> list[FoundFeatures]:
        """Return, per instance, the values that it lacks and why some are missing."""
        asking = [place for place, names in enumerate(absent) if names]
        if not asking:
            return [FoundFeatures({}) for _ in plain]
        now = time.time()
        answers = self._reader.read(
            {entity: [keys[place][entity] for place in asking] for entity in self._columns.entities},
            [self._bundle.moment_of(plain[place]) or now for place in asking],
        )
        result = [FoundFeatures({}) for _ in plain]
        for order, place in enumerate(asking):
            names = absent[place]
            if answers is None:
                result[place] = FoundFeatures({}, dict.fromkeys(names, "unavailable"))
            else:
                one = answers[order]
                values, missing = ({name: of[name] for name in names if name in of} for of in (one.values, one.missing))
                result[place] = FoundFeatures(values, missing)
        return result

    def _entity_keys(self, instances: Any) -> list[dict[str, str | None]]:
        """Return ``{entity: key}`` of each instance. Raises `InvalidRequest` as `frontdesk.requests.validate` does."""
        if not isinstance(instances, list) or not all(isinstance(instance, dict) for instance in instances):
            self._bundle.validate(instances)  # raises, in its own words
            raise InvalidRequest("must be a list of objects", where="instances")
        keys = []
        for place, instance in enumerate(instances):
            key: dict[str, str | None] = {}
            for entity, name in self._columns.entities.items():
                value = instance.get(name)
                if value is not None and not isinstance(value, str | bool | int | float):
                    words = f"must be text, a number, a boolean or null, not {kind_of(value)}"
                    raise InvalidRequest(words, where=f"instances[{place}].{name}")
                key[entity] = level(value)
            keys.append(key)
        return keys

    def _without_keys(self, instance: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in instance.items() if name not in self._keys}


def with_features(bundle: Bundle, open_reader: Callable[..., FeatureReader], *, deadline_seconds: float) -> Bundle:
    """Put the feature store in front of a bundle whose mapping names features; any other bundle is returned as it is.

    A store that cannot be opened is told in the log, and the bundle answers without features: it is worth more than
    none.
    """
    columns = bundle.feature_columns
    if columns is None:
        return bundle
    reader = None
    try:
        reader = open_reader(columns, timeout_seconds=deadline_seconds)
    except FrontdeskError as error:
        event(_log, "features_not_opened", logging.WARNING, model_id=bundle.model_id, error=str(error))
    except ImportError:
        event(_log, "features_not_opened", logging.WARNING, model_id=bundle.model_id, error="feast is not installed")
    return FeatureBundle(bundle, columns, TimedReader(reader, deadline_seconds=deadline_seconds))


def _missing_names(answer: Any) -> str:
    return ",".join(getattr(answer, "missing_features", None) or ())
