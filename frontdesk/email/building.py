"""From parameters to a network, fresh or as it was saved: the one place that knows both encoders."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from frontdesk.email.files import CONFIG
from frontdesk.email.network import SubwordNetwork
from frontdesk.email.recipe import EmailParameters
from frontdesk.errors import BundleError


class Separate(nn.Module):
    """One network per head, nothing shared: the single-task models, trained side by side.

    Args:
        networks: ``{head: network with that head only}``.
    """

    def __init__(self, networks: dict[str, nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(networks)

    def forward(self, ids: Tensor, categories: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Int64 [N, L], int64 [N, C], float32 [N, D] -> ``{head: float [N, K]}``."""
        return {head: network(ids, categories, latent)[head] for head, network in self.networks.items()}

    def operations(self, tokens: float) -> float:
        """Floating-point operations of one row's forward pass."""
        return float(sum(network.operations(tokens) for network in self.networks.values()))  # type: ignore[operator]


def describe_network(
    parameters: EmailParameters, directions: int, levels: tuple[int, ...], heads: dict[str, int]
) -> dict[str, Any]:
    """Return what rebuilds the network apart from its weights, as plain values.

    Args:
        parameters: knobs.
        directions: of the latent space; not used by the ``hub`` encoder.
        levels: levels per categorical field, the missing one included.
        heads: ``{head: K}``.
    """
    content: dict[str, Any] = {
        "encoder": parameters.encoder,
        "mode": parameters.mode,
        "levels": list(levels),
        "heads": heads,
    }
    if parameters.encoder == "hub":
        from frontdesk.email.hub_network import described, pretrained

        content["hub"] = described(pretrained(parameters.encoder_name))
    else:
        content |= {"directions": directions, "hidden": parameters.hidden, "members": parameters.members}
    return content


def build_network(content: dict[str, Any], parameters: EmailParameters | None = None) -> nn.Module:
    """Return a network of `describe_network`.

    Args:
        content: what `describe_network` returned.
        parameters: for training: dropout, and the pretrained weights of the ``hub`` encoder; None to load weights.

    Raises:
        BundleError: the content describes none.
    """
    heads: dict[str, int] = content["heads"]
    if content["mode"] == "single":
        return Separate({head: _network(content, {head: count}, parameters) for head, count in heads.items()})
    return _network(content, heads, parameters)


def _network(content: dict[str, Any], heads: dict[str, int], parameters: EmailParameters | None) -> nn.Module:
    levels = tuple(content["levels"])
    if content["encoder"] == "hub":
        from frontdesk.email.hub_network import HubNetwork, pretrained, rebuilt

        if parameters is None:
            return HubNetwork(rebuilt(content["hub"]), levels, heads)
        return HubNetwork(pretrained(parameters.encoder_name), levels, heads, dropout=0.2)
    if content["encoder"] != "subword":
        raise BundleError("there is no encoder of that kind", where=CONFIG)
    dropout = 0.0 if parameters is None else parameters.dropout
    return SubwordNetwork(content["directions"], levels, heads, content["hidden"], content["members"], dropout=dropout)
