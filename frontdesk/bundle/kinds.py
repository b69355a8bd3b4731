"""The kinds of models that a bundle may hold: which files each has, and what opens it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of model.

    Attributes:
        files: what every model of the kind has; one may have more.
        opener: ``module:function`` that takes the verified folder, the manifest and the engine's name (None: without
            the model), and returns the `Bundle`. It stands in the recipe's room and is imported when such a bundle is
            opened.
        ends: those of the files that are read where the model is another server's; see `Bundle.load`.
    """

    files: tuple[str, ...]
    opener: str
    ends: tuple[str, ...] = ()


KINDS = {
    "email-hub": Kind(
        ("weights.safetensors", "config.json", "tokenizer.json", "combination.safetensors", "model.onnx"),
        "frontdesk.email.opening:open_email",
        ends=("config.json",),
    ),
    "email-subword": Kind(
        (
            "weights.safetensors",
            "config.json",
            "tokenizer.json",
            "combination.safetensors",
            "grams.json",
            "linear.safetensors",
            "prototypes.safetensors",
        ),
        "frontdesk.email.opening:open_email",
        ends=("config.json",),
    ),
    "ticket-network": Kind(
        ("model.onnx", "weights.safetensors", "config.json"), "frontdesk.ticket.opening:open_network"
    ),
    "intent-evgen": Kind(
        (
            "weights.safetensors",
            "config.json",
            "counts.safetensors",
            "markov.safetensors",
            "markov-intents.safetensors",
            "toppop.safetensors",
        ),
        "frontdesk.intent.opening:open_bundle",
        ends=("markov.safetensors", "markov-intents.safetensors", "toppop.safetensors"),
    ),
    "ticket-classical": Kind(("config.json",), "frontdesk.ticket.opening:open_classical"),
}
