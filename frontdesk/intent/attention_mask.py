"""What a position of a session may look at: the one rule behind training, the full pass and the cached step.

A session is its first token (who asks, when) and then its rows. Every position sees the first token, every opened
intent up to itself, and events only among the last `window` tokens up to itself. The rule goes by the query, not by
the end of the session: what a position knew does not change when the session grows, so keys and values can be kept.

The rule is written with operators that NumPy arrays and torch tensors share.
"""

from __future__ import annotations

from typing import Any

WINDOW = 5
"""Tokens up to and with the query among which events are seen."""
MEMORY = 256
"""Opened intents that are seen; older ones fall out, which bounds what is kept of a session."""


def visible(positions: Any, is_intent: Any, *, window: int = WINDOW, memory: int = MEMORY) -> Any:
    """Return which keys each query sees.

    Every query sees itself, padding too, so that no row of the softmax is empty.

    Args:
        positions: int [L], 0, 1, ...; position 0 is the first token.
        is_intent: bool [N, L]; False for the first token and for padding.
        window, memory: see `WINDOW` and `MEMORY`.

    Returns:
        bool [N, L queries, L keys].
    """
    behind = positions[:, None] - positions[None, :]  # [L, L]
    opened = (1 * is_intent).cumsum(-1)  # [N, L]: intents up to a position; as numbers, for every exporter's sake
    newer = opened[:, :, None] - opened[:, None, :]  # [N, L, L]: intents after the key, up to the query
    kept = is_intent[:, None, :] & (newer < memory)
    first = (positions == 0)[None, None, :]
    return (behind >= 0)[None] & ((behind < window)[None] & ~is_intent[:, None, :] | kept | first)
