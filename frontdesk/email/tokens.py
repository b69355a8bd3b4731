"""Tokenisers: one fitted on the desk's own mails, or the one that comes with a pretrained encoder.

Both are a ``tokenizer.json`` of the library `tokenizers`, which is all that the serving path needs. In tensors a token
is its id plus one, because 0 is padding there, whatever a tokeniser pads with.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import orjson
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, trainers

from frontdesk.errors import BundleError, UsageError

TOKENIZER = "tokenizer.json"
SPACE = "\u2581"
"""Stands for a space at the beginning of a piece."""
UNKNOWN_PIECE = "[UNK]"
SHIFT = 1
"""What is added to a token's id in tensors."""

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads do not survive a fork, and requests come singly


def fit_tokenizer(texts: Iterable[str], size: int = 6_000) -> bytes:
    """Fit byte-pair encoding (Sennrich, Haddow, Birch 2016) on lower-cased texts.

    Every character of the texts is a piece, so that pieces joined give back the text. Digits and punctuation stand
    alone. The same texts give the same bytes.

    Args:
        texts: cleaned mails.
        size: most pieces.

    Returns:
        The content of ``tokenizer.json``.
    """
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token=UNKNOWN_PIECE))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always"),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=[UNKNOWN_PIECE], min_frequency=2, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return _canonical(tokenizer)


def hub_tokenizer(name: str) -> bytes:
    """Return the ``tokenizer.json`` of a pretrained encoder.

    Args:
        name: of the hub, or a local folder.

    Raises:
        UsageError: there is no such encoder here, or its tokeniser has no fast form.
    """
    from transformers import AutoTokenizer

    try:
        backend = AutoTokenizer.from_pretrained(name).backend_tokenizer
    except (OSError, ValueError, AttributeError) as error:
        words = "the encoder's tokeniser cannot be loaded"
        remedy = "Name a local folder with config.json, model.safetensors and tokenizer.json, or connect to the hub"
        raise UsageError(words, where=name, remedy=remedy) from error
    backend.no_padding()
    backend.no_truncation()
    return _canonical(backend)


def _canonical(tokenizer: tokenizers.Tokenizer) -> bytes:
    return orjson.dumps(orjson.loads(tokenizer.to_str()), option=orjson.OPT_SORT_KEYS)


class Pieces:
    """A tokeniser, ready to encode. Safe to share between threads.

    Attributes:
        size: number of ids, the padding of tensors included.
    """

    def __init__(self, content: bytes, max_tokens: int) -> None:
        """Build it from ``tokenizer.json``. Raises `BundleError` where that is none."""
        try:
            self._tokenizer = tokenizers.Tokenizer.from_buffer(content)
        except Exception as error:  # the library raises plain Exception
            raise BundleError("the tokeniser cannot be read", where=TOKENIZER) from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self.size = self._tokenizer.get_vocab_size(with_added_tokens=True) + SHIFT

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the shifted ids of each text, at most `max_tokens`."""
        if len(texts) == 1:
            return [[token + SHIFT for token in self._tokenizer.encode(_storable(texts[0])).ids]]
        found = self._tokenizer.encode_batch_fast([_storable(text) for text in texts])
        return [[token + SHIFT for token in encoding.ids] for encoding in found]

    def strings(self) -> list[str]:
        """Return what each shifted id stands for in a text; a space for padding, a replacement for the unknown."""
        strings = [" "] * self.size
        for piece, token in self._tokenizer.get_vocab(with_added_tokens=True).items():
            strings[token + SHIFT] = "\ufffd" if piece == UNKNOWN_PIECE else piece.replace(SPACE, " ")
        return strings


def _storable(text: str) -> str:
    """Replace halves of surrogate pairs, which the tokeniser refuses."""
    return text.encode("utf-8", "replace").decode("utf-8")
