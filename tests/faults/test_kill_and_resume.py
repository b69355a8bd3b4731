"""Does a run that is killed at any job go on where it was, to the same digests?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from frontdesk.deployment import current
from frontdesk.registry import Registry
from frontdesk.storage import Store
from tests.lifecycle_run import FinishedRun, run_small

pytestmark = pytest.mark.slow

KILLS = {
    "etl": 0.1,
    "spark_preprocess": 4.0,
    "data_transfer": 0.05,
    "train": 4.0,
    "fuse": 4.0,
    "deploy": 1.0,
}
"""Seconds into each job."""
JOBS = ("snapshots", "tensors", "trained", "fused")
_RUN = """
import sys
from pathlib import Path
from tests.lifecycle_run import run_small
run_small(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def killed_in(step: str, finished: FinishedRun, out: Path, *, group: bool = True) -> None:
    """Start a run and kill it with SIGKILL in a job: all of its processes, or only the one that the user started."""
    log = out / "run.log"
    log.unlink(missing_ok=True)
    command = [sys.executable, "-c", _RUN, str(finished.data), str(out)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, start_new_session=True, stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + 240
            while f'"event":"step_started","step":"{step}"' not in (log.read_text("utf-8") if log.exists() else ""):
                assert process.poll() is None, f"the run ended before {step}"
                assert time.monotonic() < end, f"{step} did not begin"
                time.sleep(0.02)
            time.sleep(KILLS[step])
            assert process.poll() is None, f"the run ended before it was killed in {step}"
        finally:
            if group or process.poll() is not None:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()


def finished_jobs(out: Path) -> dict[str, int]:
    """Return how many folders of each kind the store holds."""
    store = out / "work" / "store"
    return {kind: len(list((store / kind).glob("*/manifest.json"))) for kind in JOBS}


def test_a_run_killed_in_every_job_comes_to_the_same_digests(finished: FinishedRun, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for step in KILLS:
        # In training only the runner dies; the step that it leaves behind must not write into the next run's folders.
        killed_in(step, finished, out, group=step != "train")
        assert not (out / "metrics.json").exists(), "results before the run was finished"
    result = run_small(finished.data, out)
    assert result.snapshot == finished.result.snapshot
    assert result.model_id == finished.result.model_id
    assert result.metrics["test"] == finished.result.metrics["test"]
    for name in ("metrics.json", "predictions.parquet", "bundle/manifest.json", "bundle-v1/manifest.json"):
        assert (out / name).read_bytes() == (finished.out / name).read_bytes(), name
    # Nothing was done twice under another name, and what was deployed is that model, once.
    assert finished_jobs(out) == dict.fromkeys(JOBS, 1)
    registry = Registry(f"sqlite:///{out / 'work' / 'mlflow.db'}")
    assert [version.model_id for version in registry.versions("ticket")] == [result.model_id]
    assert current(Store(str(out / "work" / "store")), "ticket")["model_id"] == result.model_id
