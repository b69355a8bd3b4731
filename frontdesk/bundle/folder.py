"""The folder of a bundle: written whole, verified file by file, copied from S3 once.

A folder is written under a scratch name, its manifest last, and renamed; reading checks every name, size and digest,
and refuses with the name of the bad file. Where keys are set, a manifest is signed when it is written and its signature
checked when the bundle is opened.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from frontdesk.bundle.kinds import KINDS
from frontdesk.errors import BundleError, StorageError, UnreadableFile
from frontdesk.golden import GOLDEN
from frontdesk.settings import settings
from frontdesk.storage import MANIFEST, Store, canonical_json, describe, digest, file_digest, reading, write_atomically
from frontdesk.version import VERSION, code_digest, library_versions

BUNDLE_FORMAT = 1
SIGNATURE = "manifest.json.sigstore.json"
"""Beside the manifest, over its bytes; see `frontdesk.bundle.signature`."""
METRICS, CARD = "metrics.json", "card.md"
REPORTS = (METRICS, CARD)
"""Written again after evaluation; the `model_id` does not depend on them."""
SPEC, TAXONOMY, POLICY = "spec.json", "taxonomy.json", "policy.json"
PARTS = (SPEC, TAXONOMY, POLICY, GOLDEN, *REPORTS)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_REMEDY = "Copy the bundle again from where it was made"


def save_bundle(
    folder: Path,
    *,
    recipe: str,
    model_kind: str,
    files: Mapping[str, Path | bytes],
    spec: Mapping[str, Any],
    policy: Mapping[str, Any],
    taxonomy: Mapping[str, Any],
    metrics: Mapping[str, Any],
    golden: pa.Table,
    card: str,
    snapshot: str,
) -> str:
    """Write a bundle, replacing what stands at its place.

    Args:
        folder: where; appears complete or not at all.
        model_kind: one of `frontdesk.bundle.kinds.KINDS`.
        files: the model's own files, by flat name.
        spec, policy, taxonomy: plain values; the taxonomy states its ``version``.
        golden: see `frontdesk.golden.golden_table`.
        snapshot: id of the snapshot that the model was trained on.

    Returns:
        The model_id: 20 hex digits over everything but the reports, so the same training gives the same id.
    """
    with _replacing(folder) as scratch:
        for name, content in files.items():
            _check_name(name)
            if isinstance(content, bytes):
                (scratch / name).write_bytes(content)
            else:
                shutil.copyfile(content, scratch / name)
        for name, values in ((SPEC, spec), (TAXONOMY, taxonomy), (POLICY, policy)):
            (scratch / name).write_bytes(canonical_json(values))
        (scratch / METRICS).write_bytes(canonical_json(metrics))
        (scratch / CARD).write_text(card, "utf-8")
        pq.write_table(golden, scratch / GOLDEN, compression="zstd")
        manifest = {
            "format": BUNDLE_FORMAT,
            "recipe": recipe,
            "model_kind": model_kind,
            "snapshot": snapshot,
            "taxonomy": taxonomy["version"],
            "files": describe(scratch),
            "code": {"version": VERSION, "digest": code_digest(), "libraries": library_versions()},
        }
        manifest["model_id"] = model_id_of(manifest)
        _finish(scratch, manifest)
    return str(manifest["model_id"])


def model_id_of(manifest: Mapping[str, Any]) -> str:
    """Return the digest of everything in a bundle that decides an answer: 20 hex digits."""
    identity = {name: manifest[name] for name in ("format", "recipe", "model_kind", "snapshot")}
    files = {name: entry["sha256"] for name, entry in manifest["files"].items() if name not in REPORTS}
    return digest({**identity, "files": files})[:20]


def update_bundle(folder: Path, *, metrics: Mapping[str, Any], card: str) -> None:
    """Put the results of an evaluation into a bundle. Its model_id stays; the folder is replaced whole."""
    manifest = verify_bundle(folder)
    with _replacing(folder) as scratch:
        for name in manifest["files"]:
            if name not in REPORTS:
                shutil.copyfile(folder / name, scratch / name)
        (scratch / METRICS).write_bytes(canonical_json(metrics))
        (scratch / CARD).write_text(card, "utf-8")
        _finish(scratch, {**manifest, "files": describe(scratch)})


def _finish(scratch: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest, which makes the folder a bundle, after its signature where there is a key."""
    content = canonical_json(manifest)
    if (key_file := settings().signing_key_file) is not None:
        from frontdesk.bundle.signature import read_private_key, sign

        (scratch / SIGNATURE).write_bytes(sign(content, read_private_key(key_file, settings().signing_password_file)))
    write_atomically(scratch / MANIFEST, content)


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Yield an empty scratch folder that takes the place of ``folder`` when the block ends well."""
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch, old = folder.with_name(f".{folder.name}.partial"), folder.with_name(f".{folder.name}.replaced")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    scratch.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in (MANIFEST, SIGNATURE):
        raise BundleError("a file of a bundle has a flat, plain name", where=str(name)[:80])


def parse_manifest(content: bytes) -> dict[str, Any]:
    """Read a manifest and check what it states: its format, its kind, the names and entries of its files.

    Raises:
        BundleError: not JSON, an unknown format or kind, a name that leaves the folder, a required file not listed.
    """
    try:
        manifest = orjson.loads(content)
        if manifest["format"] != BUNDLE_FORMAT:
            words = f"bundle format {str(manifest['format'])[:20]} is not {BUNDLE_FORMAT}"
            remedy = "Use the release of Frontdesk that made the bundle, or train the model again"
            raise BundleError(words, where=MANIFEST, remedy=remedy)
        kind, files, model_id = manifest["model_kind"], manifest["files"], model_id_of(manifest)
        sizes = [entry["bytes"] for entry in files.values()]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise BundleError("the manifest cannot be read", where=MANIFEST, remedy=_REMEDY) from error
    if kind not in KINDS:
        raise BundleError(f"unknown model kind {str(kind)[:40]!r}", where=MANIFEST, remedy="Use a newer release")
    for name in files:
        _check_name(name)
    for name in (*PARTS, *KINDS[kind].files):
        if name not in files:
            raise BundleError("the manifest does not list a file that every bundle has", where=name, remedy=_REMEDY)
    if manifest.get("model_id") != model_id or not all(isinstance(size, int) for size in sizes):
        raise BundleError("the manifest was altered: its model_id is another", where=MANIFEST, remedy=_REMEDY)
    return dict(manifest)


def manifest_at(location: str) -> dict[str, Any]:
    """Return the manifest of a bundle, local or ``s3://``, without its files. Raises `BundleError`."""
    try:
        with reading(f"{location.rstrip('/')}/{MANIFEST}") as file:
            return parse_manifest(bytes(file.read()))
    except UnreadableFile as error:
        remedy = "Point to a folder that `frontdesk run` wrote"
        raise BundleError("there is no bundle here: no manifest.json", where=location, remedy=remedy) from error


def ends_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the files of a bundle that are read where its model is another server's."""
    return (SPEC, TAXONOMY, POLICY, METRICS, *KINDS[manifest["model_kind"]].ends)


def verify_bundle(folder: Path, *, ends: bool = False, signed: bool = False) -> dict[str, Any]:
    """Check that a folder holds exactly the files of its manifest, each with its size and digest; return the manifest.

    Args:
        folder: of the bundle.
        ends: check those of `ends_of` only; no other file needs to be there.
        signed: also ask for a signature by one of the keys that the settings trust, where they name any.

    Raises:
        UntrustedBundle: there is no such signature.
        BundleError: names the first file that is missing, altered or not listed.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
    except OSError as error:
        remedy = "Point to a folder that `frontdesk run` wrote"
        raise BundleError("there is no bundle here: no manifest.json", where=str(folder), remedy=remedy) from error
    if signed and (key_file := settings().verify_key_file) is not None:
        from frontdesk.bundle.signature import check, read_public_keys

        check(content, signature_at(str(folder)), read_public_keys(key_file))
    manifest = parse_manifest(content)
    for name in ends_of(manifest) if ends else manifest["files"]:
        entry, path = manifest["files"][name], folder / name
        if not path.is_file():
            raise BundleError("a file of the bundle is missing", where=name, remedy=_REMEDY)
        if path.stat().st_size != entry["bytes"] or file_digest(path) != entry["sha256"]:
            raise BundleError("a file of the bundle was altered: its digest is another", where=name, remedy=_REMEDY)
    listed = {*manifest["files"], MANIFEST, SIGNATURE}
    extra = sorted(path.name for path in folder.iterdir() if path.name not in listed)
    if extra:
        raise BundleError("a file that the manifest does not list", where=extra[0], remedy="Remove it")
    return manifest


def signature_at(location: str) -> bytes | None:
    """Return the signature of a bundle, local or ``s3://``; None where there is none. Raises `StorageError`."""
    try:
        return Store(location).read_bytes(SIGNATURE)
    except UnreadableFile:
        return None


def local_copy(location: str | Path, *, ends: bool = False) -> Path:
    """Return the local folder of a bundle; an ``s3://`` one is copied once, into the user's cache.

    The copy is kept under the digest of its manifest, and of its signature where one is asked for, so an altered or
    replaced bundle is another folder.

    Args:
        location: of the bundle.
        ends: copy the files of `ends_of` only, to a folder of their own.
    """
    uri = str(location)
    if not uri.startswith("s3://"):
        return Path(uri.removeprefix("file://"))
    with reading(f"{uri.rstrip('/')}/{MANIFEST}") as file:
        content = bytes(file.read())
    manifest = parse_manifest(content)
    # Who may read the store's objects but not list them is refused a missing one: nobody asks without need.
    signature = signature_at(uri) if settings().verify_key_file is not None else None
    folder = _cache() / (digest(content + (signature or b""))[:20] + ("-ends" if ends else ""))
    if folder.is_dir():
        return folder
    with _replacing(folder) as scratch:
        for name in ends_of(manifest) if ends else manifest["files"]:
            entry = manifest["files"][name]
            with reading(f"{uri.rstrip('/')}/{name}") as source, (scratch / name).open("wb") as sink:
                if source.size() != entry["bytes"]:
                    raise BundleError("a file of the bundle has another size", where=name, remedy=_REMEDY)
                try:
                    shutil.copyfileobj(source, sink, 1 << 20)
                except OSError as error:
                    raise StorageError(f"reading stopped ({type(error).__name__})", where=uri) from error
        if signature is not None:
            (scratch / SIGNATURE).write_bytes(signature)
        (scratch / MANIFEST).write_bytes(content)
        verify_bundle(scratch, ends=ends)
    return folder


def _cache() -> Path:
    for root in (os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", tempfile.gettempdir()):
        folder = Path(root) / "frontdesk" / "bundles"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise StorageError("no folder for downloaded bundles is writable", remedy="Set XDG_CACHE_HOME")


def parsed(folder: Path, name: str) -> dict[str, Any]:
    """Return the JSON object in a file of a bundle. Raises `BundleError` that names it."""
    try:
        content = orjson.loads((folder / name).read_bytes())
    except orjson.JSONDecodeError as error:
        raise BundleError("the file is not JSON", where=name, remedy=_REMEDY) from error
    if not isinstance(content, dict):
        raise BundleError("the file is not a JSON object", where=name, remedy=_REMEDY)
    return content
