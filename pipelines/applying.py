"""Bringing pipelines and schedules to a server."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from frontdesk.components.server import Server, Version
from frontdesk.monitoring.starting import Run, Started
from frontdesk.pipelines.cluster import Cluster, cluster_of
from frontdesk.pipelines.compiling import compile_features, compile_monitoring, compile_pipeline
from frontdesk.pipelines.schedules import Change, Desired, Schedule, reconcile, six_fields
from frontdesk.storage import file_digest


def pipeline_server(cluster: Cluster | None = None) -> Server:
    """Return the server that the settings name. Raises `UsageError` where they name none, `PipelineServerError`."""
    return Server.of_settings((cluster or cluster_of(None)).service_account)


def apply_schedules(
    server: Server | None,
    schedules: Sequence[Schedule],
    store: str | None,
    registry: str | None,
    *,
    whole: bool,
    dry_run: bool,
    cluster: Cluster | None = None,
) -> list[Change]:
    """Make a server's recurring runs those that are declared; return what was, or with ``dry_run`` would be, done.

    Args:
        server: None only for a dry run: then nothing is there yet.
        whole: others of ours are deleted.
        cluster: what the steps get; that of the settings when None.
    """
    with tempfile.TemporaryDirectory(prefix="frontdesk-") as folder:
        files = {one.pipeline_name: compiled(one, Path(folder), cluster) for one in schedules}
        desired = [
            Desired(
                one.name,
                one.pipeline_name,
                file_digest(files[one.pipeline_name])[:12],
                six_fields(one.cron),
                one.arguments(store, registry),
                one.enabled,
            )
            for one in schedules
        ]
        changes = reconcile(desired, [] if server is None else server.recurring(), whole=whole)
        if server is not None and not dry_run:
            versions: dict[str, Version] = {}
            for change in changes:
                _apply(server, change, files, versions)
    return changes


def _apply(server: Server, change: Change, files: Mapping[str, Path], versions: dict[str, Version]) -> None:
    wish = change.desired
    if wish is not None and change.action in ("create", "update"):
        if wish.pipeline not in versions:
            versions[wish.pipeline] = server.ensure_version(wish.pipeline, files[wish.pipeline])
        server.repeat(versions[wish.pipeline], wish.name, wish.description, wish.cron, wish.arguments, wish.enabled)
    for old in change.existing:
        server.remove(old)


def compiled(schedule: Schedule, folder: Path, cluster: Cluster | None = None) -> Path:
    """Compile the pipeline of a schedule into a folder, once; return its file."""
    path = folder / f"{schedule.pipeline_name}.yaml"
    if not path.exists():
        if schedule.pipeline == "features":
            compile_features(path, cluster)
        else:
            make = compile_pipeline if schedule.pipeline == "lifecycle" else compile_monitoring
            make(schedule.recipe or "", path, cluster)
    return path


def submit(
    server: Server, recipe: str, name: str, arguments: Mapping[str, Any], cluster: Cluster | None = None
) -> tuple[Version, str]:
    """Start a recipe's lifecycle as this release compiles it; return its version and the run's id."""
    with tempfile.TemporaryDirectory(prefix="frontdesk-") as folder:
        path = Path(folder) / f"{recipe}-lifecycle.yaml"
        compile_pipeline(recipe, path, cluster)
        version = server.ensure_version(f"{recipe}-lifecycle", path)
    return version, server.start(version, name, arguments)


def submit_run(server: Server, run: Run, store: str, registry: str) -> Started:
    """Start a retraining on a server."""
    name = f"{run.recipe}-{run.reason}-{run.key}"
    _, started = submit(server, run.recipe, name, run.arguments(store, registry))
    return Started(run=started)
