"""Do the members of the subword network learn alone and answer together?"""

from __future__ import annotations

import pytest
import torch

from frontdesk.email import network as module
from frontdesk.email.network import SubwordNetwork

HEADS = {"queue": 5, "topic": 7}


def _inputs(rows: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.zeros(rows, 0, dtype=torch.int64), torch.randint(0, 3, (rows, 1)), torch.randn(rows, 12)


@pytest.mark.parametrize("members", [1, 3])
def test_the_answer_is_the_mean_of_the_members(members: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INPUT_DROPOUT", 0.0)
    network = SubwordNetwork(12, (3,), HEADS, 8, members)
    torch.nn.init.normal_(network.categories[0].weight)
    apart = network.train()(*_inputs())
    together = network.eval()(*_inputs())
    for head, labels in HEADS.items():
        assert apart[head].shape == (6, members, labels)
        torch.testing.assert_close(apart[head].mean(1), together[head])


def test_a_member_learns_from_its_own_mistakes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INPUT_DROPOUT", 0.0)
    network = SubwordNetwork(12, (), HEADS, 8, 2).train()
    network(*_inputs())["queue"][:, 0].sum().backward()
    gradient = network.hidden.weight.grad
    assert gradient is not None
    assert gradient[:8].abs().sum() > 0
    assert gradient[8:].abs().sum() == 0
