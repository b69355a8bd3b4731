"""What features are about. A join key is text: tables write keys as `frontdesk.preprocessing.encoding.level` does."""

from __future__ import annotations

from frontdesk.feature_repo.sdk import Entity, ValueType


def _entity(name: str, description: str) -> Entity:
    return Entity(name=name, join_keys=[name], value_type=ValueType.STRING, description=description)


CUSTOMER = _entity("customer", "Who writes or calls.")
OPERATOR = _entity("operator", "Who answers.")
LINE = _entity("line", "The queue that a contact comes in by.")
TICKET = _entity("ticket", "One matter of a customer, from its first contact to its closing.")

ENTITIES = (CUSTOMER, OPERATOR, LINE, TICKET)
