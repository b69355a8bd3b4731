"""Log-in to the console: a signed cookie that names a key, and a token that every form carries.

The cookie holds no secret: the key's prefix, the end, a random word and their HMAC. Whether the key is still good is
asked for every page, so a revoked key ends its sessions.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from frontdesk.database.keys import list_keys, verify_key
from frontdesk.errors import Forbidden, Unauthorised
from frontdesk.serving.gateway.state import Gateway

COOKIE = "frontdesk_console"
SCOPE = "console"
HOURS = 8


@dataclass(frozen=True)
class Session:
    """Who looks at the console.

    Attributes:
        client: whose key it is.
        csrf: what a form of this session must send.
        scopes: of the key.
    """

    client: str
    csrf: str
    scopes: tuple[str, ...] = ()


class Sessions:
    """Makes and reads cookies.

    Args:
        secret: the key of the signatures; several gateways behind one name need the same.
    """

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = secret or secrets.token_bytes(32)

    async def log_in(self, gateway: Gateway, text: str, response: Response, *, secure: bool) -> None:
        """Check a key and set the cookie. Raises `Unauthorised`, `Forbidden`."""
        key = await gateway.run(verify_key, gateway.database, text)
        if key is None:
            raise Unauthorised("this key opens nothing")
        if SCOPE not in key.scopes:
            raise Forbidden(f"the key lacks the scope {SCOPE}")
        payload = f"{key.prefix}.{int(time.time()) + HOURS * 3600}.{secrets.token_urlsafe(16)}"
        value = f"{payload}.{self._signature('cookie', payload)}"
        response.set_cookie(
            COOKIE, value, max_age=HOURS * 3600, path="/console", httponly=True, samesite="strict", secure=secure
        )

    async def of(self, gateway: Gateway, request: Request) -> Session | None:
        """Return the session of a request, None where there is none that is good."""
        payload, _, given = request.cookies.get(COOKIE, "").rpartition(".")
        if not payload or not hmac.compare_digest(given.encode(), self._signature("cookie", payload).encode()):
            return None
        prefix, _, rest = payload.partition(".")
        if int(rest.partition(".")[0]) < time.time():
            return None
        now = datetime.now(UTC)
        keys = await gateway.run(list_keys, gateway.database)
        key = next((one for one in keys if one.prefix == prefix and one.is_good(now) and SCOPE in one.scopes), None)
        return None if key is None else Session(key.client, self._signature("form", payload), key.scopes)

    def require_form(self, session: Session, form: Mapping[str, str]) -> None:
        """Check that a form comes from a page of the same session. Raises `Forbidden`."""
        if not hmac.compare_digest(form.get("csrf", "").encode(), session.csrf.encode()):
            raise Forbidden("the form is not of this session", remedy="Open the page again")

    def _signature(self, purpose: str, payload: str) -> str:
        return hmac.new(self._secret, f"{purpose}\0{payload}".encode(), hashlib.sha256).hexdigest()


def require_same_site(request: Request) -> None:
    """Refuse a form that another site's page sent. Raises `Forbidden`."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Forbidden("the form comes from another site")
