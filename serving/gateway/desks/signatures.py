"""Webhook signatures: compared in constant time, against several secrets while one replaces another."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from frontdesk.errors import BadSignature

_SECONDS = re.compile(r"[0-9]{1,12}")


def signature(
    secret: bytes, message: bytes, *, algorithm: Literal["sha1", "sha256"], form: Literal["hex", "base64"]
) -> str:
    """Return the HMAC (RFC 2104) of a message as text."""
    made = hmac.new(secret, message, getattr(hashlib, algorithm))
    return made.hexdigest() if form == "hex" else base64.b64encode(made.digest()).decode()


def require_signature(
    given: str | None,
    message: bytes,
    secrets: Sequence[bytes],
    *,
    algorithm: Literal["sha1", "sha256"],
    form: Literal["hex", "base64"],
    prefix: str = "",
) -> None:
    """Check a signature against every secret; how long that takes says nothing of the right one.

    Raises:
        BadSignature: it is absent or made with none of the secrets.
    """
    if not given:
        raise BadSignature("the request is not signed")
    held = given.encode("utf-8", "surrogatepass")
    right = [
        hmac.compare_digest(held, f"{prefix}{signature(secret, message, algorithm=algorithm, form=form)}".encode())
        for secret in secrets
    ]
    if not any(right):
        raise BadSignature("the signature is not one of ours")


def require_recent(given: str | None, now: datetime, window: float) -> None:
    """Check a signed time stamp: seconds since 1970 or ISO 8601 with an offset.

    Raises:
        BadSignature: it is absent, unreadable, or further from now than ``window`` seconds.
    """
    moment = _moment(given or "")
    if moment is None or abs((now - moment).total_seconds()) > window:
        raise BadSignature("the signed time is absent or not within the accepted window")


def _moment(text: str) -> datetime | None:
    try:
        if _SECONDS.fullmatch(text):
            return datetime.fromtimestamp(int(text), UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo else None


def header(headers: Mapping[str, str], name: str) -> str | None:
    """Return a header by its documented name; ``headers`` has lower-case names."""
    return headers.get(name.lower())
