"""What mails and tickets have in common: answers with labels, kept back or missing ones with a reason."""

from __future__ import annotations

from typing import Any

from frontdesk.records.email import EmailColumns
from frontdesk.records.ticket import TicketColumns
from frontdesk.routing import Roster, route
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
            if gateway.roster is None or "contact_type" not in answer["labels"]:
                return answer
            return answer | {"agents": _agents(gateway.roster, answer["labels"]["contact_type"], asked)}
        # A model that answered before may have fewer heads than the recipe knows.
        heads = gateway.heads.get(recipe, HEADS[recipe])
        return {"model_id": None, "labels": withheld(heads, MODEL_UNAVAILABLE)}

    def withhold(complete: dict[str, Any]) -> dict[str, Any]:
        return {"model_id": complete["model_id"], "labels": withheld(tuple(complete["labels"]), HOLDOUT)}

    return Topic(recipe, "id", False, {"customer": "customer_id"}, manner, complete, withhold)


def _agents(roster: Roster, contact_type: dict[str, Any], asked: Asked) -> list[dict[str, Any]]:
    """Return who should take a ticket; the same case always goes to the same of several equals."""
    candidates = [(one["label"], one["confidence"]) for one in (contact_type, *contact_type["alternatives"])]
    return [vars(found) for found in route(candidates, roster, case=asked.case_id or repr(asked.fields))]
