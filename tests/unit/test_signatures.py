"""Is a bundle opened only if a trusted key signed these very bytes, and do others read and make the signature too?"""

from __future__ import annotations

import base64
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from frontdesk.bundle import Bundle, manifest_at, update_bundle, verify_bundle
from frontdesk.bundle.folder import SIGNATURE
from frontdesk.bundle.signature import sign_bundle
from frontdesk.cli.main import app
from frontdesk.deployment import current, deploy
from frontdesk.errors import BundleError, UntrustedBundle, UsageError
from frontdesk.fusion import fuse_network
from frontdesk.registry import Registry
from frontdesk.serving.gateway.console.bundles import shown_bundles
from frontdesk.storage import MANIFEST, Store
from tests.bundles import fused
from tests.s3_server import S3
from tests.signing_keys import KeyPair, Trust, key_pair, openssl
from tests.small_network import small_spec, write_network

SPEC = small_spec()
Keys = tuple[KeyPair, KeyPair]


@pytest.fixture(scope="module")
def unsigned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    return fuse_network(write_network(folder / "network", SPEC), SPEC, "snapshot1", folder / "bundle")


@pytest.fixture
def bundle(unsigned: Path, signing_keys: Keys, tmp_path: Path) -> Path:
    """A bundle signed by the first key."""
    folder = shutil.copytree(unsigned, tmp_path / "bundle")
    sign_bundle(str(folder), str(signing_keys[0].private))
    return folder


def signature_of(bundle: Path) -> bytes:
    return base64.b64decode(orjson.loads((bundle / SIGNATURE).read_bytes())["messageSignature"]["signature"])


def with_signature(bundle: Path, signature: bytes) -> None:
    content = orjson.loads((bundle / SIGNATURE).read_bytes())
    content["messageSignature"]["signature"] = base64.b64encode(signature).decode()
    (bundle / SIGNATURE).write_bytes(orjson.dumps(content))


def command(*arguments: str | Path) -> tuple[int, dict]:
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, orjson.loads(result.output)


def test_openssl_verifies_the_signature(bundle: Path, signing_keys: Keys, tmp_path: Path) -> None:
    (tmp_path / "raw.sig").write_bytes(signature_of(bundle))
    for pair, expected in zip(signing_keys, (0, 1), strict=True):
        asked = ("dgst", "-sha256", "-verify", pair.public, "-signature", tmp_path / "raw.sig", bundle / MANIFEST)
        assert openssl(*asked, check=False).returncode == expected


def test_a_signature_by_openssl_is_trusted(bundle: Path, signing_keys: Keys, tmp_path: Path, trust: Trust) -> None:
    openssl("dgst", "-sha256", "-sign", signing_keys[1].private, "-out", tmp_path / "raw.sig", bundle / MANIFEST)
    with_signature(bundle, (tmp_path / "raw.sig").read_bytes())
    trust.use(verify=signing_keys[1].public)
    assert Bundle.load(bundle).recipe == "ticket"


def test_the_form_is_that_of_a_sigstore_bundle_with_a_key(bundle: Path, signing_keys: Keys) -> None:
    content = orjson.loads((bundle / SIGNATURE).read_bytes())
    assert content["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    digest = sha256((bundle / MANIFEST).read_bytes()).digest()
    assert content["messageSignature"]["messageDigest"] == {
        "algorithm": "SHA2_256",
        "digest": base64.b64encode(digest).decode(),
    }
    encoded = openssl("pkey", "-pubin", "-in", signing_keys[0].public, "-outform", "DER").stdout
    hint = content["verificationMaterial"]["publicKey"]["hint"]
    assert hint == base64.b64encode(sha256(encoded).digest()).decode()


@pytest.mark.skipif(shutil.which("cosign") is None, reason="there is no cosign")
def test_cosign_verifies_ours_and_we_verify_what_cosign_signs(
    bundle: Path, signing_keys: Keys, tmp_path: Path, trust: Trust
) -> None:
    asked = ["cosign", "verify-blob", "--insecure-ignore-tlog=true", "--bundle", bundle / SIGNATURE, bundle / MANIFEST]
    assert subprocess.run([*asked, "--key", signing_keys[0].public], capture_output=True).returncode == 0
    assert subprocess.run([*asked, "--key", signing_keys[1].public], capture_output=True).returncode != 0


def test_signing_changes_nothing_else(unsigned: Path, bundle: Path, signing_keys: Keys) -> None:
    assert (bundle / MANIFEST).read_bytes() == (unsigned / MANIFEST).read_bytes()
    before = (bundle / SIGNATURE).read_bytes()
    sign_bundle(str(bundle), str(signing_keys[0].private))
    assert (bundle / SIGNATURE).read_bytes() == before, "the same manifest and key give the same signature"
    assert verify_bundle(bundle)["model_id"] == manifest_at(str(unsigned))["model_id"]


def test_without_keys_a_bundle_is_opened_signed_or_not(unsigned: Path, bundle: Path, trust: Trust) -> None:
    trust.use()
    assert Bundle.load(unsigned).model_id == Bundle.load(bundle).model_id


def test_with_keys_only_what_they_signed_is_opened(
    unsigned: Path, bundle: Path, signing_keys: Keys, trust: Trust
) -> None:
    trust.use(verify=signing_keys[0].public)
    assert Bundle.load(bundle).model_id == Bundle.load(bundle, ends=True).model_id
    assert [shown.recipe for shown in shown_bundles([str(bundle)])] == ["ticket"]
    for refused in (lambda: Bundle.load(unsigned), lambda: Bundle.load(unsigned, ends=True)):
        with pytest.raises(UntrustedBundle, match="not signed"):
            refused()
    with pytest.raises(UntrustedBundle):
        shown_bundles([str(unsigned)])
    trust.use(verify=signing_keys[1].public)
    with pytest.raises(UntrustedBundle, match="not trusted here"):
        Bundle.load(bundle)


def test_while_one_key_replaces_another_both_are_trusted(
    bundle: Path, signing_keys: Keys, tmp_path: Path, trust: Trust
) -> None:
    both = tmp_path / "both.pub"
    both.write_bytes(signing_keys[1].public.read_bytes() + b"\n" + signing_keys[0].public.read_bytes())
    trust.use(verify=both)
    assert Bundle.load(bundle)
    sign_bundle(str(bundle), str(signing_keys[1].private))
    assert Bundle.load(bundle)
    trust.use(verify=signing_keys[1].public)
    assert Bundle.load(bundle)
    trust.use(verify=signing_keys[0].public)
    with pytest.raises(UntrustedBundle):
        Bundle.load(bundle)


@hypothesis_settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_one_changed_bit_anywhere_is_refused(
    bundle: Path, signing_keys: Keys, trust: Trust, data: st.DataObject
) -> None:
    trust.use(verify=signing_keys[0].public)
    names = sorted(path.name for path in bundle.iterdir())
    name = data.draw(st.sampled_from(names))
    path = bundle / name
    whole = path.read_bytes()
    content = bytearray(signature_of(bundle) if name == SIGNATURE else whole)
    place, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 7))
    content[place] ^= 1 << bit
    try:
        if name == SIGNATURE:  # its other fields are hints
            with_signature(bundle, bytes(content))
        else:
            path.write_bytes(content)
        with pytest.raises(BundleError) as refused:
            verify_bundle(bundle, signed=True)
        assert (refused.value.code == "untrusted_bundle") == (name in (MANIFEST, SIGNATURE))
    finally:
        path.write_bytes(whole)


@given(st.binary(max_size=100))
@hypothesis_settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(b'{"messageSignature": {"signature": 1}, "verificationMaterial": {"publicKey": {"hint": []}}}')
@example(b'{"messageSignature": {"signature": ""}, "verificationMaterial": {"publicKey": {"hint": []}}}')
@example(b'{"messageSignature": {"signature": "\xc3\xa9"}, "verificationMaterial": {"publicKey": {"hint": ""}}}')
def test_anything_in_the_place_of_a_signature_is_refused(
    bundle: Path, signing_keys: Keys, trust: Trust, content: bytes
) -> None:
    trust.use(verify=signing_keys[0].public)
    (bundle / SIGNATURE).write_bytes(content)
    with pytest.raises(UntrustedBundle):
        verify_bundle(bundle, signed=True)


def test_another_manifest_under_a_good_signature_is_refused(bundle: Path, signing_keys: Keys, trust: Trust) -> None:
    """The whole bundle is replaced by a consistent other one, only the signature stays."""
    trust.use()
    signature = (bundle / SIGNATURE).read_bytes()
    update_bundle(bundle, metrics={"test": {"reply": {"accuracy": 1.0}}}, card="better")
    assert not (bundle / SIGNATURE).exists(), "without a key, no signature outlives its manifest"
    (bundle / SIGNATURE).write_bytes(signature)
    assert Bundle.load(bundle)
    trust.use(verify=signing_keys[0].public)
    with pytest.raises(UntrustedBundle, match="not the one that was signed"):
        Bundle.load(bundle)


def test_who_has_the_key_signs_what_it_writes(unsigned: Path, signing_keys: Keys, tmp_path: Path, trust: Trust) -> None:
    trust.use(sign=signing_keys[0].private, verify=signing_keys[0].public)
    made = fuse_network(write_network(tmp_path / "network", SPEC), SPEC, "snapshot1", tmp_path / "bundle")
    assert (made / MANIFEST).read_bytes() == (unsigned / MANIFEST).read_bytes()
    assert Bundle.load(made)
    update_bundle(made, metrics={"test": {}}, card="measured")
    assert Bundle.load(made).metrics == {"test": {}}


def test_an_encrypted_key_needs_its_password(unsigned: Path, signing_keys: Keys, tmp_path: Path, trust: Trust) -> None:
    password, wrong = tmp_path / "password", tmp_path / "wrong"
    password.write_text("correct horse\n")
    wrong.write_text("battery")
    locked = tmp_path / "locked.key"
    openssl("pkcs8", "-topk8", "-in", signing_keys[0].private, "-passout", f"file:{password}", "-out", locked)
    folder = shutil.copytree(unsigned, tmp_path / "bundle")
    sign_bundle(str(folder), str(locked), str(password))
    trust.use(verify=signing_keys[0].public)
    assert Bundle.load(folder)
    for given_password in (None, str(wrong)):
        with pytest.raises(UsageError, match="password"):
            sign_bundle(str(folder), str(locked), given_password)


def test_keys_that_cannot_be_used_are_told_and_nothing_is_opened(
    bundle: Path, signing_keys: Keys, tmp_path: Path, trust: Trust
) -> None:
    rsa = key_pair(tmp_path, "rsa", kind=("RSA", "rsa_keygen_bits:2048"))
    other_curve = key_pair(tmp_path, "p384", kind=("EC", "ec_paramgen_curve:P-384"))
    empty, broken = tmp_path / "empty", tmp_path / "broken"
    empty.write_bytes(b"")
    broken.write_bytes(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    for public in (
        rsa.public,
        other_curve.public,
        empty,
        broken,
        signing_keys[0].private,
        tmp_path / "nowhere",
        tmp_path,
    ):
        trust.use(verify=public)
        with pytest.raises(UsageError, match="FRONTDESK_VERIFY_KEY_FILE") as told:
            Bundle.load(bundle)
        assert "AAAA" not in str(told.value)
    for private in (rsa.private, other_curve.private, empty, signing_keys[0].public, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="FRONTDESK_SIGNING_KEY_FILE"):
            sign_bundle(str(bundle), str(private))


def test_a_damaged_bundle_is_not_signed(bundle: Path, signing_keys: Keys) -> None:
    (bundle / SIGNATURE).unlink()
    (bundle / "spec.json").write_bytes(b"{}")
    with pytest.raises(BundleError, match=r"spec\.json"):
        sign_bundle(str(bundle), str(signing_keys[0].private))
    assert not (bundle / SIGNATURE).exists()


def test_bundles_in_an_object_store(
    unsigned: Path, signing_keys: Keys, s3: S3, tmp_path: Path, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    store = Store(s3.uri("signed"))
    store.upload(unsigned, "bundle")
    location = store.uri("bundle")
    trust.use(verify=signing_keys[0].public)
    with pytest.raises(UntrustedBundle, match="not signed"):
        Bundle.load(location)
    assert command("sign", location, "--key", signing_keys[0].private)[0] == 0
    assert Bundle.load(location).model_id == Bundle.load(location, ends=True).model_id
    assert command("verify", location, "--key", signing_keys[0].public)[1]["recipe"] == "ticket"
    sign_bundle(location, str(signing_keys[1].private))
    with pytest.raises(UntrustedBundle):  # a copy that was good before does not stand in for it
        Bundle.load(location)


def test_only_a_trusted_bundle_is_deployed_and_a_wrong_key_takes_none_away(
    unsigned: Path, bundle: Path, signing_keys: Keys, tmp_path: Path, empty_registry: Path, trust: Trust
) -> None:
    registry = Registry(f"sqlite:///{shutil.copyfile(empty_registry, tmp_path / 'mlflow.db')}")
    store = Store(str(tmp_path / "store"))
    fused(store, "unsigned", unsigned)
    fused(store, "signed", bundle)
    trust.use(verify=signing_keys[0].public)
    with pytest.raises(UntrustedBundle):
        deploy(store, registry, recipe="ticket", fused="unsigned")
    assert current(store, "ticket") is None
    assert registry.versions("ticket") == []
    version = deploy(store, registry, recipe="ticket", fused="signed")
    assert Bundle.load(version.bundle).model_id == version.model_id
    trust.use(verify=signing_keys[1].public)
    with pytest.raises(UntrustedBundle):
        deploy(store, registry, recipe="ticket", fused="signed")
    trust.use(verify=signing_keys[0].public)
    assert Bundle.load(version.bundle).model_id == version.model_id


def test_the_commands(unsigned: Path, signing_keys: Keys, tmp_path: Path, trust: Trust) -> None:
    trust.use()
    folder = shutil.copytree(unsigned, tmp_path / "bundle")
    code, found = command("verify", folder)
    assert (code, found["signed_by"], found["files"]) == (0, None, 9)
    with pytest.raises(UsageError):
        command("sign", folder)
    with pytest.raises(UntrustedBundle):
        command("verify", folder, "--key", signing_keys[0].public)
    trust.use(sign=signing_keys[0].private, verify=signing_keys[0].public)
    code, made = command("sign", folder)
    assert (code, made["model_id"], made["signature"]) == (0, found["model_id"], SIGNATURE)
    assert command("verify", folder)[1]["signed_by"] == made["key"]
    with pytest.raises(UntrustedBundle):
        command("verify", folder, "--key", signing_keys[1].public)
