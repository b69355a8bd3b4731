"""JWTs of an identity provider: the right issuer, audience, key and algorithm, or nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fastapi.testclient import TestClient
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from frontdesk.database import open_database
from frontdesk.errors import UsageError
from frontdesk.serving.gateway.app import create_app
from frontdesk.serving.gateway.settings import GatewaySettings
from frontdesk.serving.gateway.tokens import Tokens

RSA, OTHER = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
PUBLIC = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def chosen(tmp_path: Path) -> GatewaySettings:
    keys = [
        json.loads(RSAAlgorithm.to_jwk(RSA.public_key())) | {"kid": "rsa", "alg": "RS256", "use": "sig"},
        json.loads(ECAlgorithm.to_jwk(EC.public_key())) | {"kid": "ec", "alg": "ES256", "use": "sig"},
    ]
    (tmp_path / "keys.json").write_text(json.dumps({"keys": keys}))
    return GatewaySettings(jwks=str(tmp_path / "keys.json"), jwt_issuer="https://id.example", jwt_audience="frontdesk")


def token(key: Any = RSA, algorithm: str = "RS256", kid: str | None = "rsa", **changes: Any) -> str:
    claims = {
        "iss": "https://id.example", "aud": "frontdesk", "sub": "agent-7", "exp": time.time() + 60,
        "scope": "lines openid tickets",
    } | changes  # fmt: skip
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm, headers={} if kid is None else {"kid": kid})


def test_good_tokens(chosen: GatewaySettings) -> None:
    tokens = Tokens(chosen)
    for text in (token(), token(EC, "ES256", "ec"), token(scope=None, scp=["tickets", "lines"])):
        caller = tokens.check(text)
        assert caller is not None
        assert (caller.client, caller.scopes) == ("jwt:agent-7", {"tickets", "lines"})


def hs256_with_the_public_key() -> str:
    """Sign with the public key as a shared secret, by hand: the library refuses to."""
    import base64
    import hashlib
    import hmac

    def part(content: dict[str, Any]) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=")

    claims = {"iss": "https://id.example", "aud": "frontdesk", "sub": "x", "exp": time.time() + 60}
    body = part({"alg": "HS256", "kid": "rsa"}) + b"." + part(claims)
    return (body + b"." + base64.urlsafe_b64encode(hmac.digest(PUBLIC, body, hashlib.sha256)).rstrip(b"=")).decode()


@pytest.mark.parametrize(
    "text",
    [
        token(iss="https://evil.example"),
        token(aud="another"),
        token(exp=time.time() - 120),
        token(nbf=time.time() + 600),
        token(sub=None),
        token(sub="a\0b"),
        token(sub="x" * 200),
        token(exp=None),
        token(OTHER),
        token(kid=None),
        token(kid="unknown"),
        token(kid="ec"),
        token(None, "none"),
        hs256_with_the_public_key(),
        token()[:-2],
        "a.b.c",
        "",
    ],
)
def test_bad_tokens(chosen: GatewaySettings, text: str) -> None:
    assert Tokens(chosen).check(text) is None


def test_a_token_opens_routes_by_its_scopes(chosen: GatewaySettings, tmp_path: Path) -> None:
    app = create_app(chosen, open_database(f"sqlite:///{tmp_path / 'desk.db'}"), {})
    with TestClient(app) as client:

        def get(text: str) -> int:
            return client.get("/v1/lines/x/config", headers={"authorization": f"Bearer {text}"}).status_code

        assert get(token()) == 200
        assert get(token(scope="tickets")) == 403
        assert get(token(OTHER)) == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"jwt_issuer": None},
        {"jwt_audience": ""},
        {"jwt_algorithms": ("RS256", "HS256")},
        {"jwks": "http://id.example/keys"},
        {"jwks": "nowhere.json"},
    ],
)
def test_settings_that_would_let_anybody_in(chosen: GatewaySettings, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Tokens(chosen.model_copy(update=changes))
