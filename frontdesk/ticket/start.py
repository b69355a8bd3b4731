"""Where training starts: the wide path at the labels' mean texts, the categories at their naive Bayes rates.

A rare label has a handful of rows and as many steps of the optimiser; started at zero it stays near zero. Starting a
discriminative model at a generative one is the idea of Wang and Manning, "Baselines and bigrams" (2012).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from frontdesk.tensors import TensorSet
from frontdesk.ticket.network import TicketNetwork

_TEXT_SCALE = 6.0
"""Length of a label's vector in the wide table: a text that is the label's mean text gains this much."""
_CATEGORY_SCALE = 0.5
"""Categories speak for each other (a company for its states), so each says half of what it would say alone."""
_IMAGINED_ROWS = 2
"""Every level is imagined to have this many more rows per label, with the labels' shares: the more labels there are,
the more rows a level needs before it has a say."""
_ROWS = 512


@torch.no_grad()
def start_at_naive_bayes(network: TicketNetwork, data: TensorSet, rows: np.ndarray) -> None:
    """Set the wide tables and the category logits of a fresh network from training rows.

    Args:
        network: fresh; its factorised wide tables (heads with many labels) keep their start at zero.
        data: tensors.
        rows: training rows, int64 [N].
    """
    for head, labels in data.labels.items():
        known = rows[np.asarray(labels[rows]) >= 0]
        of = torch.from_numpy(labels[known].astype(np.int64))
        for place, table in enumerate(network.category_logits[head].children()):
            assert isinstance(table, nn.Embedding)
            level = torch.from_numpy(data.categories[known, place].astype(np.int64))
            table.weight.copy_(_CATEGORY_SCALE * level_rates(level, of, table.num_embeddings, table.embedding_dim))
        if head not in network.wide_outputs:
            wide = network.wide_tables[head]
            assert isinstance(wide, nn.EmbeddingBag)
            wide.weight.copy_(_TEXT_SCALE * _mean_texts(network, data, known, of, wide.embedding_dim))


def level_rates(levels: Tensor, labels: Tensor, level_count: int, label_count: int) -> Tensor:
    """Return how much every level speaks for every label, float32 [levels, K]: the log of its share over the overall.

    Args:
        levels: int64 [N]; level 0 (missing or unseen) says nothing.
        labels: int64 [N].
    """
    share = (torch.bincount(labels, minlength=label_count) + 0.5) / (len(labels) + 0.5 * label_count)
    seen = torch.bincount(levels * label_count + labels, minlength=level_count * label_count)
    # Absolute discounting (Ney, Essen, Kneser 1994): what was seen once says nothing. It would say most of all to the
    # very row that it was seen in, and training would learn to trust it.
    seen = (seen.view(level_count, label_count) - 1).clamp(min=0)
    imagined = _IMAGINED_ROWS * label_count
    rates = ((seen + imagined * share) / ((seen.sum(1, keepdim=True) + imagined) * share)).log()
    rates[0] = 0.0
    return rates


def _mean_texts(network: TicketNetwork, data: TensorSet, rows: np.ndarray, labels: Tensor, count: int) -> Tensor:
    """Return the mean text of every label less the overall mean, of length one, float32 [features, K]."""
    device = network.words.weight.device
    sums = torch.zeros(len(network.wide.idf), count, device=device)
    for at in range(0, len(rows), _ROWS):
        ids = torch.from_numpy(data.ids[rows[at : at + _ROWS]].astype(np.int64)).to(device)
        feature, begin, weight = network.wide(ids)
        sizes = torch.diff(begin, append=begin.new_tensor([len(feature)]))
        label = labels[at : at + _ROWS].to(device).repeat_interleave(sizes)
        sums.view(-1).index_add_(0, feature * count + label, weight)
    share = (torch.bincount(labels, minlength=count) / max(len(labels), 1)).to(device)
    means: Tensor = sums - sums.sum(1, keepdim=True) * share
    unit: Tensor = means / means.norm(dim=0).clamp(min=1e-9)
    return unit
