"""What mails and tickets have in common: answers with labels, kept back or missing ones with a reason."""

from __future__ import annotations

from typing import Any

from frontdesk.records.email import EmailColumns
from frontdesk.records.ticket import TicketColumns
from frontdesk.serving.gateway.answers import HOLDOUT, MODEL_UNAVAILABLE, withheld
from frontdesk.serving.gateway.asking import Asked, Manner
from frontdesk.serving.gateway.predicting import Topic
from frontdesk.serving.gateway.state import Gateway

HEADS = {"email": EmailColumns.known_heads, "ticket": TicketColumns.known_heads}


def labels_topic(recipe: str, manner: Manner) -> Topic:
    """Return how a recipe with labels is answered."""

    def complete(gateway: Gateway, asked: Asked, answer: dict[str, Any] | None) -> dict[str, Any]:
        if answer is not None:
            gateway.heads[recipe] = tuple(answer["labels"])
            return answer
        # A model that answered before may have fewer heads than the recipe knows.
        heads = gateway.heads.get(recipe, HEADS[recipe])
        return {"model_id": None, "labels": withheld(heads, MODEL_UNAVAILABLE)}

    def withhold(complete: dict[str, Any]) -> dict[str, Any]:
        return {"model_id": complete["model_id"], "labels": withheld(tuple(complete["labels"]), HOLDOUT)}

    return Topic(recipe, "id", False, None, manner, complete, withhold)
