"""Any desk or script that can sign a JSON body as we describe it here, which is also our documentation of the format.

Headers: ``X-Frontdesk-Timestamp`` (seconds since 1970), ``X-Frontdesk-Signature: sha256=<hex>`` with the HMAC-SHA256 of
``<timestamp>.<body>``, ``X-Frontdesk-Delivery`` (any unique text). Body: ``{"event": "opened" | "closed", "case",
"fields": {...}, "tags": [...], "actor", "at"}``. Answers are sent the same way, signed with the token, to the address
of `write_back`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from frontdesk.serving.gateway.desks.desk import Change, Desk, Said
from frontdesk.serving.gateway.desks.outgoing import Outgoing
from frontdesk.serving.gateway.desks.payload import actors, at, case_id, word, words
from frontdesk.serving.gateway.desks.signatures import header, require_recent, require_signature, signature

_STAMP, _SIGNATURE, _DELIVERY = "X-Frontdesk-Timestamp", "X-Frontdesk-Signature", "X-Frontdesk-Delivery"


class Generic(Desk):
    """See the module."""

    kind = "generic"

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """HMAC-SHA256 of time stamp, full stop and body, in hexadecimal digits."""
        stamp = header(headers, _STAMP)
        message = (stamp or "").encode("utf-8", "surrogatepass") + b"." + body
        require_signature(
            header(headers, _SIGNATURE), message, self.secrets, algorithm="sha256", form="hex", prefix="sha256="
        )
        require_recent(stamp, now, self.configuration.window_seconds)

    def read(self, headers: Mapping[str, str], payload: dict[str, Any]) -> Said:
        """The event says what it is."""
        event, fields = payload.get("event"), payload.get("fields")
        return Said(
            kind="opened" if event == "opened" else "closed" if event == "closed" else "ignored",
            case=case_id(payload.get("case"), "case"),
            delivery=header(headers, _DELIVERY),
            actors=actors(payload, ["actor"]),
            tags=words(payload.get("tags")),
            fields=fields if isinstance(fields, dict) else {},
            at=word(at(payload, "at")),
        )

    def credentials(self) -> dict[str, str]:
        """None: every request is signed by itself."""
        return {}

    async def write(self, change: Change, desk: Outgoing) -> None:
        """One signed request."""
        body = orjson.dumps(
            {"case": change.case, "fields": change.fields, "tags": list(change.tags), "note": change.note}
        )
        stamp = str(int(time.time()))
        made = signature(self.token.encode(), f"{stamp}.".encode() + body, algorithm="sha256", form="hex")
        await desk.post_bytes("", body, {_STAMP: stamp, _SIGNATURE: f"sha256={made}"})
