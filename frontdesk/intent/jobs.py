"""What the intent recipe does in each job: sessions in, three models out (TopPop, Markov, EvGen), one bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from frontdesk.errors import EmptyTable, UnreadableFile, UsageError
from frontdesk.intent.recipe import NAME, IntentParameters
from frontdesk.jobs import Fused, Jobs, Trained
from frontdesk.progress import report
from frontdesk.records import default_columns, load_columns, parse_columns
from frontdesk.storage import MANIFEST, Store, canonical_json, describe, work_key

if TYPE_CHECKING:
    from frontdesk.evaluation.gate import Verdict
    from frontdesk.intent.opening import IntentBundle

TENSORS_FORMAT = 1
_PUBLISH_SECONDS = 10.0
"""Of one answer of Redis while a table is written; a request waits for far less."""


class IntentJobs(Jobs):
    """The jobs of the intent recipe."""

    name = NAME
    parameters_type = IntentParameters

    def parameters(self, text: str) -> IntentParameters:
        """Read the parameters of a run from JSON, without the file of the lines' settings: job 1 alone reads it.

        What it said then stands in the snapshot, and nothing that later jobs make depends on where the file was.
        """
        values = orjson.loads(text)
        return IntentParameters.of({name: values[name] for name in values if name != "configuration"})

    def etl(self, *, data: str, test: str, columns: str, parameters: str, store: str) -> dict[str, Any]:
        """Job 1: a log of sessions -> snapshot. Returns its manifest."""
        from frontdesk.intent.configuration import load_configuration
        from frontdesk.intent.kept_network import deployed_network
        from frontdesk.intent.snapshots import take_sessions

        mapping = parse_columns(orjson.loads(columns), recipe=NAME) if columns else default_columns(NAME)
        chosen = IntentParameters.of(orjson.loads(parameters))
        with self.join_of(mapping.features) as join:
            return take_sessions(
                Store(store),
                data=data,
                test=test or None,
                columns=mapping,
                test_share=chosen.test_share,
                configuration=None if chosen.configuration is None else load_configuration(chosen.configuration),
                join=join,
                network=deployed_network(Store(store), mapping) if chosen.network == "keep" else None,
            )

    def spark_preprocess(self, *, snapshot: str, parameters: str, store: str) -> dict[str, Any]:
        """Job 2: snapshot -> tokeniser, sessions as arrays, and the Markov tables, which Spark counts."""
        from frontdesk.intent.columns import schema_of
        from frontdesk.intent.files import TEST, TRAIN, write_sessions
        from frontdesk.intent.kept_network import kept_tokenizer
        from frontdesk.intent.mapped import write_arrays
        from frontdesk.intent.opening import MARKOV, MARKOV_INTENTS
        from frontdesk.intent.sessions import session_set
        from frontdesk.intent.snapshots import snapshot_table
        from frontdesk.intent.tokens import Tokenizer
        from frontdesk.preprocessing.spark_intents import build_table
        from frontdesk.preprocessing.spark_session import read_folder, session
        from frontdesk.tables import ROW

        place = Store(store)
        key = work_key("spark_preprocess", snapshot=snapshot)
        if (done := place.manifest("tensors", key)) is not None:
            return done
        taken = place.manifest("snapshots", snapshot)
        if taken is None:
            raise UnreadableFile("there is no such snapshot", where=place.uri("snapshots", snapshot))
        columns = parse_columns(taken["columns"], where="snapshot", recipe=NAME)
        report("spark_preprocess", 0, 3, "tokens")
        sides = {name: snapshot_table(place, snapshot, name, columns) for name in ("train", "test")}
        kept = taken["network"]
        tokenizer = Tokenizer.fit(sides["train"]) if kept is None else kept_tokenizer(place, kept["model_id"])
        sessions = {name: session_set(rows, tokenizer, columns) for name, rows in sides.items()}
        if not sessions["test"].is_target.any():
            raise EmptyTable("no test session has an opened intent", where=place.uri("snapshots", snapshot))
        report("spark_preprocess", 1, 3, "Markov tables")
        with place.writing("tensors", key) as folder, session() as spark:
            wanted = [*schema_of(columns).names, ROW]
            frame = read_folder(spark, place.uri("snapshots", snapshot, "train"), wanted)
            for name, intents_only in ((MARKOV, False), (MARKOV_INTENTS, True)):
                table = build_table(frame, tokenizer, columns, intents_only=intents_only)
                write_arrays(folder / name, table.arrays())
            report("spark_preprocess", 2, 3, "sessions")
            write_sessions(folder / TRAIN, sessions["train"])
            write_sessions(folder / TEST, sessions["test"])
            (folder / "tokenizer.json").write_bytes(canonical_json(tokenizer.to_json()))
            manifest = {
                "format": TENSORS_FORMAT,
                "id": key,
                "recipe": NAME,
                "snapshot": snapshot,
                "rows": {name: taken["rows"][name] for name in sides},
                "files": describe(folder),
            }
            (folder / MANIFEST).write_bytes(canonical_json(manifest))
        report("spark_preprocess", 3, 3)
        return manifest

    def data_transfer(self, *, tensors: str, store: str, node: Path) -> Path:
        """Job 3: the arrays move to the training node, verified; they are mapped there as they lie."""
        from frontdesk.tensors import transfer

        return transfer(Store(store), tensors, node, unpack=lambda download, folder, manifest: None)

    def train_models(
        self, store: Store, snapshot: str, tensors: Path, parameters: IntentParameters, work: Path
    ) -> Trained:
        """Train EvGen, or keep the network that the snapshot names; count TopPop."""
        from frontdesk.intent.files import TRAIN, open_sessions
        from frontdesk.intent.kept_network import keep_network
        from frontdesk.intent.mapped import write_arrays
        from frontdesk.intent.opening import TOPPOP
        from frontdesk.intent.toppop import TopPop
        from frontdesk.intent.training import train_evgen

        tokenizer, sessions = _tokenizer(tensors), open_sessions(tensors / TRAIN)
        kept = (store.manifest("snapshots", snapshot) or {}).get("network")
        if kept is None:
            network = train_evgen(sessions, tokenizer, parameters, work)
        else:
            network = keep_network(store, kept["model_id"], sessions, work)
        counted = work / "toppop"
        counted.mkdir(exist_ok=True)
        write_arrays(counted / TOPPOP, TopPop.fit(sessions, tokenizer).arrays())
        return Trained({"evgen": network, "toppop": counted}, orjson.loads((network / "history.json").read_bytes()))

    def fuse_models(
        self, store: Store, snapshot: str, tensors: Path, models: Path, parameters: IntentParameters, work: Path
    ) -> Fused:
        """Put the three models into one bundle, prove it against torch, and measure it beside its baselines."""
        from frontdesk.bundle import update_bundle
        from frontdesk.intent.fusion import fuse_bundle
        from frontdesk.intent.measuring import evaluate_sessions, facts_of
        from frontdesk.intent.opening import load_intents
        from frontdesk.intent.report import model_card

        bundle = fuse_bundle(store, snapshot, tensors, models, work)
        opened = load_intents(bundle)
        history = orjson.loads((models / "evgen" / "history.json").read_bytes())
        evaluation = work / "evaluation"
        metrics = evaluate_sessions(
            opened, tensors, evaluation, facts_of(store, snapshot), parameters.model_dump(mode="json"), history
        )
        update_bundle(bundle, metrics=metrics, card=model_card(opened, metrics))
        return Fused({"bundle": bundle}, evaluation, opened.model_id, metrics)

    def open_bundle(self, location: str) -> IntentBundle:
        """Open a bundle that suggests intents."""
        from frontdesk.intent.opening import load_intents

        return load_intents(location)

    def measure_champion(
        self, store: Store, fused: str, snapshot: str, champion: IntentBundle, out: Path
    ) -> dict[str, Any]:
        """Measure a champion on a candidate's test sessions, its intents under the candidate's ids."""
        from frontdesk.bundle.folder import SPEC
        from frontdesk.intent.measuring import evaluate_champion
        from frontdesk.intent.tokens import Tokenizer

        spec = orjson.loads(store.read_bytes("fused", fused, "bundle", SPEC))
        return evaluate_champion(champion, Tokenizer.from_json(spec["tokenizer"]), store, snapshot, out)

    def decide(
        self, candidate: dict[str, Any], ours: Path, champion: dict[str, Any] | None, theirs: Path | None
    ) -> Verdict:
        """Weigh hit rates, coverage, diversity and slices; see `frontdesk.intent.gate`."""
        from frontdesk.intent.gate import gate

        return gate(candidate, ours, champion, theirs)

    def publish(self, bundle: str) -> None:
        """Make the bundle's Markov table the current generation in Redis, where the settings name one.

        A server asks by its own tokeniser's digest, so one that still runs the champion keeps the champion's table
        unless both share a tokeniser.
        """
        from frontdesk.settings import settings

        if (address := settings().redis) is None:
            return
        from frontdesk.intent.opening import load_intents
        from frontdesk.intent.redis_store import prefix_of, publish
        from frontdesk.redis_connection import connect

        opened = load_intents(bundle)
        client = connect(address, timeout_seconds=_PUBLISH_SECONDS)
        publish(client, prefix_of(opened.tokenizer.digest), opened.recommender.tables["all"])

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
        """Evaluate a bundle on a log of sessions."""
        from frontdesk.intent.measuring import columns_of, evaluate_log
        from frontdesk.intent.opening import load_intents

        _require_no_labels(taxonomy or taxonomy_version)
        opened = load_intents(bundle)
        mapping = columns_of(opened, load_columns(columns, NAME) if columns else None)
        with self.join_of(mapping.features) as join:
            return evaluate_log(opened, data, mapping, out, join)

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
        """Answer every session of a log: what would be suggested next, after its last row."""
        from frontdesk.intent.measuring import columns_of, score_log
        from frontdesk.intent.opening import load_intents

        _require_no_labels(taxonomy or taxonomy_version)
        opened = load_intents(bundle)
        mapping = columns_of(opened, load_columns(columns, NAME) if columns else None)
        with self.join_of(mapping.features) as join:
            return score_log(opened, source, mapping, out, join)


def _require_no_labels(taxonomy: str | None) -> None:
    if taxonomy is not None:
        raise UsageError("intents have no label file", where=taxonomy, remedy="Leave it out")


def _tokenizer(tensors: Path) -> Any:
    from frontdesk.intent.tokens import Tokenizer

    return Tokenizer.from_json(orjson.loads((tensors / "tokenizer.json").read_bytes()))
