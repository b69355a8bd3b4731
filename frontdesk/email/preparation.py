"""What happens to a raw mail before anything of it is stored or answered: cleaned, then masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from frontdesk.text.mail import MAIL_CLEANING_VERSION, clean_mail
from frontdesk.text.masking import MASKING_VERSION, mask

SUBJECT, BODY = "subject", "body"


class MailPreparation:
    """Cleans and masks the texts of mails; the same for training, batches and requests.

    Args:
        masking: replace personal data by typed words. Off only where the texts hold none.
        pseudonyms: key of the pseudonyms that tie a customer's mails together; None writes plain placeholders.
    """

    def __init__(self, *, masking: bool, pseudonyms: bytes | None = None) -> None:
        self.masking, self._pseudonyms = masking, pseudonyms

    @property
    def key(self) -> dict[str, Any]:
        """What the result depends on, as plain values; of the pseudonyms only whether there are any."""
        return {
            "mail_cleaning": MAIL_CLEANING_VERSION,
            "masking": MASKING_VERSION if self.masking else None,
            "pseudonyms": self._pseudonyms is not None,
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
        """Prepare raw columns; those that are no text of a mail stay as they are."""
        prepared = dict(columns)
        subjects = list(columns.get(SUBJECT) or [None] * rows)
        bodies = list(columns.get(BODY) or [None] * rows)
        for row in range(rows):
            cleaned = clean_mail(bodies[row]) if bodies[row] else None
            if cleaned is not None and cleaned.subject and not subjects[row]:
                subjects[row] = cleaned.subject  # the body was a whole message
            bodies[row] = None if cleaned is None else self._masked(cleaned.text)
            subjects[row] = self._masked(" ".join(subjects[row].split())) if subjects[row] else None
        for name, values in ((SUBJECT, subjects), (BODY, bodies)):
            if name in columns:
                prepared[name] = values
        return prepared

    def _masked(self, text: str) -> str:
        return mask(text, self._pseudonyms).text if self.masking else text
