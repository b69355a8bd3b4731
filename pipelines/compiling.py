"""Compile a lifecycle for the cluster: one file with the pipeline and its Kubernetes part."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

from kfp import compiler

from frontdesk.pipelines.lifecycle import Cluster, build
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
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(build(recipe, cluster or Cluster()), str(made))
        write_atomically(path, made.read_bytes())
