"""The table of recipes: which module does the six jobs for which name."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Protocol, cast

from frontdesk.errors import UsageError

_JOBS = {"ticket": "frontdesk.ticket.jobs"}


class Jobs(Protocol):
    """What a recipe's module offers to the pipeline. Columns and parameters are JSON texts."""

    def etl(self, *, data: str, test: str, columns: str, parameters: str, store: str) -> dict[str, Any]:
        """Job 1: sources -> snapshot. Returns its manifest."""

    def spark_preprocess(self, *, snapshot: str, parameters: str, store: str) -> dict[str, Any]:
        """Job 2: snapshot -> tensors. Returns their manifest."""

    def data_transfer(self, *, tensors: str, store: str, node: Path) -> Path:
        """Job 3: tensors -> the training node. Returns the folder there."""

    def train(self, *, snapshot: str, tensors: Path, parameters: str, store: str, work: Path) -> dict[str, Any]:
        """Job 4: tensors on the node -> trained models in the store. Returns their manifest."""

    def fuse(
        self, *, snapshot: str, tensors: Path, trained: str, parameters: str, store: str, work: Path
    ) -> dict[str, Any]:
        """Job 5: trained models -> bundles and their evaluation in the store, as one folder. Returns its manifest."""

    def gate(self, *, fused: str, champion: str | None, store: str) -> dict[str, Any]:
        """Compare a candidate with the champion's bundle. Returns ``decision`` and ``reasons``."""


def names() -> list[str]:
    """Return the recipes that this release knows."""
    return sorted(_JOBS)


def jobs(recipe: str) -> Jobs:
    """Return the jobs of a recipe. Raises `UsageError` for an unknown name."""
    if recipe not in _JOBS:
        raise UsageError(f"there is no recipe {recipe!r}", remedy=f"Recipes: {', '.join(names())}")
    return cast(Jobs, importlib.import_module(_JOBS[recipe]))
