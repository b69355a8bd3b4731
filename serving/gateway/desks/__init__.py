"""The desks that call us by webhook: what each signs, says and lets us write, behind one interface."""

from __future__ import annotations

from frontdesk.serving.gateway.desks.chatwoot import Chatwoot
from frontdesk.serving.gateway.desks.desk import Change, Desk, Event
from frontdesk.serving.gateway.desks.freescout import FreeScout
from frontdesk.serving.gateway.desks.generic import Generic
from frontdesk.serving.gateway.desks.zammad import Zammad
from frontdesk.serving.gateway.desks.zendesk import Zendesk

KINDS: dict[str, type[Desk]] = {
    "chatwoot": Chatwoot,
    "freescout": FreeScout,
    "generic": Generic,
    "zammad": Zammad,
    "zendesk": Zendesk,
}
"""The adapters by the ``kind`` of a desk in the configuration."""

__all__ = ["KINDS", "Change", "Desk", "Event"]
