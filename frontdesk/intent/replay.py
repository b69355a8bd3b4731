"""Replay of the suggestions that were shown: what a model would have kept of the clicks they got.

The log knows only what was shown, so this is an estimate with a known bias: an intent high in the shown list was easier
to click (position bias), and an intent that was not shown had to be searched for. The figures by position say how
strong that is; a model that repeats the shown order gains from it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from frontdesk.intent.metrics import SHOWN, Requests
from frontdesk.intent.sessions import SessionSet

POSITIONS = 10
NOTE = "Clicks favour what stood high in the shown list; compare models by figures of one position."


def replay(lists: np.ndarray, asked: Requests, test: SessionSet) -> dict[str, Any] | None:
    """Compare lists with the suggestions that were shown at the same requests; None where nothing was logged.

    Args:
        lists: int32 [N, at least SHOWN], one for each of ``asked``.

    Returns:
        ``n``: requests with logged suggestions; ``shown``: their mean number; ``clicked``: share of requests whose
        intent had been shown; ``suggestion_share``: share whose intent is in the model's first six;
        ``clicks_kept``: share of the clicked ones that the model's first six hold; ``clicks_kept_same_length``: the
        same with lists cut to what had been shown; ``found``: share of the intents that had not been shown which the
        model's first six hold; ``positions``: for each shown position the clicks, their share among lists that reach
        it, and the share kept.
    """
    begin, end = test.option_offsets[asked.rows], test.option_offsets[asked.rows + 1]
    logged = np.flatnonzero((end > begin) & (asked.truth >= 0))
    if not len(logged):
        return None
    length = (end - begin)[logged]
    truth, own = asked.truth[logged], lists[logged, :SHOWN]
    at = begin[logged][:, None] + np.arange(int(length.max()))
    inside = np.arange(int(length.max())) < length[:, None]
    options = np.where(inside, test.options[np.where(inside, at, 0)], -1)
    match = options == truth[:, None]
    clicked, position = match.any(1), match.argmax(1)
    hits = own == truth[:, None]
    kept, short = hits.any(1), (hits & (np.arange(SHOWN) < length[:, None])).any(1)
    positions = []
    for place in range(min(POSITIONS, options.shape[1])):
        here, reach = clicked & (position == place), length > place
        positions.append(
            {
                "position": place + 1,
                "clicks": int(here.sum()),
                "click_share": float(here.sum() / reach.sum()),
                "kept": float(kept[here].mean()) if here.any() else None,
            }
        )
    return {
        "n": len(logged),
        "shown": float(length.mean()),
        "clicked": float(clicked.mean()),
        "suggestion_share": float(kept.mean()),
        "clicks_kept": float(kept[clicked].mean()) if clicked.any() else None,
        "clicks_kept_same_length": float(short[clicked].mean()) if clicked.any() else None,
        "found": float(kept[~clicked].mean()) if not clicked.all() else None,
        "positions": positions,
        "note": NOTE,
    }
