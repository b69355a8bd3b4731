"""Zammad.

Sources: zammad-admin-documentation ``manage/webhook/payload.rst`` (the headers ``X-Hub-Signature``,
``X-Zammad-Delivery`` and the default JSON of ``ticket`` and ``article``), ``app/jobs/trigger_webhook_job.rb`` of Zammad
(the signature is ``sha1=`` and the HMAC-SHA1 of the body in hexadecimal digits), docs.zammad.org "Ticket" and "Tags".

No time is signed: a replay is kept out by the identifier of the delivery, which we remember, and by its content.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from frontdesk.serving.gateway.desks.desk import Change, Desk, Kind, Said
from frontdesk.serving.gateway.desks.outgoing import Outgoing
from frontdesk.serving.gateway.desks.payload import actors, case_id, plain, word, words
from frontdesk.serving.gateway.desks.signatures import header, require_signature

_CLOSED = {"closed", "merged"}
_ACTORS = ("updated_by_id", "updated_by.login", "updated_by.email", "updated_by")


class Zammad(Desk):
    """See the module."""

    kind = "zammad"

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """HMAC-SHA1 of the body in hexadecimal digits."""
        del now
        given = header(headers, "X-Hub-Signature")
        require_signature(given, body, self.secrets, algorithm="sha1", form="hex", prefix="sha1=")

    def read(self, headers: Mapping[str, str], payload: dict[str, Any]) -> Said:
        """The default JSON; the object's own attributes stand beside Zammad's in ``ticket``."""
        ticket = payload.get("ticket")
        ticket = ticket if isinstance(ticket, dict) else {}
        article = payload.get("article")
        article = article if isinstance(article, dict) else {}
        return Said(
            kind=_kind(ticket, article),
            case=case_id(ticket.get("id"), "ticket.id"),
            delivery=header(headers, "X-Zammad-Delivery"),
            actors=actors(ticket, _ACTORS),
            tags=words(ticket.get("tags")),
            fields={
                **ticket,
                "subject": ticket.get("title"),
                "body": article.get("body"),
                "channel": article.get("type"),
            },
            at=word(ticket.get("updated_at")),
        )

    def credentials(self) -> dict[str, str]:
        """Token authentication."""
        return {"Authorization": f"Token token={self.token}"}

    async def write(self, change: Change, desk: Outgoing) -> None:
        """Attributes and an internal article in one update, then each tag."""
        ticket: dict[str, Any] = dict(change.fields)
        if change.note:
            ticket["article"] = {
                "subject": "Frontdesk",
                "body": change.note,
                "content_type": "text/plain",
                "type": "note",
                "internal": True,
            }
        if ticket:
            await desk.put(f"/api/v1/tickets/{change.case}", ticket)
        for tag in change.tags:
            await desk.post("/api/v1/tags/add", {"item": tag, "object": "Ticket", "o_id": int(change.case)})


def _kind(ticket: dict[str, Any], article: dict[str, Any]) -> Kind:
    """A case is opened by a customer's first article; the state says when it is closed."""
    state = plain(ticket.get("state"))
    if isinstance(state, str) and state.lower() in _CLOSED:
        return "closed"
    first = ticket.get("article_count") == 1 and plain(article.get("sender")) in ("Customer", None)
    return "opened" if first and article.get("internal") is not True else "ignored"
