"""Job 2 as a Spark operator starts it: Spark's launcher is there first and runs our main file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from frontdesk.errors import UnreadableFile
from frontdesk.preprocessing import spark_application, spark_container
from frontdesk.records import DEFAULT_TICKET_COLUMNS
from frontdesk.storage import Store
from tests.hostile import hostile_rows
from tests.snapshot_folder import put_snapshot

pytestmark = pytest.mark.slow


def test_a_driver_that_spark_started_makes_tensors(tmp_path: Path) -> None:
    rows = [{**row, "created_at": None, "reply": f"r{place % 3}"} for place, row in enumerate(hostile_rows(20, 5))]
    store = Store(str(tmp_path / "store"))
    put_snapshot(store, "tickets", DEFAULT_TICKET_COLUMNS, rows)
    launcher = [sys.executable, "-m", spark_container.__name__, "driver", "--master", "local[1]"]
    main = [str(spark_application.__file__), "--recipe", "ticket", "--snapshot", "tickets", "--store", store.root]
    parameters = ["--parameters", orjson.dumps({"max_tokens": 16}).decode()]
    environment = os.environ | {"FRONTDESK_SPARK_MASTER": "local[1]", "FRONTDESK_SPARK_MEMORY": "600m"}
    done = subprocess.run(
        [*launcher, *main, *parameters], env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    made = store.manifest("tensors", done.stdout.split()[-1])
    assert made is not None
    assert made["rows"]["train"] == 20
    missing = [*launcher, *main[:4], "nothing", *main[5:]]
    refused = subprocess.run(missing, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert refused.returncode == UnreadableFile.exit_code, refused.stderr[-4000:]
    assert "no such snapshot" in refused.stdout + refused.stderr
