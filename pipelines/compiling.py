"""Compile pipelines for the cluster: one file with the pipeline and its Kubernetes part."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kfp import compiler

from frontdesk.pipelines.cluster import OLD, Cluster, cluster_of
from frontdesk.pipelines.features import build_features
from frontdesk.pipelines.lifecycle import build
from frontdesk.pipelines.monitoring import build_monitoring
from frontdesk.pipelines.old_backend import for_old_backend
from frontdesk.recipes import jobs
from frontdesk.storage import write_atomically


def compile_pipeline(recipe: str, path: Path, cluster: Cluster | None = None) -> None:
    """Write a recipe's pipeline as KFP reads it (YAML).

    Args:
        path: the file to write.
        cluster: what the steps get; that of the settings when None.

    Raises:
        UsageError: there is no such recipe.
    """
    jobs(recipe)
    _write(lambda chosen: build(recipe, chosen), path, cluster)


def compile_features(path: Path, cluster: Cluster | None = None) -> None:
    """Write the feature pipeline likewise."""
    _write(build_features, path, cluster)


def compile_monitoring(recipe: str, path: Path, cluster: Cluster | None = None) -> None:
    """Write a recipe's monitoring pipeline likewise. Raises `UsageError` for an unknown recipe."""
    jobs(recipe)
    _write(lambda chosen: build_monitoring(recipe, chosen), path, cluster)


def _write(build: Callable[[Cluster], Any], path: Path, cluster: Cluster | None) -> None:
    chosen = cluster or cluster_of(None)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(build(chosen), str(made))
        text = made.read_text("utf-8")
    write_atomically(path, (for_old_backend(text) if chosen.backend == OLD else text).encode())
