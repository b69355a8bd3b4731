"""Zendesk.

Sources: developer.zendesk.com, "Verifying webhook authenticity" (signature and time stamp: base64 of the HMAC-SHA256 of
time stamp and body, without anything between), "Anatomy of a webhook request" (headers), "Ticket events" (JSON of the
events ``zen:event-type:ticket.*``), Ticketing API "Update Ticket" and "Add Tags".

Events of Zendesk carry no custom fields. A trigger's body is written by hand, so the one that we read is described in
``docs/desks.md``: ``{"event", "actor", "ticket": {"id", "subject", "description", "status", "tags", "fields"}}``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from frontdesk.serving.gateway.desks.desk import Change, Desk, Kind, Said
from frontdesk.serving.gateway.desks.outgoing import Outgoing
from frontdesk.serving.gateway.desks.payload import actors, at, by_id, case_id, word, words
from frontdesk.serving.gateway.desks.signatures import header, require_recent, require_signature

_CLOSED = {"solved", "closed"}
_EVENT = "zen:event-type:ticket."


class Zendesk(Desk):
    """See the module."""

    kind = "zendesk"

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """HMAC-SHA256 of time stamp and body, in base 64."""
        stamp = header(headers, "X-Zendesk-Webhook-Signature-Timestamp")
        given = header(headers, "X-Zendesk-Webhook-Signature")
        message = (stamp or "").encode("utf-8", "surrogatepass") + body
        require_signature(given, message, self.secrets, algorithm="sha256", form="base64")
        require_recent(stamp, now, self.configuration.window_seconds)

    def read(self, headers: Mapping[str, str], payload: dict[str, Any]) -> Said:
        """An event of Zendesk, or the body of a trigger."""
        event = str(payload.get("type", ""))
        ticket = payload.get("detail") if event.startswith(_EVENT) else payload.get("ticket")
        ticket = ticket if isinstance(ticket, dict) else {}
        tags = ticket.get("tags")
        fields = ticket.get("fields")
        return Said(
            kind=_kind(event, payload, ticket),
            case=case_id(ticket.get("id"), "ticket.id"),
            delivery=header(headers, "X-Zendesk-Webhook-Invocation-Id"),
            actors=actors(payload, ["actor", "detail.actor_id"]),
            tags=tuple(tags.split()) if isinstance(tags, str) else words(tags),  # a trigger writes them in one text
            fields={
                **by_id(ticket.get("custom_fields")),
                **(fields if isinstance(fields, dict) else {}),
                "subject": ticket.get("subject"),
                "body": ticket.get("description"),
                "channel": at(ticket, "via.channel"),
                "created_at": ticket.get("created_at"),
                "priority": ticket.get("priority"),
                "type": ticket.get("type"),
            },
            at=word(payload.get("time")) or word(ticket.get("updated_at")),
        )

    def credentials(self) -> dict[str, str]:
        """Basic authentication with an API token."""
        return {"Authorization": "Basic " + base64.b64encode(f"{self.account}/token:{self.token}".encode()).decode()}

    async def write(self, change: Change, desk: Outgoing) -> None:
        """Fields and note in one update, then the tags, which are added to those that are there."""
        ticket: dict[str, Any] = {}
        if change.fields:
            ticket["custom_fields"] = [{"id": _number(name), "value": value} for name, value in change.fields.items()]
        if change.note:
            ticket["comment"] = {"body": change.note, "public": False}
        if ticket:
            await desk.put(f"/api/v2/tickets/{change.case}.json", {"ticket": ticket})
        await desk.put(f"/api/v2/tickets/{change.case}/tags.json", {"tags": list(change.tags)})


def _kind(event: str, payload: dict[str, Any], ticket: dict[str, Any]) -> Kind:
    said = event.removeprefix(_EVENT) if event.startswith(_EVENT) else str(payload.get("event", ""))
    said = said.removeprefix("ticket.")
    if said == "created":
        return "opened"
    status = at(payload, "event.current") if event.startswith(_EVENT) else ticket.get("status")
    closed = isinstance(status, str) and status.lower() in _CLOSED
    return "closed" if closed and said in {"status_changed", "solved", "closed"} else "ignored"


def _number(name: str) -> int | str:
    return int(name) if name.isascii() and name.isdigit() else name
