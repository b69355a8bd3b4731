"""What the prediction log keeps of an instance: features that monitoring needs, and no customer text unless masked."""

from __future__ import annotations

from typing import Any

from frontdesk.serving.gateway.settings import GatewaySettings
from frontdesk.settings import masking_key
from frontdesk.text.masking import mask

_LONGEST_FEATURE = 100


def logged_fields(settings: GatewaySettings, recipe: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the columns ``features``, ``inputs`` and ``characters`` of a row.

    Numbers and the fields named by the setting ``log_fields`` are features. Every other text counts as a customer's:
    its length is kept, and itself only masked, where ``log_text`` says so. Of a session only sizes are kept.
    """
    if recipe == "intent":
        sizes = {name: len(value) for name, value in fields.items() if isinstance(value, list)}
        return {"features": sizes, "inputs": None, "characters": 0}
    plain = settings.log_fields.get(recipe, ())
    features: dict[str, Any] = {}
    texts: dict[str, str] = {}
    for name, value in fields.items():
        if isinstance(value, bool | int | float):
            features[name] = value
        elif isinstance(value, str) and name in plain:
            features[name] = value.replace("\0", "")[:_LONGEST_FEATURE]
        elif isinstance(value, str):
            texts[name] = value
    kept = None
    if settings.log_text == "masked":
        key = masking_key()
        kept = features | {name: mask(value, key).text.replace("\0", "") for name, value in texts.items()}
    return {"features": features, "inputs": kept, "characters": sum(map(len, texts.values()))}
