"""What the console knows of the bundles that the gateway was told of: names, versions, metrics, inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frontdesk.bundle.folder import METRICS, POLICY, SPEC, local_copy, parsed, verify_bundle
from frontdesk.errors import BundleError
from frontdesk.records import default_columns

_REPORT = "report.html"
_MOST_REPORT = 32 << 20


@dataclass(frozen=True)
class ShownBundle:
    """One bundle.

    Attributes:
        manifest, metrics, policy, spec: of the folder, plain values.
        report: the evaluation's report beside the folder, None where there is none.
    """

    manifest: dict[str, Any]
    metrics: dict[str, Any]
    policy: dict[str, Any]
    spec: dict[str, Any]
    report: Path | None

    @property
    def recipe(self) -> str:
        """Which model it is."""
        return str(self.manifest["recipe"])

    @property
    def model_id(self) -> str:
        """Digest of everything that decides an answer."""
        return str(self.manifest["model_id"])


def shown_bundles(locations: Sequence[str]) -> list[ShownBundle]:
    """Read bundles. Raises `BundleError`, `StorageError`."""
    found = []
    for location in locations:
        folder = local_copy(location)
        manifest = verify_bundle(folder, ends=True, signed=True)
        try:
            metrics, policy, spec = (parsed(folder, name) for name in (METRICS, POLICY, SPEC))
        except OSError as error:
            raise BundleError("a file of the bundle is missing", where=folder.name) from error
        report = folder.parent / _REPORT
        usable = report.is_file() and report.stat().st_size <= _MOST_REPORT
        found.append(ShownBundle(manifest, metrics, policy, spec, report if usable else None))
    return found


def inputs_of(recipe: str, bundles: Sequence[ShownBundle]) -> dict[str, str]:
    """Return ``{field: "text" | "category" | "number" | "moment"}`` of a recipe: of its bundle, or the usual ones."""
    spec = next((bundle.spec for bundle in bundles if bundle.recipe == recipe), None)
    if spec is not None:
        numbers = {name: "moment" if name == "created_at" else "number" for name in spec["numeric"]}
        return dict.fromkeys(spec["text"], "text") | dict.fromkeys(spec["categorical"], "category") | numbers
    columns = default_columns(recipe)
    return (
        dict.fromkeys(columns.text, "text")
        | dict.fromkeys(columns.categorical, "category")
        | dict.fromkeys(columns.numeric, "number")
    )
