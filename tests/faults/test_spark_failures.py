"""Does a Spark that fails, starves or cannot start leave one clear error and no process?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import json, os, tempfile, threading
import psutil
from frontdesk.errors import FrontdeskError
from frontdesk.preprocessing.spark_session import map_batches, session

def quoting(batches):
    for batch in batches:
        raise ValueError("a customer's words")
    yield

def in_thread(found):
    with session() as again:
        found.append(again.range(4).count())

results = []
for memory in ("512m", "nonsense"):
    try:
        with session("local[1]", memory) as spark:
            map_batches(spark.range(3), quoting, "x int").collect()
    except FrontdeskError as error:
        results.append([error.message, error.remedy, os.path.isfile(error.where), os.path.basename(error.where)])
with session("local[1]", "512m") as spark:  # the process is none the worse
    found = []
    thread = threading.Thread(target=in_thread, args=(found,))
    thread.start()
    thread.join()
results.append(found)
results.append([child.name() for child in psutil.Process().children(recursive=True)])
print(json.dumps(results))
"""


def test_failures_are_named_without_the_rows_and_nothing_is_left_running(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    failed, unstarted, found, children = orjson.loads(done.stdout)
    assert failed == ["Spark failed (PythonException)", "Spark's own log says why", True, "spark.log"]
    assert unstarted == ["Spark failed (PySparkRuntimeError)", "Spark's own log says why", True, "spark.log"]
    assert found == [4]
    assert children == []
