"""Fusion of the email recipe (job 5): tokeniser, weights and combination become one bundle, proven equal to torch."""

from __future__ import annotations

import tempfile
from pathlib import Path

import orjson

from frontdesk.email.engines import ENGINES, TOLERANCE, open_email_engine
from frontdesk.email.files import COMBINATION, CONFIG, GRAMS, LINEAR, MODEL, PROTOTYPES, WEIGHTS
from frontdesk.email.opening import KINDS
from frontdesk.email.recipe import NAME, EmailParameters
from frontdesk.email.tokens import TOKENIZER
from frontdesk.fusion import draft_bundle, prove, prove_in_spark, publish
from frontdesk.golden import read_golden
from frontdesk.preprocessing.spec import Spec
from frontdesk.progress import report
from frontdesk.taxonomy import Lineage


def fuse_email(
    model: Path,
    tensors: Path,
    snapshot: str,
    parameters: EmailParameters,
    target: Path,
    *,
    lineage: Lineage,
    spark: bool,
) -> Path:
    """Build the bundle of a finished training at ``target``.

    Args:
        model: folder of `frontdesk.email.training.train_email`.
        tensors: its tensors; their ``spec.json`` is the bundle's.
        lineage: how the labels stand in time.
        spark: also prove the bundle inside Spark; starts a session.

    Raises:
        BundleError: an engine gives other probabilities than torch.
    """
    spec = Spec.from_json(orjson.loads((tensors / "spec.json").read_bytes()))
    report("fuse", 0, 3, "graph")
    with tempfile.TemporaryDirectory(prefix="frontdesk-graph-") as scratch:
        files: dict[str, Path | bytes] = {name: model / name for name in (WEIGHTS, CONFIG, TOKENIZER, COMBINATION)}
        if parameters.encoder == "hub":
            from frontdesk.email.export import export_graph

            files[MODEL] = export_graph(model, spec, Path(scratch))
        else:
            files |= {name: model / name for name in (GRAMS, LINEAR, PROTOTYPES)}
        reference = open_email_engine(model, spec, "eager", golden=False)
        draft = draft_bundle(model, spec, snapshot, target, NAME, KINDS[parameters.encoder], files, reference, lineage)
    report("fuse", 1, 3, "golden rows")
    golden = read_golden(draft)
    for name in ENGINES[parameters.encoder]:
        if name not in TOLERANCE:  # exact engines; the others are checked where they are opened
            prove(open_email_engine(draft, spec, name), golden, f"engine {name}", 1e-4)
    publish(draft, target)
    if spark:
        report("fuse", 2, 3, "Spark")
        prove_in_spark(target)
    report("fuse", 3, 3)
    return target
