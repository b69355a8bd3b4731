"""The intent bundle: how it is written, opened, proven, and asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from frontdesk.bundle.base import Arrays, Bundle, Encoded, Output
from frontdesk.bundle.folder import POLICY, SPEC, TAXONOMY, parsed, save_bundle
from frontdesk.cells import stamp
from frontdesk.errors import BundleError, PredictorUnavailable, UsageError
from frontdesk.golden import GOLDEN
from frontdesk.intent.configuration import Configuration, parse_configuration
from frontdesk.intent.evgen import CONFIG, COUNTS, WEIGHTS, EvGen
from frontdesk.intent.golden import Scores, golden_difference, golden_requests
from frontdesk.intent.lists import Validity
from frontdesk.intent.mapped import map_arrays
from frontdesk.intent.markov import MarkovTable
from frontdesk.intent.packing import pack, unpack
from frontdesk.intent.recipe import NAME
from frontdesk.intent.recommender import GuardedStore, Recommender, sessions_of
from frontdesk.intent.requests import IncompleteAnswer, IntentAnswer, parse_requests
from frontdesk.intent.sessions import Session
from frontdesk.intent.tokens import Tokenizer
from frontdesk.intent.toppop import TopPop
from frontdesk.records.features import FeatureColumns
from frontdesk.settings import settings
from frontdesk.storage import digest

KIND = "intent-evgen"
EVGEN = (WEIGHTS, CONFIG, COUNTS)
MARKOV, MARKOV_INTENTS, TOPPOP = "markov.safetensors", "markov-intents.safetensors", "toppop.safetensors"
TOLERANCE = 1e-4
"""Largest difference of a probability from the golden one, in float32."""


def save_intent_bundle(
    folder: Path,
    *,
    files: Mapping[str, Path | bytes],
    tokenizer: Tokenizer,
    columns: Mapping[str, Any],
    configuration: Configuration,
    golden: pa.Table,
    snapshot: str,
    metrics: Mapping[str, Any],
    card: str,
) -> str:
    """Write a bundle; see `frontdesk.bundle.save_bundle`. Returns the model_id."""
    labels = {"intents": list(tokenizer.intents), "lines": list(tokenizer.lines)}
    return save_bundle(
        folder,
        recipe=NAME,
        model_kind=KIND,
        files=files,
        spec={"format": 1, "tokenizer": tokenizer.to_json(), "columns": dict(columns)},
        policy={"format": 1, "configuration": configuration.model_dump(mode="json"), "validity": {}},
        taxonomy={"format": 1, "version": digest(labels)[:12], **labels},
        metrics=metrics,
        golden=golden,
        card=card,
        snapshot=snapshot,
    )


class IntentBundle(Bundle):
    """A loaded recommender.

    Attributes:
        tokenizer, columns, configuration: parsed parts.
        recommender: the models behind `predict`.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], *, with_network: bool = True) -> None:
        super().__init__(folder, manifest)
        spec, policy = parsed(folder, SPEC), parsed(folder, POLICY)
        self.tokenizer = Tokenizer.from_json(spec["tokenizer"])
        self.columns: dict[str, Any] = spec["columns"]
        if (features := self.columns.get("features")) is not None:
            self.feature_columns = FeatureColumns.model_validate(features)
        self.configuration = parse_configuration(policy["configuration"], where=POLICY)
        validity = {name: _validity(bounds) for name, bounds in policy["validity"].items()}
        if parsed(folder, TAXONOMY)["intents"] != list(self.tokenizer.intents):
            raise BundleError("the intents are not those of spec.json", where=TAXONOMY)
        evgen = open_evgen(folder, self.tokenizer) if with_network else None
        tables = {
            "all": MarkovTable.from_arrays(map_arrays(folder / MARKOV)),
            "intents": MarkovTable.from_arrays(map_arrays(folder / MARKOV_INTENTS)),
        }
        toppop = TopPop.from_arrays(map_arrays(folder / TOPPOP))
        store = _shared_store(self.tokenizer, tables["all"])
        self.recommender = Recommender(self.tokenizer, self.configuration, evgen, tables, toppop, validity, store)
        self.inputs = {
            "session": "category",
            "operator": "category",
            "line": "category",
            "events": "json",
            "rights": "json",
            "previous": "json",
            "now": "moment",
            **{feature.name: "category" if feature.cuts is None else "number" for feature in self.tokenizer.features},
        }
        self.outputs = {
            "source": Output("BYTES", lambda answer: answer.source),
            "degraded": Output("BYTES", lambda answer: "true" if answer.degraded else "false"),
            "intents": Output("BYTES", lambda answer: orjson.dumps([one.id for one in answer.intents]).decode()),
            "scores": Output("BYTES", lambda answer: orjson.dumps([one.score for one in answer.intents]).decode()),
        }

    @property
    def evgen(self) -> EvGen:
        """The network with its counts. Raises `PredictorUnavailable` where another server holds it."""
        if self.recommender.evgen is None:
            raise PredictorUnavailable("the model is another server's", remedy="Ask its predictor")
        return self.recommender.evgen

    def encode(self, instances: Any) -> Encoded:
        """Check and tokenise request instances; see `frontdesk.intent.requests`. Raises `InvalidRequest`."""
        asked = self.recommender.ask(parse_requests(instances, self.tokenizer))
        return Encoded(sessions_of(asked), asked)

    def run(self, asked: Sequence[Session]) -> Arrays:
        """Return ``scores``, float32 [N, K]: the network's shares; NaN in a row for which it had no time."""
        shape = (len(asked), len(self.tokenizer.intents))
        scores = np.full(shape, np.nan, np.float32)
        for row, shares in enumerate(self.recommender.network_scores(asked)):
            if shares is not None:
                scores[row] = shares
        return {"scores": scores}

    def decide(self, encoded: Encoded, outputs: Arrays | None) -> list[IntentAnswer]:
        """Make the lists; where the network could not be asked, the Markov table stands in and says so."""
        scores = None if outputs is None else outputs["scores"]
        if scores is None or scores.shape != (len(encoded.asked), len(self.tokenizer.intents)):
            return self.recommender.answer(self.model_id, encoded.kept, None)
        shares = [None if np.isnan(row[0]) else row for row in scores]
        return self.recommender.answer(self.model_id, encoded.kept, shares)

    def moment_of(self, instance: Mapping[str, Any]) -> float | None:
        """Return the request's ``now``."""
        return None if (now := stamp(instance.get("now"))) is None else now.timestamp()

    def incomplete(self, answer: IntentAnswer, missing: list[str], *, degraded: bool) -> IntentAnswer:
        """Mark an answer."""
        lacking = answer.degraded or degraded
        return IncompleteAnswer(answer.model_id, answer.source, lacking, answer.intents, missing)

    def pack(self, asked: Sequence[Session]) -> dict[str, np.ndarray]:
        """Return sessions as arrays; see `frontdesk.intent.packing`."""
        return pack(asked)

    def unpack(self, arrays: Arrays) -> list[Session]:
        """Return what `pack` packed. Raises `InvalidRequest` that names the array."""
        return unpack(arrays, self.tokenizer)

    def example(self) -> dict[str, Any]:
        """Return a session of some thirty rows that the model does not remember."""
        longest = max(golden_requests(self.tokenizer), key=lambda request: len(request["events"]))
        return longest | {"session": None}

    def dump(self, answers: Sequence[Any]) -> bytes:
        """Return answers as a JSON array."""
        return orjson.dumps(answers)


def open_bundle(folder: Path, manifest: dict[str, Any], engine: str | None) -> IntentBundle:
    """Open the verified folder of a bundle and check both ways of asking the network against the golden rows.

    None as the engine opens it without the network, whose place the Markov table takes.

    Raises:
        UsageError: another engine than ``auto`` and ``arrays``.
        BundleError: a golden row differs.
    """
    if engine is None:
        return IntentBundle(folder, manifest, with_network=False)
    if engine not in ("auto", "arrays"):
        raise UsageError(f"there is no engine {engine!r} of intents", remedy="Engines: auto, arrays")
    bundle = IntentBundle(folder, manifest)
    prove(bundle.evgen, folder, bundle.tokenizer, TOLERANCE)
    return bundle


def load_intents(location: str | Path) -> IntentBundle:
    """Open a bundle that suggests intents; see `Bundle.load`. Raises `BundleError` for one of another form."""
    bundle = Bundle.load(location)
    if not isinstance(bundle, IntentBundle):
        raise BundleError(f"a bundle of {bundle.manifest['model_kind']} suggests no intents", where=str(location))
    return bundle


def open_evgen(folder: Path, tokenizer: Tokenizer) -> EvGen:
    """Open the network and its counts from the files of a bundle or of a finished training."""
    evgen = EvGen.load(folder)
    config = evgen.network.config
    if (config.intents, config.tokens) != (len(tokenizer.intents), tokenizer.size):
        raise BundleError("the network was trained with another tokeniser", where=CONFIG)
    if config.features != tuple(feature.size for feature in tokenizer.features):
        raise BundleError("the network was trained with other features", where=CONFIG)
    return evgen


def prove(evgen: EvGen, folder: Path, tokenizer: Tokenizer, tolerance: float) -> float:
    """Compare the full pass and the cached step with the golden rows; return the largest difference.

    Raises:
        BundleError: it is more than ``tolerance``.
    """
    largest = 0.0
    for name, scores in (("full pass", evgen.scores), ("cached step", cached_steps(evgen))):
        difference = golden_difference(folder, tokenizer, scores)
        if not difference <= tolerance:
            raise BundleError(f"the {name} differs from the golden rows by {difference:.1e}", where=GOLDEN)
        largest = max(largest, difference)
    return largest


def cached_steps(evgen: EvGen) -> Scores:
    """Return the scores of sessions read token by token."""

    def scores(sessions: Sequence[Session]) -> np.ndarray:
        live = evgen.live(max(len(sessions), 1))
        longest = max(len(session.tokens) for session in sessions)
        for length in range(longest):
            live.logits([session.head(length) for session in sessions])
        return evgen.scores(sessions, live=live)

    return scores


def _validity(bounds: Mapping[str, str | None]) -> Validity:
    return Validity(*(datetime.fromisoformat(at) if (at := bounds.get(name)) else None for name in ("since", "until")))


def _shared_store(tokenizer: Tokenizer, bundled: MarkovTable) -> GuardedStore | None:
    """Return the table in Redis where the settings name one, the bundle's own behind it."""
    if (address := settings().redis) is None:
        return None
    from frontdesk.intent.redis_store import GuardedTable, RedisTable, prefix_of
    from frontdesk.redis_connection import connect

    return GuardedTable(RedisTable(connect(address), prefix_of(tokenizer.digest)), bundled)
