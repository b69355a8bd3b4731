"""Chatwoot.

Sources: Chatwoot's user guide "How to use webhooks" and ``webhook-events.md`` of chatwoot/docs (the JSON of an event),
``lib/webhooks/trigger.rb`` of Chatwoot 4 (``X-Chatwoot-Signature: sha256=<hex>`` is the HMAC-SHA256 of
``<X-Chatwoot-Timestamp>.<body>``, ``X-Chatwoot-Delivery`` identifies a delivery), the application API "Conversation
labels", "Update custom attributes" and "Create new message".

Chatwoot calls again for what we write (issue 10632) and sometimes twice for one thing (issue 7402): both are kept out
here by our account's number, by the label, and by the content.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from frontdesk.serving.gateway.desks.desk import Change, Desk, Kind, Said
from frontdesk.serving.gateway.desks.outgoing import Outgoing
from frontdesk.serving.gateway.desks.payload import actors, at, case_id, word, words
from frontdesk.serving.gateway.desks.signatures import header, require_recent, require_signature


class Chatwoot(Desk):
    """See the module."""

    kind = "chatwoot"

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """HMAC-SHA256 of time stamp, full stop and body, in hexadecimal digits."""
        stamp = header(headers, "X-Chatwoot-Timestamp")
        message = (stamp or "").encode("utf-8", "surrogatepass") + b"." + body
        given = header(headers, "X-Chatwoot-Signature")
        require_signature(given, message, self.secrets, algorithm="sha256", form="hex", prefix="sha256=")
        require_recent(stamp, now, self.configuration.window_seconds)

    def read(self, headers: Mapping[str, str], payload: dict[str, Any]) -> Said:
        """A message of a customer opens, the status ``resolved`` closes; everything else is ignored."""
        message = payload.get("event") in ("message_created", "message_updated")
        found = payload.get("conversation") if message else payload
        talk: dict[str, Any] = found if isinstance(found, dict) else {}
        own = talk.get("custom_attributes")
        return Said(
            kind=_kind(payload),
            case=case_id(talk.get("id"), "conversation.id"),
            delivery=header(headers, "X-Chatwoot-Delivery"),
            actors=actors(payload, _sender(payload)),
            tags=words(talk.get("labels")),
            fields={
                **(own if isinstance(own, dict) else {}),
                "subject": at(talk, "additional_attributes.mail_subject"),
                "body": payload.get("content"),
                "channel": talk.get("channel"),
                "created_at": payload.get("created_at"),
            },
            at=word(payload.get("created_at")) if message else word(talk.get("updated_at")),
        )

    def credentials(self) -> dict[str, str]:
        """An agent's access token."""
        return {"api_access_token": self.token}

    async def write(self, change: Change, desk: Outgoing) -> None:
        """Attributes and labels are replaced as a whole, so they are read first; then the private note."""
        place = f"/api/v1/accounts/{self.account}/conversations/{change.case}"
        if change.fields:
            held = at(await desk.get(place), "custom_attributes")
            merged = {**(held if isinstance(held, dict) else {}), **change.fields}
            await desk.post(f"{place}/custom_attributes", {"custom_attributes": merged})
        if change.note:
            note = {"content": change.note, "message_type": "outgoing", "private": True}
            await desk.post(f"{place}/messages", note)
        labels = words(at(await desk.get(f"{place}/labels"), "payload"))
        await desk.post(f"{place}/labels", {"labels": list(dict.fromkeys((*labels, *change.tags)))})


def _kind(payload: dict[str, Any]) -> Kind:
    event = payload.get("event")
    if event == "message_created" and payload.get("message_type") in ("incoming", 0):
        return "ignored" if payload.get("private") is True else "opened"
    return "closed" if event == "conversation_status_changed" and payload.get("status") == "resolved" else "ignored"


def _sender(payload: dict[str, Any]) -> tuple[str, ...]:
    """A customer's number can be that of an agent, so only agents are compared with our account."""
    return ("performer.id",) if at(payload, "sender.type") in ("contact", None) else ("sender.id", "performer.id")
