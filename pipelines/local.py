"""The embedded runner: the lifecycle on this machine, each step in a process of its own, no cluster."""

from __future__ import annotations

import fcntl
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel

from frontdesk.errors import FrontdeskError, UsageError
from frontdesk.pipelines.board import Board, Splitter
from frontdesk.recipes import jobs
from frontdesk.settings import settings
from frontdesk.steps import ERROR_FILE, read_failure
from frontdesk.storage import Store, canonical_json, write_atomically

_RESULTS = (
    "bundle",
    "bundle-v1",
    "bundle-single",
    "bundle-multi",
    "report.html",
    "predictions.parquet",
    "metrics.json",
)
"""What a run leaves for its user, where its recipe makes it, in the order in which it is put there: who sees
``metrics.json`` has everything."""


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        decision: ``promote`` (the candidate is deployed) or ``hold`` (the champion stays).
        reasons: the gate's, in words.
        bundle: folder of the candidate's bundle, deployed or held.
        metrics: content of ``metrics.json``.
    """

    recipe: str
    decision: str
    reasons: tuple[str, ...]
    model_id: str
    snapshot: str
    bundle: Path
    report: Path
    metrics: dict[str, Any]


def run_lifecycle(
    recipe: str,
    *,
    data: str,
    test: str | None = None,
    columns: BaseModel,
    parameters: BaseModel,
    out: Path,
    approval: str | None = None,
    reason: str = "manual",
) -> RunResult:
    """Run a recipe's lifecycle and leave its results in a folder.

    What outlives a run (store, tensors, checkpoints, registry) is kept in ``out/work``, unless the settings name other
    places; a run that was killed goes on there. The results appear whole or not at all, in place of an earlier run's.

    Args:
        data: table to learn from, a path or an ``s3://`` address.
        test: separate test table; None splits `data`.
        columns: the column mapping.
        parameters: the recipe's parameters.
        out: folder of the results; made when it is missing.
        approval: ``required`` waits for a person before the model is deployed; None asks the settings.
        reason: why it runs; see `frontdesk.monitoring.retraining`.

    Raises:
        FrontdeskError: what a step raised, as the class that it was.
        UsageError: no such recipe, or another run works in the folder.
    """
    jobs(recipe)
    out = out.absolute()
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    store = Store(settings().store or str(work / "store"))
    arguments = {
        "data": _absolute(data),
        "test": _absolute(test) if test else "",
        "columns": columns.model_dump_json(),
        "parameters": parameters.model_dump_json(),
        "store": store.root,
        "registry": settings().mlflow or f"sqlite:///{work / 'mlflow.db'}",
        "work": str(work),
        "approval": approval or settings().approval,
        "reason": reason,
    }
    with _alone(work):
        outputs = run_pipeline(lambda: _lifecycle(recipe), arguments, work / "runs", out / "run.log")
        reasons = tuple(outputs["verdict"].metadata["reasons"])
        metrics = orjson.loads(store.read_bytes("fused", outputs["fused"], "metrics.json"))
        metrics["gate"] = {"decision": outputs["decision"], "reasons": list(reasons)}
        _publish(store, outputs["fused"], metrics, out)
    return RunResult(
        recipe=recipe,
        decision=outputs["decision"],
        reasons=reasons,
        model_id=outputs["model_id"],
        snapshot=outputs["snapshot"],
        bundle=out / "bundle",
        report=out / "report.html",
        metrics=metrics,
    )


def run_features(*, features: str | None = None, until: str | None = None, out: Path) -> int:
    """Bring the online store up to date by the feature pipeline; return how many views were copied.

    Args:
        features: folder of the feature tables; None means the one of the settings.
        until: events after this moment (ISO 8601) are left for later; None means now.
        out: folder of the run's log.

    Raises:
        UsageError: ``until`` is no moment.
        FrontdeskError: what the step raised, as the class that it was.
    """
    try:
        datetime.fromisoformat(until or "2000-01-01")
    except ValueError:
        raise UsageError("not a moment", where="until", remedy="Write 2024-02-29T12:00:00+00:00") from None
    out = out.absolute()
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    arguments = {"features": _absolute(features) if features else "", "until": until or ""}
    with _alone(work):
        outputs = run_pipeline(_features, arguments, work / "runs", out / "run.log")
    return int(outputs["Output"])


def _lifecycle(recipe: str) -> Any:
    from frontdesk.pipelines.lifecycle import build

    return build(recipe)


def _features() -> Any:
    from frontdesk.pipelines.features import build_features

    return build_features()


def run_pipeline(build: Callable[[], Any], arguments: dict[str, str], root: Path, log: Path) -> Mapping[str, Any]:
    """Run a pipeline under an empty root and return its outputs; what a step raised is raised as the class it was."""
    shutil.rmtree(root, ignore_errors=True)
    # Temporary files of the steps, and of KFP, which removes none, go with the next run however this one ends.
    temporary = root / "tmp"
    temporary.mkdir(parents=True)
    failure = root / "error.json"
    environment = {
        "FRONTDESK_PROGRESS": "lines",
        ERROR_FILE: str(failure),
        "TMPDIR": str(temporary),
        "DO_NOT_TRACK": "1",
    }
    with (
        log.open("w", encoding="utf-8") as file,
        Board() as board,
        redirect_stdout(Splitter(board, file)),
        _environment(environment),
        warnings.catch_warnings(),
    ):
        # KFP warns of settings that its local runner ignores. Its logs go to standard output, so to the run's log.
        warnings.simplefilter("ignore")
        from kfp import local

        # No cache of KFP's: the store finds finished work by its content, also after the code has changed.
        runner = local.SubprocessRunner(use_venv=False)
        local.init(runner, pipeline_root=str(root), workspace_root=str(temporary / "workspace"))
        try:
            outputs: Mapping[str, Any] = build()(**arguments).outputs
            return outputs
        except RuntimeError as error:  # the runner's own words for "a step ended with an error"
            raise read_failure(failure) or FrontdeskError(
                "a step ended without saying why: killed, or out of memory", where=str(log), remedy="Run again to go on"
            ) from error


def _publish(store: Store, fused: str, metrics: dict[str, Any], out: Path) -> None:
    """Put the results of a finished job 5 into a folder, each under a temporary name first."""
    fresh = out / "work" / "results"
    store.fetch("fused", fused, to=fresh)
    write_atomically(fresh / "metrics.json", canonical_json(metrics))
    old = out / "work" / "replaced"
    for name in _RESULTS:
        shutil.rmtree(old, ignore_errors=True)
        if (out / name).is_dir():  # of an earlier run
            (out / name).rename(old)
        if (fresh / name).exists():
            (fresh / name).rename(out / name)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(fresh)


def _absolute(address: str) -> str:
    return address if "://" in address else str(Path(address).absolute())


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Hold the folder for this run. The system lets go of the lock when the process ends, however it ends."""
    with (work / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                "another run works in this folder", where=str(work.parent), remedy="Name another --out"
            ) from error
        yield


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
