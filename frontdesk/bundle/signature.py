"""Signatures of bundles, in Sigstore's bundle format with a key of one's own: what ``cosign`` writes and reads offline.

The manifest of a bundle names the digest of every file, so a signature over the manifest's bytes is one over the whole
folder. It lies beside the manifest and is in no digest: a signed bundle has the same `model_id` as before. A key is
ECDSA on P-256 with SHA-256, the default of ``cosign``; what its public half says is a PEM file, so that several keys
may stand in one file while one replaces another.
"""

from __future__ import annotations

import base64
import binascii
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from frontdesk.bundle.folder import SIGNATURE, local_copy, signature_at, verify_bundle
from frontdesk.errors import UntrustedBundle, UsageError
from frontdesk.storage import MANIFEST, Store, canonical_json

_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PUBLIC = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)
_KEY_REMEDY = "Name a PEM file of an ECDSA P-256 key, see docs/trust.md"


def sign_bundle(location: str, key_file: str, password_file: str | None = None) -> tuple[dict[str, Any], str]:
    """Sign a bundle, local or ``s3://``, after a check of every digest; a signature that is there is replaced.

    Returns:
        The manifest, and the id of the key.

    Raises:
        UsageError: the key cannot be used.
        BundleError: the bundle is incomplete or altered; nothing was written.
        StorageError: the store did not take the signature.
    """
    key = read_private_key(key_file, password_file)
    folder = local_copy(location)
    manifest = verify_bundle(folder)
    Store(location.removeprefix("file://")).put(sign((folder / MANIFEST).read_bytes(), key), SIGNATURE)
    return manifest, key_id(key.public_key())


def checked_bundle(location: str, key_file: str | None) -> tuple[dict[str, Any], str | None]:
    """Check every digest of a bundle and, with a file of keys, that one of them signed it.

    Returns:
        The manifest, and the id of the key that signed it; None without a file of keys.

    Raises:
        UsageError: the file of keys cannot be used.
        UntrustedBundle: none of the keys signed the bundle.
        BundleError: it is incomplete or altered.
    """
    keys = None if key_file is None else read_public_keys(key_file)
    folder = local_copy(location)
    manifest = verify_bundle(folder)
    if keys is None:
        return manifest, None
    return manifest, check((folder / MANIFEST).read_bytes(), signature_at(location), keys)


def sign(manifest: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the signature of a manifest: the same bytes for the same manifest and key."""
    digest = sha256(manifest).digest()
    signature = key.sign(manifest, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return canonical_json(
        {
            "mediaType": _MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": key_id(key.public_key())}},
            "messageSignature": {
                "messageDigest": {"algorithm": "SHA2_256", "digest": base64.b64encode(digest).decode()},
                "signature": base64.b64encode(signature).decode(),
            },
        }
    )


def check(manifest: bytes, signature: bytes | None, keys: tuple[ec.EllipticCurvePublicKey, ...]) -> str:
    """Return the id of the key that signed a manifest.

    Args:
        manifest: its bytes.
        signature: as `sign` or ``cosign sign-blob --bundle`` made it; None where there is none.
        keys: those that are trusted.

    Raises:
        UntrustedBundle: none of the keys signed it.
    """
    if signature is None:
        raise UntrustedBundle("the bundle is not signed", where=MANIFEST, remedy="Sign it: frontdesk sign BUNDLE")
    try:
        content = orjson.loads(signature)
        signed = base64.b64decode(content["messageSignature"]["signature"], validate=True)
        hint = content["verificationMaterial"]["publicKey"]["hint"]
    except (orjson.JSONDecodeError, binascii.Error, KeyError, TypeError, ValueError) as error:
        words = "the bundle's signature cannot be read"
        raise UntrustedBundle(words, where=MANIFEST, remedy="Sign it again: frontdesk sign BUNDLE") from error
    for key in keys:
        try:
            key.verify(signed, manifest, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            continue
        return key_id(key)
    if hint in map(key_id, keys):
        raise UntrustedBundle("the manifest is not the one that was signed", where=MANIFEST, remedy="Do not use it")
    words = "the bundle was signed by a key that is not trusted here"
    raise UntrustedBundle(words, where=MANIFEST, remedy="Add its public key to FRONTDESK_VERIFY_KEY_FILE, or refuse it")


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """Return the name of a key: the SHA-256 of its encoded form in base64, which ``cosign`` gives as a hint too."""
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(sha256(encoded).digest()).decode()


def read_private_key(path: str, password_file: str | None = None) -> ec.EllipticCurvePrivateKey:
    """Read the key that signs. Raises `UsageError`, never with what a file holds."""
    where = "FRONTDESK_SIGNING_KEY_FILE"
    password = None
    if password_file is not None:
        password = _read(password_file, "FRONTDESK_SIGNING_PASSWORD_FILE").rstrip(b"\r\n")
    try:
        key = serialization.load_pem_private_key(_read(path, where), password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        words = "is no private key in PEM, or its password is another"
        raise UsageError(words, where=where, remedy=_KEY_REMEDY) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UsageError("is a key of another kind", where=where, remedy=_KEY_REMEDY)
    return key


def read_public_keys(path: str) -> tuple[ec.EllipticCurvePublicKey, ...]:
    """Read the keys that are trusted: one PEM block after the other. Raises `UsageError`, also for a file of none."""
    where = "FRONTDESK_VERIFY_KEY_FILE"
    found = []
    for block in _PUBLIC.findall(_read(path, where)):
        try:
            key: Any = serialization.load_pem_public_key(block)
        except (ValueError, UnsupportedAlgorithm):
            raise UsageError("holds a public key that cannot be read", where=where, remedy=_KEY_REMEDY) from None
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise UsageError("holds a key of another kind", where=where, remedy=_KEY_REMEDY)
        found.append(key)
    if not found:
        raise UsageError("holds no public key", where=where, remedy=_KEY_REMEDY)
    return tuple(found)


def _read(path: str, where: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"the file cannot be read ({type(error).__name__})", where=where) from None
