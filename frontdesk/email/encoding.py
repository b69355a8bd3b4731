"""A mail to arrays: the one definition that Spark, training and every engine share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from frontdesk.email.tokens import Pieces
from frontdesk.preprocessing.encoding import Arrays, Encoder
from frontdesk.preprocessing.spec import Spec
from frontdesk.text.masking import without_pseudonyms


class EmailEncoder:
    """Turns the parts of mails into `Arrays`; build it once.

    The texts are what the cleaning of mails kept (`frontdesk.text`); here they are only joined and tokenised.

    Args:
        spec: the fitted values: text fields, levels of the bank, labels, `max_tokens`.
        tokenizer: content of ``tokenizer.json``.
    """

    def __init__(self, spec: Spec, tokenizer: bytes) -> None:
        self.spec = spec
        self.pieces = Pieces(tokenizer, spec.max_tokens)
        self._values = Encoder(spec)

    def texts(self, columns: Mapping[str, Sequence[Any]], rows: int) -> list[str]:
        """Return subject and body of every row as one text, in which every pseudonym is a plain placeholder."""
        fields = [columns[name] for name in self.spec.text if name in columns]
        joined = ("\n".join(str(field[row]) for field in fields if field[row]) for row in range(rows))
        return [without_pseudonyms(text) for text in joined]

    def tokens(self, columns: Mapping[str, Sequence[Any]], rows: int) -> list[list[int]]:
        """Return the shifted ids of every row, not padded."""
        return self.pieces.encode(self.texts(columns, rows))

    def categories(self, columns: Mapping[str, Sequence[Any]], rows: int) -> np.ndarray:
        """Return the levels of the categorical fields, int32 [rows, C]; 0 for missing or unseen."""
        found = np.zeros((rows, len(self.spec.categorical)), np.int32)
        for place, name in enumerate(self.spec.categorical):
            if name in columns:
                found[:, place] = [self._values.category(name, value) for value in columns[name]]
        return found

    def encode(self, columns: Mapping[str, Sequence[Any]], rows: int) -> Arrays:
        """Encode ``rows`` mails given as columns of raw values; an absent column is missing in every row.

        Returns:
            ids int32 [N, max_tokens] (padded with 0), categories int32 [N, C], numbers float64 [N, 0].
        """
        ids = np.zeros((rows, self.spec.max_tokens), np.int32)
        for row, tokens in enumerate(self.tokens(columns, rows)):
            ids[row, : len(tokens)] = tokens
        return Arrays(ids, self.categories(columns, rows), np.zeros((rows, 0)))

    def labels(self, head: str, values: Sequence[Any]) -> np.ndarray:
        """Return label indices, int32 [N]: -1 for an empty cell, -2 for a label that training never saw."""
        return self._values.labels(head, values)
