"""The second expert of the wide path: a linear support vector machine, added to the trained network.

Gradient steps over all paths at once leave the sparse inputs short of their best where a label has a handful of rows.
The same inputs (words and phrases, levels, numbers) in a linear machine with a margin per label, solved to the end,
err on other rows than the network does; the weighted sum of both is better than either. Both experts learn by their
own loss, so that neither leans on the other. The machine is linear, so its weights are added to the tables of the
network and the inference graph stays as it is.

Source: Fan et al., "LIBLINEAR" (2008), through scikit-learn.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from frontdesk.tensors import TensorSet
from frontdesk.ticket.network import TicketNetwork

_WEIGHT = 4.0
"""Logits per unit of margin. Measured on held-out rows, 2 to 8 are alike."""
_PRIOR = 0.15
"""Share of the log prior that is taken off the sum: the machine has no margin for rare labels as the network has."""
_SCALES = (0.3, 0.6, 1.0)
"""How much a level or a number may weigh beside the whole text, which has unit length; cross-validated per head, for a
company all but decides one head and only blurs the next."""
_PENALTY = 0.5
_FOLDS = 3
_MOST = 4_000_000
"""Rows times labels. Above, the machine would take longer than the network, which has enough rows to do without."""
_ROWS = 512


@torch.no_grad()
def add_margin_expert(network: TicketNetwork, data: TensorSet, rows: np.ndarray) -> None:
    """Add a linear support vector machine per head to a trained network.

    Args:
        network: trained, in evaluation mode; heads with many labels (factorised wide tables) keep their weights.
        data: tensors.
        rows: training rows, int64 [N].
    """
    if not len(rows):
        return
    text, side = _features(network, data, rows)
    for head, values in data.labels.items():
        labels = np.asarray(values[rows])
        known = np.flatnonzero(labels >= 0)
        classes = network.config.heads[head]
        if head in network.wide_outputs or len(np.unique(labels[known])) < 2 or len(known) * classes > _MOST:
            continue
        truth = labels[known]
        scale = _scale(text[known], side[known], truth) if side.shape[1] else 1.0
        machine = _fit(sparse.hstack([text[known], scale * side[known]], "csr"), truth)
        weights, bias = _spread(machine, classes)
        weights[text.shape[1] :] *= scale
        counts = np.bincount(truth, minlength=classes).clip(min=1)
        _add(network, head, _WEIGHT * weights, _WEIGHT * bias - _PRIOR * np.log(counts / counts.sum()))


def _features(network: TicketNetwork, data: TensorSet, rows: np.ndarray) -> tuple[Any, Any]:
    """Return sparse text features [N, terms] and sparse levels and numbers [N, levels of all fields + numbers]."""
    device = network.words.weight.device
    texts, sides = [], []
    for at in range(0, len(rows), _ROWS):
        part = rows[at : at + _ROWS]
        feature, begin, weight = (
            t.cpu() for t in network.wide(torch.from_numpy(data.ids[part].astype(np.int64)).to(device))
        )
        ends = np.append(begin.numpy(), len(feature))
        texts.append(sparse.csr_matrix((weight.numpy(), feature.numpy(), ends), (len(part), len(network.wide.idf))))
        blocks = [sparse.csr_matrix((len(part), 0), dtype=np.float32)]
        for place, levels in enumerate(network.config.levels):
            level = np.asarray(data.categories[part, place])
            row = np.flatnonzero(level)  # level 0, missing or unseen, says nothing
            block = (np.ones(len(row), np.float32), (row, level[row]))
            blocks.append(sparse.csr_matrix(block, (len(part), levels)))
        if network.numbers is not None:
            numbers = network.numbers(torch.from_numpy(np.array(data.numbers[part])).to(device))
            blocks.append(sparse.csr_matrix(numbers.cpu().numpy()))
        sides.append(sparse.hstack(blocks, "csr"))
    return sparse.vstack(texts, "csr"), sparse.vstack(sides, "csr")


def _scale(text: Any, side: Any, labels: np.ndarray) -> float:
    """Return the scale of levels and numbers with the most right answers in cross-validation."""
    fold = np.random.default_rng(0).permutation(len(labels)) % _FOLDS
    right = dict.fromkeys(_SCALES, 0)
    for number in range(_FOLDS):
        learnt, asked = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if len(np.unique(labels[learnt])) < 2:
            continue
        for scale in _SCALES:
            inputs = sparse.hstack([text, scale * side], "csr")
            right[scale] += int((_fit(inputs[learnt], labels[learnt]).predict(inputs[asked]) == labels[asked]).sum())
    return max(_SCALES, key=lambda scale: right[scale])


def _fit(inputs: Any, labels: np.ndarray) -> Any:
    from sklearn.svm import LinearSVC

    with warnings.catch_warnings():
        # The last digits of a weight are not worth the time, and many labels on few rows are what desks have.
        warnings.simplefilter("ignore", UserWarning)
        return LinearSVC(C=_PENALTY, random_state=0).fit(inputs, labels)


def _spread(machine: Any, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a machine's weights [features, K] and bias [K]; a label without a row gets the margin of a wrong one."""
    weights, bias = np.zeros((machine.coef_.shape[1], classes)), np.full(classes, -1.0)
    both = len(machine.classes_) == 2  # of two labels, the second one's weights are kept only
    coefficients = np.concatenate([-machine.coef_, machine.coef_]) if both else machine.coef_
    weights[:, machine.classes_] = coefficients.T
    bias[machine.classes_] = np.append(-machine.intercept_, machine.intercept_) if both else machine.intercept_
    return weights, bias


def _add(network: TicketNetwork, head: str, weights: np.ndarray, bias: np.ndarray) -> None:
    """Add weights float64 [features, K] and a bias [K] to the paths of a head, in the order of `_features`."""
    output, wide = network.outputs[head], network.wide_tables[head]
    assert isinstance(output, nn.Linear)
    assert isinstance(wide, nn.EmbeddingBag)
    tables: list[Tensor] = [wide.weight, *network.category_logits[head].parameters()]
    if network.numbers is not None:
        numbers = network.number_logits[head]
        assert isinstance(numbers, nn.Linear)
        tables.append(numbers.weight.T)
    ends = np.cumsum([len(table) for table in tables])
    for table, part in zip(tables, np.split(weights, ends[:-1]), strict=True):
        table.add_(torch.from_numpy(part).to(table))
    output.bias.add_(torch.from_numpy(bias).to(output.bias))
