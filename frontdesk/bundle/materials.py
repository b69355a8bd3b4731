"""A bundle's bill of materials: CycloneDX 1.6 in JSON, with the model, its files, its data and what trained it.

It is made from the bundle alone and holds no time, so anybody who has the bundle can make the same bytes and compare.
It lies beside bundles, not in them: a file more in the folder would change what older releases take for the `model_id`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frontdesk.bundle.folder import METRICS, local_copy, parsed, verify_bundle
from frontdesk.registry import flatten
from frontdesk.storage import MANIFEST, digest, file_digest

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "sbom.frontdesk")
_TASKS = {"email": "text-classification", "ticket": "classification", "intent": "recommendation"}
_CODE_LICENCE = "Apache-2.0"


def bill_of_materials(location: str | Path, *, licence: str | None = None) -> dict[str, Any]:
    """Return the bill of materials of a bundle, local or ``s3://``.

    Args:
        location: of the bundle.
        licence: SPDX expression of the model's own licence; without it, none is stated.

    Raises:
        BundleError: the bundle is incomplete, altered, or not trusted here.
    """
    folder = local_copy(location)
    manifest = verify_bundle(folder, signed=True)
    code, snapshot = manifest["code"], f"snapshot:{manifest['snapshot']}"
    model = f"model:{manifest['model_id']}"
    libraries = [_library(name, version) for name, version in sorted(code.get("libraries", {}).items())]
    frontdesk = {
        **_library("frontdesk", code["version"]),
        "licenses": [{"license": {"id": _CODE_LICENCE}}],
        "properties": [{"name": "frontdesk:source-digest", "value": code["digest"]}],
    }
    data = {
        "type": "data",
        "bom-ref": snapshot,
        "name": manifest["snapshot"],
        "data": [{"type": "dataset", "name": manifest["snapshot"], "description": "rows that the model learnt from"}],
    }
    sums = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    sums[MANIFEST] = file_digest(folder / MANIFEST)
    parts = [*libraries, frontdesk, data, *_ancestors(folder, manifest)]
    components = parts + [
        {"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": _hashes(sums[name])}
        for name in sorted(sums)
    ]
    subject = {
        "type": "machine-learning-model",
        "bom-ref": model,
        "name": f"frontdesk-{manifest['recipe']}",
        "version": manifest["model_id"],
        "hashes": _hashes(sums[MANIFEST]),
        **({"licenses": [{"expression": licence}]} if licence else {}),
        "modelCard": _model_card(manifest, snapshot, parsed(folder, METRICS)),
        "properties": [
            {"name": "frontdesk:bundle-format", "value": str(manifest["format"])},
            {"name": "frontdesk:taxonomy", "value": str(manifest["taxonomy"])},
        ],
    }
    content: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": subject},
        "components": components,
        "dependencies": [
            {"ref": model, "dependsOn": [part["bom-ref"] for part in components]},
            {"ref": frontdesk["bom-ref"], "dependsOn": [library["bom-ref"] for library in libraries]},
        ],
    }
    return content | {"serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, digest(content))}"}


def _library(name: str, version: str) -> dict[str, Any]:
    address = f"pkg:pypi/{name}@{version}"
    return {"type": "library", "bom-ref": address, "name": name, "version": version, "purl": address}


def _hashes(sha256: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": sha256}]


def _ancestors(folder: Path, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the pretrained encoder that the model was made from, where it was made from one."""
    if manifest["model_kind"] != "email-hub":
        return []
    name = str(parsed(folder, "config.json").get("parameters", {}).get("encoder_name", "unknown"))
    return [{"type": "machine-learning-model", "bom-ref": f"encoder:{name}", "name": name}]


def _model_card(manifest: Mapping[str, Any], snapshot: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    figures = []
    for name, value in sorted(flatten(metrics.get("test", {})).items()):
        head, _, measure = name.rpartition(".")
        figures.append({"type": measure, "value": repr(value), **({"slice": head} if head else {})})
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": _TASKS.get(manifest["recipe"], manifest["recipe"]),
            "modelArchitecture": manifest["model_kind"],
            "datasets": [{"ref": snapshot}],
        },
        "quantitativeAnalysis": {"performanceMetrics": figures},
    }
