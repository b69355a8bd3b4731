"""Fusion of the intent recipe (job 5): tables, weights and tokeniser become one bundle, proven equal to torch."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orjson

from frontdesk.errors import BundleError, UnreadableFile
from frontdesk.golden import GOLDEN
from frontdesk.intent.batches import pad_requests
from frontdesk.intent.configuration import default_configuration, parse_configuration
from frontdesk.intent.golden import golden_table
from frontdesk.intent.keys import suffix_keys, window_of
from frontdesk.intent.opening import EVGEN, MARKOV, MARKOV_INTENTS, TOPPOP, open_evgen, prove, save_intent_bundle
from frontdesk.intent.sessions import Session
from frontdesk.intent.tokens import Tokenizer
from frontdesk.progress import report
from frontdesk.storage import Store

EQUAL = 2e-5
"""Largest difference of a probability between torch, the full pass and the cached step, all in float32."""


def fuse_bundle(store: Store, snapshot: str, tensors: Path, models: Path, work: Path) -> Path:
    """Build the bundle at ``work/bundle``.

    Args:
        store, snapshot: what the models were trained on.
        tensors: folder of job 3.
        models: folder of job 4: ``evgen/`` and ``toppop/``.

    Raises:
        BundleError: a form of the network gives other probabilities than torch.
    """
    from frontdesk.intent.engines.eager import EagerEngine

    taken = store.manifest("snapshots", snapshot)
    if taken is None:
        raise UnreadableFile("there is no such snapshot", where=store.uri("snapshots", snapshot))
    tokenizer = Tokenizer.from_json(orjson.loads((tensors / "tokenizer.json").read_bytes()))
    report("fuse", 0, 2, "golden rows")
    reference, served = EagerEngine(models / "evgen"), open_evgen(models / "evgen", tokenizer)

    def scores(sessions: Sequence[Session]) -> np.ndarray:
        padded = pad_requests(sessions)
        logits = reference.logits(padded)[np.arange(len(sessions)), padded.lengths]
        window = np.concatenate([window_of(session) for session in sessions])
        return served.stacking.mix(logits, served.counts.look_up(suffix_keys(window)))

    target = work / "bundle"
    draft = target.with_name(".bundle.unproven")
    save_intent_bundle(
        draft,
        files={
            **{name: models / "evgen" / name for name in EVGEN},
            MARKOV: tensors / MARKOV,
            MARKOV_INTENTS: tensors / MARKOV_INTENTS,
            TOPPOP: models / "toppop" / TOPPOP,
        },
        tokenizer=tokenizer,
        columns=taken["columns"],
        configuration=(
            parse_configuration(taken["configuration"], where=snapshot)
            if taken["configuration"]
            else default_configuration(tokenizer)
        ),
        golden=golden_table(tokenizer, scores),
        snapshot=snapshot,
        metrics={},
        card="",
    )
    report("fuse", 1, 2, "proof")
    difference = prove(open_evgen(draft, tokenizer), draft, tokenizer, EQUAL)
    if not difference <= EQUAL:  # not a number
        raise BundleError("the served network gives no numbers", where=GOLDEN)
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)
    report("fuse", 2, 2)
    return target
