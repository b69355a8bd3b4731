"""What the email recipe does in each job: mails are cleaned and masked before they are stored; one encoder answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from frontdesk.email.recipe import NAME, EmailParameters
from frontdesk.engines.choice import PORTABLE
from frontdesk.jobs import Fused, Trained, first_confusion
from frontdesk.label_jobs import LabelJobs, describe_in_bundle
from frontdesk.storage import Store, describe, digest
from frontdesk.text.masking import without_pseudonyms


class EmailJobs(LabelJobs):
    """The jobs of the email recipe."""

    name = NAME
    parameters_type = EmailParameters

    def prepare(self, parameters: EmailParameters) -> tuple[Any, dict[str, Any]]:
        """Return the cleaning and masking of mails."""
        from frontdesk.email.preparation import MailPreparation
        from frontdesk.settings import masking_key

        preparation = MailPreparation(masking=parameters.masking, pseudonyms=masking_key())
        return preparation, preparation.key

    def spark_preprocess(self, *, snapshot: str, parameters: str, store: str) -> dict[str, Any]:
        """Job 2: snapshot -> pieces of words, levels and labels, by Spark."""
        from frontdesk.preprocessing.encoding import Tokenization
        from frontdesk.preprocessing.spark import preprocess

        chosen: EmailParameters = self.parameters(parameters)
        key = {"encoder": chosen.encoder, "vocabulary": chosen.vocabulary, "name": _identity(chosen)}

        def fit(texts: Iterator[str]) -> bytes:
            from frontdesk.email.tokens import fit_tokenizer, hub_tokenizer

            if chosen.encoder == "hub":
                return hub_tokenizer(chosen.encoder_name)
            return fit_tokenizer(map(without_pseudonyms, texts), chosen.vocabulary)

        tokenization = Tokenization(key, fit, "frontdesk.email.encoding:EmailEncoder")
        return preprocess(Store(store), snapshot, chosen, tokenization)

    def train_models(
        self, store: Store, snapshot: str, tensors: Path, parameters: EmailParameters, work: Path
    ) -> Trained:
        """Train the chosen mode, and where asked the other one, so that both are measured on the same rows."""
        from frontdesk.email.tokens import TOKENIZER
        from frontdesk.email.training import train_email

        folders = {}
        for name, chosen in _modes(parameters).items():
            place = work / name
            place.mkdir(parents=True, exist_ok=True)
            folders[name] = train_email(tensors, tensors / TOKENIZER, place, chosen)
        history = orjson.loads((folders["model"] / "history.json").read_bytes())
        return Trained(folders, history)

    def fuse_models(
        self, store: Store, snapshot: str, tensors: Path, models: Path, parameters: EmailParameters, work: Path
    ) -> Fused:
        """Fuse every trained mode; the other mode is a baseline of the chosen one's evaluation."""
        from frontdesk.bundle.labels import LabelBundle
        from frontdesk.email.fusion import fuse_email
        from frontdesk.evaluation.evaluate import evaluate
        from frontdesk.taxonomy import Lineage

        lineage = Lineage.of(store.manifest("snapshots", snapshot) or {})
        bundles = {}
        for name, chosen in _modes(parameters).items():
            place = "bundle" if name == "model" else f"bundle-{chosen.mode}"
            first = name == "model"
            bundles[place] = fuse_email(
                models / name, tensors, snapshot, chosen, work / place, lineage=lineage, spark=first
            )
        candidate = LabelBundle.load(bundles["bundle"], engine=PORTABLE)
        others = {
            place.removeprefix("bundle-"): LabelBundle.load(folder, engine=PORTABLE)
            for place, folder in bundles.items()
            if place != "bundle"
        }
        evaluation = work / "evaluation"
        metrics = evaluate(
            candidate,
            store,
            snapshot,
            others=others,
            parameters=_portable(parameters),
            out=evaluation,
            history=orjson.loads((models / "model" / "history.json").read_bytes()),
        )
        describe_in_bundle(bundles["bundle"], candidate, metrics)
        return Fused(bundles, evaluation, candidate.model_id, metrics, first_confusion(metrics))


def _identity(parameters: EmailParameters) -> str:
    """Return what the ``hub`` encoder is: a name of the hub, or the digest of a folder, which may change."""
    if parameters.encoder != "hub" or not (folder := Path(parameters.encoder_name)).is_dir():
        return parameters.encoder_name
    return digest(describe(folder))


def _portable(parameters: EmailParameters) -> EmailParameters:
    """Return the parameters without a folder of this machine, as they are shown."""
    if not (folder := Path(parameters.encoder_name)).is_dir():
        return parameters
    return parameters.model_copy(update={"encoder_name": folder.resolve().name})


def _modes(parameters: EmailParameters) -> dict[str, EmailParameters]:
    """Return the parameters of every model to train: ``model`` is the chosen one."""
    modes = {"model": parameters}
    if parameters.compare:
        other = "single" if parameters.mode == "multi" else "multi"
        modes["other"] = parameters.model_copy(update={"mode": other})
    return modes
