"""JSON Web Tokens of an identity provider: the only door to PyJWT.

Issuer, audience and algorithms are fixed by settings; a token's own header only names the key.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import jwt
from jwt import PyJWKClient, PyJWKSet

from frontdesk.database.keys import SCOPES
from frontdesk.errors import UsageError
from frontdesk.logs import event
from frontdesk.serving.gateway.callers import Caller
from frontdesk.serving.gateway.settings import GatewaySettings

_LEEWAY_SECONDS = 30
_KEYS_SECONDS = 300
_LONGEST_SUBJECT = 190
_log = logging.getLogger(__name__)


class Tokens:
    """Checks JWTs. Blocks where public keys are fetched: call it in a thread.

    Raises:
        UsageError: issuer or audience are not set, or an algorithm is one of shared secrets.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        if not settings.jwt_issuer or not settings.jwt_audience:
            raise UsageError("JWTs need FRONTDESK_GATEWAY_JWT_ISSUER and FRONTDESK_GATEWAY_JWT_AUDIENCE", where="jwks")
        if weak := [name for name in settings.jwt_algorithms if name.upper().startswith(("HS", "NONE"))]:
            raise UsageError(f"the algorithm {weak[0]} is not one of public keys", where="jwt_algorithms")
        source = settings.jwks or ""
        if "://" in source and not source.startswith("https://"):
            raise UsageError("public keys come from a file or over https", where="jwks")
        self._settings = settings
        self._remote = PyJWKClient(source, lifespan=_KEYS_SECONDS, timeout=3) if source.startswith("https://") else None
        self._file = Path(source)
        self._keys: PyJWKSet | None = None
        self._read_at = 0.0
        self._lock = threading.Lock()
        if self._remote is None:
            self._local_keys()

    def check(self, token: str) -> Caller | None:
        """Return who a token speaks for, None where it is bad."""
        try:
            claims = jwt.decode(
                token,
                self._key(token),
                algorithms=list(self._settings.jwt_algorithms),
                issuer=self._settings.jwt_issuer,
                audience=self._settings.jwt_audience,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            event(_log, "token_refused", cause=type(error).__name__)
            return None
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or not subject.isprintable():
            return None
        named = claims.get("scope", claims.get("scp", ""))
        scopes = named.split() if isinstance(named, str) else named if isinstance(named, list) else []
        return Caller(f"jwt:{subject}", frozenset(SCOPES) & {str(scope) for scope in scopes}, claims["exp"])

    def _key(self, token: str) -> jwt.PyJWK:
        if self._remote is not None:
            return self._remote.get_signing_key_from_jwt(token)
        wanted = jwt.get_unverified_header(token).get("kid")
        for key in self._local_keys().keys:
            if key.key_id == wanted:
                return key
        raise jwt.InvalidKeyError("no such key")

    def _local_keys(self) -> PyJWKSet:
        with self._lock:
            if self._keys is None or time.monotonic() - self._read_at > _KEYS_SECONDS:
                try:
                    self._keys = PyJWKSet.from_json(self._file.read_text("utf-8"))
                except (OSError, ValueError, jwt.PyJWTError) as error:
                    if self._keys is None:
                        words = f"the public keys cannot be read ({type(error).__name__})"
                        raise UsageError(words, where="FRONTDESK_GATEWAY_JWKS") from error
                    event(_log, "public_keys_unreadable", level=logging.WARNING)
                self._read_at = time.monotonic()
            return self._keys
