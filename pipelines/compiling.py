"""Compile pipelines for the cluster: one file with the pipeline and its Kubernetes part."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

from kfp import compiler

from frontdesk.pipelines.features import build_features
from frontdesk.pipelines.lifecycle import Cluster, build
from frontdesk.pipelines.monitoring import build_monitoring
from frontdesk.recipes import jobs
from frontdesk.storage import write_atomically


def compile_pipeline(recipe: str, path: Path, cluster: Cluster | None = None) -> None:
    """Write a recipe's pipeline as KFP reads it (YAML).

    Args:
        path: the file to write.
        cluster: what the steps ask for; the defaults when None.

    Raises:
        UsageError: there is no such recipe.
    """
    jobs(recipe)
    _write(build(recipe, cluster or Cluster()), path)


def compile_features(path: Path, cluster: Cluster | None = None) -> None:
    """Write the feature pipeline likewise."""
    _write(build_features(cluster or Cluster()), path)


def compile_monitoring(recipe: str, path: Path, cluster: Cluster | None = None) -> None:
    """Write a recipe's monitoring pipeline likewise. Raises `UsageError` for an unknown recipe."""
    jobs(recipe)
    _write(build_monitoring(recipe, cluster or Cluster()), path)


def _write(pipeline: Any, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(made))
        write_atomically(path, made.read_bytes())
