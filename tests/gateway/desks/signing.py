"""The golden requests, and how each desk signs one: written from its documentation, apart from the code under test."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from frontdesk.serving.gateway.desks import KINDS, Desk
from frontdesk.serving.gateway.desks.configuration import DeskConfiguration

SECRET = b"a-secret-of-the-desk"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NAMES = sorted(KINDS)
TIMED = ["chatwoot", "generic", "zendesk"]


def fixture(name: str) -> dict[str, Any]:
    """Return the golden requests of a desk."""
    return json.loads((Path(__file__).parent / f"{name}.json").read_text("utf-8"))


def requests() -> list[tuple[str, dict[str, Any]]]:
    """Return every golden request with its desk."""
    return [(name, request) for name in NAMES for request in fixture(name)["requests"]]


def desk(name: str, *secrets: bytes, token: str = "", **more: Any) -> Desk:
    """Return a desk configured as in its golden file."""
    configuration = DeskConfiguration.model_validate({**fixture(name)["configuration"], **more})
    return KINDS[configuration.kind](name, configuration, secrets or (SECRET,), token)


def signed(
    name: str, headers: dict[str, str], body: bytes, secret: bytes = SECRET, at: datetime = NOW
) -> dict[str, str]:
    """Return the headers of a request with its signature, in lower case."""
    seconds, iso = str(int(at.timestamp())), at.strftime("%Y-%m-%dT%H:%M:%SZ")

    def mac(message: bytes, algorithm: str) -> bytes:
        return hmac.new(secret, message, getattr(hashlib, algorithm)).digest()

    made = {
        "zendesk": lambda: {
            "X-Zendesk-Webhook-Signature": base64.b64encode(mac(iso.encode() + body, "sha256")).decode(),
            "X-Zendesk-Webhook-Signature-Timestamp": iso,
        },
        "zammad": lambda: {"X-Hub-Signature": "sha1=" + mac(body, "sha1").hex()},
        "chatwoot": lambda: {
            "X-Chatwoot-Signature": "sha256=" + mac(seconds.encode() + b"." + body, "sha256").hex(),
            "X-Chatwoot-Timestamp": seconds,
        },
        "freescout": lambda: {"X-FreeScout-Signature": base64.b64encode(mac(body, "sha1")).decode()},
        "generic": lambda: {
            "X-Frontdesk-Signature": "sha256=" + mac(seconds.encode() + b"." + body, "sha256").hex(),
            "X-Frontdesk-Timestamp": seconds,
        },
    }[name]()
    return {key.lower(): value for key, value in {**headers, **made}.items()}


def as_bytes(body: Any) -> bytes:
    """Return a body as a desk would send it."""
    return json.dumps(body, ensure_ascii=False).encode()
