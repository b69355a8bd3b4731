"""FreeScout with its module "API & Webhooks".

Sources: api-docs.freescout.net "Webhooks" (``X-FreeScout-Event``; ``X-FreeScout-Signature`` is the base 64 of the
HMAC-SHA1 of the body; the secret is shown in the module's settings, it is the MD5 of the application key and
``webhook_key``), "Conversations", "Update Conversation", "Create Thread", "Update Tags", "Update Custom Fields".

Neither a time nor an identifier of the delivery is signed: the digest of the body stands for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from frontdesk.serving.gateway.desks.desk import Change, Desk, Kind, Said
from frontdesk.serving.gateway.desks.outgoing import Outgoing
from frontdesk.serving.gateway.desks.payload import actors, at, by_id, case_id, word, words
from frontdesk.serving.gateway.desks.signatures import header, require_signature


class FreeScout(Desk):
    """See the module."""

    kind = "freescout"

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """HMAC-SHA1 of the body in base 64."""
        del now
        require_signature(header(headers, "X-FreeScout-Signature"), body, self.secrets, algorithm="sha1", form="base64")

    def read(self, headers: Mapping[str, str], payload: dict[str, Any]) -> Said:
        """A conversation with its threads, newest first."""
        event = header(headers, "X-FreeScout-Event") or ""
        threads = at(payload, "_embedded.threads")
        held = [thread for thread in threads if isinstance(thread, dict)] if isinstance(threads, list) else []
        asked = [thread for thread in held if thread.get("type") == "customer"]
        first = asked[-1] if asked else {}
        return Said(
            kind=_kind(event, payload),
            case=case_id(payload.get("id"), "id"),
            delivery=None,
            actors=actors(payload, ["updatedBy.id", "closedByUser.id" if event == "convo.status" else "user.id"]),
            tags=words(at(payload, "_embedded.tags")) or words(payload.get("tags")),
            fields={
                **by_id(payload.get("customFields"), names=("id", "name")),
                "subject": payload.get("subject"),
                "body": first.get("body") or payload.get("preview"),
                "channel": payload.get("type"),
                "created_at": payload.get("createdAt"),
            },
            at=word(payload.get("updatedAt")),
        )

    def credentials(self) -> dict[str, str]:
        """The API key."""
        return {"X-FreeScout-API-Key": self.token}

    async def write(self, change: Change, desk: Outgoing) -> None:
        """Fields, a note, then the tags: they are replaced as a whole, so they are read first."""
        place = f"/api/conversations/{change.case}"
        if change.fields:
            fields = [{"id": int(name), "value": value} for name, value in change.fields.items()]
            await desk.put(f"{place}/custom_fields", {"customFields": fields})
        if change.note:
            user = {"user": int(self.account)} if self.account else {}
            await desk.post(f"{place}/threads", {"type": "note", "text": change.note, **user})
        tags = words(at(await desk.get(place), "_embedded.tags"))
        await desk.put(f"{place}/tags", {"tags": list(dict.fromkeys((*tags, *change.tags)))})


def _kind(event: str, payload: dict[str, Any]) -> Kind:
    if event == "convo.created":
        return "opened"
    return "closed" if event == "convo.status" and payload.get("status") == "closed" else "ignored"
