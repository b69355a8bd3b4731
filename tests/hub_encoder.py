"""A tiny DistilBERT in a folder: random weights, a tokeniser of its own. What a desk would have from the hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import DistilBertConfig, DistilBertModel, PreTrainedTokenizerFast

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def made_distilbert(folder: Path, texts: Sequence[str], *, width: int = 32, layers: int = 2, pieces: int = 400) -> Path:
    """Save a DistilBERT whose WordPiece tokeniser is fitted on texts."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=pieces, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    torch.manual_seed(0)
    config = DistilBertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        dim=width,
        n_layers=layers,
        n_heads=max(2, width // 64),
        hidden_dim=4 * width,
    )
    DistilBertModel(config).save_pretrained(folder)
    return folder
