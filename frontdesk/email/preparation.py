"""What happens to a raw mail before anything of it is stored or answered: cleaned, then masked."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from frontdesk.text.mail import MAIL_CLEANING_VERSION, clean_mail, clean_subject
from frontdesk.text.masking import MASKING_VERSION, mask

SUBJECT, BODY = "subject", "body"
_FINGERPRINT = b"frontdesk: which key made these pseudonyms"


class MailPreparation:
    """Cleans and masks the texts of mails; the same for training, batches and requests.

    Args:
        masking: replace personal data by typed words. Off only where the texts hold none.
        pseudonyms: key of the pseudonyms that tie a customer's mails together; None writes plain placeholders. A model
            reads both alike (`frontdesk.email.encoding`), so only what is stored needs the key.
    """

    def __init__(self, *, masking: bool, pseudonyms: bytes | None = None) -> None:
        self.masking, self._pseudonyms = masking, pseudonyms

    @property
    def key(self) -> dict[str, Any]:
        """What the result depends on, as plain values; of the pseudonyms a fingerprint that does not tell the key."""
        used = self._pseudonyms if self.masking else None
        return {
            "mail_cleaning": MAIL_CLEANING_VERSION,
            "masking": MASKING_VERSION if self.masking else None,
            "pseudonyms": None if used is None else hmac.new(used, _FINGERPRINT, hashlib.sha256).hexdigest()[:16],
        }

    def __call__(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Prepare the rows of a table."""
        names = [name for name in (SUBJECT, BODY) if name in rows.schema.names]
        prepared = self.columns({name: rows.column(name).to_pylist() for name in names}, rows.num_rows)
        for name in names:
            place = rows.schema.get_field_index(name)
            rows = rows.set_column(place, rows.schema.field(name), pa.array(prepared[name], pa.string()))
        return rows

    def columns(self, columns: Mapping[str, Sequence[Any]], rows: int) -> dict[str, Any]:
        """Prepare raw columns; those that are no text of a mail stay as they are.

        The subject inside a body that is a whole message counts where no other subject is given; where there is no
        field for it, it stands above the text.
        """
        prepared = dict(columns)
        missing: list[Any] = [None] * rows
        given, bodies = columns.get(SUBJECT, missing), columns.get(BODY, missing)
        subjects, texts = [], []
        for row in range(rows):
            subject = clean_subject(_raw(given[row]))
            text = None
            if (raw := _raw(bodies[row])) is not None:
                cleaned = clean_mail(raw)
                text, own = cleaned.text, clean_subject(cleaned.subject)
                if own and SUBJECT not in columns:
                    text = f"{own}\n{text}" if text else own
                subject = subject or own
            subjects.append(self._masked(subject))
            texts.append(self._masked(text))
        for name, values in ((SUBJECT, subjects), (BODY, texts)):
            if name in columns:
                prepared[name] = values
        return prepared

    def _masked(self, text: str | None) -> str | None:
        return mask(text, self._pseudonyms).text if text and self.masking else text


def _raw(value: Any) -> str | bytes | None:
    """Return a cell as text or bytes: a column of a foreign table may hold numbers."""
    return value if value is None or isinstance(value, str | bytes) else str(value)
