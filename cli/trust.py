"""Commands on what a bundle is made of and who vouches for it: sign, verify, sbom."""

from __future__ import annotations

from pathlib import Path

import typer

from frontdesk.cli.output import Json, console, print_json
from frontdesk.settings import settings

_Bundle = typer.Argument(..., metavar="BUNDLE", help="Folder or s3:// address of a bundle.")


def sign(
    bundle: str = _Bundle,
    key: str | None = typer.Option(None, "--key", help="Private key, PEM. Without it: FRONTDESK_SIGNING_KEY_FILE."),
    password_file: str | None = typer.Option(None, "--password-file", help="File of the key's password."),
    as_json: bool = Json,
) -> None:
    """Sign a bundle whose every digest is right; a signature that is there is replaced."""
    from frontdesk.bundle.signature import SIGNATURE, sign_bundle
    from frontdesk.errors import UsageError

    chosen = key or settings().signing_key_file
    if chosen is None:
        raise UsageError("no key to sign with", where="--key", remedy="Name a PEM file, or FRONTDESK_SIGNING_KEY_FILE")
    manifest, signer = sign_bundle(bundle, chosen, password_file or settings().signing_password_file)
    made = {"bundle": bundle, "model_id": manifest["model_id"], "signature": SIGNATURE, "key": signer}
    if as_json:
        print_json(made)
    else:
        console().print(f"{manifest['model_id']} is signed by key {signer}")


def verify(
    bundle: str = _Bundle,
    key: str | None = typer.Option(None, "--key", help="Public keys, PEM. Without it: FRONTDESK_VERIFY_KEY_FILE."),
    as_json: bool = Json,
) -> None:
    """Check every digest of a bundle and, where there are keys, that one of them signed it. Exit code 1 if not."""
    from frontdesk.bundle.signature import checked_bundle

    manifest, signer = checked_bundle(bundle, key or settings().verify_key_file)
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    found = {
        "bundle": bundle,
        "model_id": manifest["model_id"],
        "recipe": manifest["recipe"],
        "files": len(manifest["files"]),
        "bytes": size,
        "signed_by": signer,
    }
    if as_json:
        print_json(found)
        return
    console().print(f"{manifest['model_id']} ({manifest['recipe']}): {found['files']} files, {size:,} bytes, all whole")
    console().print(f"signed by {signer}" if signer else "signature not checked: no key was named")


def sbom(
    bundle: str = _Bundle,
    out: Path | None = typer.Option(None, "--out", help="File to write. Without it: standard output."),
    licence: str | None = typer.Option(None, "--license", help="SPDX expression of the model's licence."),
    as_json: bool = Json,
) -> None:
    """Write a bundle's bill of materials: CycloneDX 1.6, JSON. The same bundle gives the same bytes."""
    from frontdesk.bundle.materials import bill_of_materials
    from frontdesk.storage import canonical_json, write_atomically

    made = bill_of_materials(bundle, licence=licence)
    if out is not None:
        write_atomically(out, canonical_json(made))
    if out is None or as_json:
        print_json(made)
    else:
        console().print(f"{len(made['components'])} components in {out}")
