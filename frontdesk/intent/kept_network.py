"""The deployed model whose network a run keeps: its tokeniser and weights stay, what the log counts is counted anew.

A night is enough for counts, and they are what follows a desk from day to day; the network is what learns slowly. An
intent or operator that the kept tokeniser never saw waits for the next training.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson

from frontdesk.bundle.folder import SPEC, verify_bundle
from frontdesk.errors import UsageError
from frontdesk.intent.columns import IntentColumns
from frontdesk.intent.evgen import CONFIG, COUNTS, WEIGHTS
from frontdesk.intent.mapped import write_arrays
from frontdesk.intent.recipe import NAME
from frontdesk.intent.sessions import SessionSet
from frontdesk.intent.stacking import opening_counts
from frontdesk.intent.tokens import Tokenizer
from frontdesk.storage import Store, canonical_json, digest

_REMEDY = "Train once without --set network=keep"


def deployed_network(store: Store, columns: IntentColumns) -> dict[str, str]:
    """Return ``{"digest", "model_id"}``: what the deployed network is, and a model that holds it.

    The digest stays from night to night, so that the same log makes the same model again.

    Raises:
        UsageError: none is deployed, or it reads other columns than the log's mapping names.
    """
    from frontdesk.deployment import current

    if (deployed := current(store, NAME)) is None:
        raise UsageError("no model is deployed whose network could be kept", where="network", remedy=_REMEDY)
    model_id = str(deployed["model_id"])
    wanted, known = columns.model_dump(mode="json"), _spec(store, model_id)["columns"]
    if other := [name for name in ("fields", "features") if wanted.get(name) != known.get(name)]:
        raise UsageError(f"the deployed network was trained with other {other[0]}", where="columns", remedy=_REMEDY)
    files = (store.manifest("models", NAME, model_id) or {})["files"]
    parts = {name: files[name]["sha256"] for name in (WEIGHTS, CONFIG)}
    return {"digest": digest({**parts, "tokenizer": kept_tokenizer(store, model_id).digest}), "model_id": model_id}


def kept_tokenizer(store: Store, model_id: str) -> Tokenizer:
    """Return the tokeniser of a deployed model."""
    return Tokenizer.from_json(_spec(store, model_id)["tokenizer"])


def keep_network(store: Store, model_id: str, sessions: SessionSet, work: Path) -> Path:
    """Return ``work/evgen`` as training makes it, with a deployed model's network and the counts of these sessions.

    Raises:
        BundleError: the deployed bundle is damaged.
    """
    folder = work / "evgen"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    bundle = store.fetch("models", NAME, model_id, to=work / "deployed")
    verify_bundle(bundle)
    for name in (WEIGHTS, CONFIG):
        shutil.copyfile(bundle / name, folder / name)
    shutil.rmtree(bundle)
    write_arrays(folder / COUNTS, opening_counts(sessions).arrays())
    (folder / "history.json").write_bytes(canonical_json([]))
    return folder


def _spec(store: Store, model_id: str) -> dict[str, Any]:
    spec: dict[str, Any] = orjson.loads(store.read_bytes("models", NAME, model_id, SPEC))
    return spec
