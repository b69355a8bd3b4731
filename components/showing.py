"""Filling the artifacts that the KFP console shows: manifests, numbers, tables, matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kfp import dsl

from frontdesk.registry import flatten
from frontdesk.storage import canonical_json


def show_manifest(artifact: dsl.Artifact, manifest: Mapping[str, Any], address: str) -> None:
    """Make an artifact the card of an immutable folder: the file is its manifest, the metadata say where it is."""
    artifact.metadata |= {"id": str(manifest["id"]), "address": address}
    Path(artifact.path).write_bytes(canonical_json(manifest))


def show_numbers(artifact: dsl.Metrics, values: Mapping[str, Any]) -> None:
    """Show the numbers of nested mappings under dotted names."""
    for name, value in flatten(values).items():
        artifact.log_metric(name, value)
    _keep(artifact)


def show_matrix(artifact: dsl.ClassificationMetrics, labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> None:
    """Show a confusion matrix; rows are true labels, columns predicted ones."""
    if labels:
        artifact.log_confusion_matrix(list(labels), [list(row) for row in matrix])
    _keep(artifact)


def show_table(artifact: dsl.Markdown, title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Show a table in Markdown."""
    lines = [f"### {title}", "", _row(header), _row(["---"] * len(header)), *(_row(row) for row in rows), ""]
    Path(artifact.path).write_text("\n".join(lines), "utf-8")


def _row(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _keep(artifact: dsl.Artifact) -> None:
    # KFP keeps these values in its database only, yet caches a step only when every artifact has a file.
    Path(artifact.path).write_bytes(canonical_json(artifact.metadata))
