"""The email bundle: raw mails in, labels out. Cleaning and masking stand before the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from frontdesk.bundle.absent import AbsentModel
from frontdesk.bundle.folder import SPEC, parsed
from frontdesk.bundle.labels import LabelBundle
from frontdesk.email.engines import open_email_engine
from frontdesk.email.engines.engine import MailEngine
from frontdesk.email.files import CONFIG, load_prototypes
from frontdesk.email.preparation import MailPreparation
from frontdesk.preprocessing.spec import Spec

KINDS = {"subword": "email-subword", "hub": "email-hub"}
"""Kind of the bundle by encoder."""


class EmailBundle(LabelBundle):
    """A loaded mail model.

    `probabilities` takes prepared texts, as snapshots hold them; `predict` and `predict_columns` take raw mails.
    """

    partial = True

    def __init__(
        self,
        folder: Path,
        manifest: dict[str, Any],
        spec: Spec,
        model: MailEngine | None,
        preparation: MailPreparation,
    ) -> None:
        super().__init__(folder, manifest, spec, model or AbsentModel())
        self.preparation = preparation
        self.embedding = None if model is None else model.embedding
        self.prototypes = {} if model is None else load_prototypes(folder, spec.labels)

    def prepared(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Clean and mask the rows of a raw table."""
        return self.preparation(rows)

    def prepare(self, columns: Mapping[str, Sequence[Any]], rows: int) -> Mapping[str, Sequence[Any]]:
        """Clean and mask raw mails given as columns."""
        return self.preparation.columns(columns, rows)

    def packed_text(self, value: str | None) -> str:
        """Return the author's words as they are: the tokeniser reads case and punctuation."""
        return value or ""


def open_email(folder: Path, manifest: dict[str, Any], engine: str | None) -> EmailBundle:
    """Open a mail model by an engine that gives the golden rows their probabilities; None: without the model."""
    spec = Spec.from_json(parsed(folder, SPEC))
    parameters = parsed(folder, CONFIG)["parameters"]
    preparation = MailPreparation(masking=parameters["masking"])  # pseudonyms are for what is stored
    model = None if engine is None else open_email_engine(folder, spec, engine)
    bundle = EmailBundle(folder, manifest, spec, model, preparation)
    bundle.linear_part = None if model is None else model.linear_part()
    return bundle
