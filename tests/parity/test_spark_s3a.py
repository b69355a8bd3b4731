"""With the jars of `images/spark-jars.txt`, Spark reaches S3 by itself. `make test-s3a` fetches them (690 MB) first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from frontdesk.records import DEFAULT_TICKET_COLUMNS
from frontdesk.storage import Store
from tests.hostile import hostile_rows
from tests.s3_server import S3
from tests.snapshot_folder import put_snapshot

pytestmark = pytest.mark.slow

_LIST = Path(__file__).parents[2] / "images" / "spark-jars.txt"
_REPOSITORY = Path.home() / ".m2" / "repository"

SCRIPT = """
import json, sys
from pathlib import Path
from frontdesk.preprocessing.spark import preprocess
from frontdesk.preprocessing.spark_session import read_folder, session, write_folder
from frontdesk.preprocessing.spark_source import shards
from frontdesk.storage import Store
from frontdesk.ticket.recipe import TicketParameters

near, far, copy = sys.argv[1:]
with session() as spark:
    here, there = (preprocess(Store(root), "tickets", TicketParameters(max_tokens=16)) for root in (near, far))
    write_folder(read_folder(spark, far + "/snapshots/tickets/train", ["row", "body"]), copy)
    rows = read_folder(spark, copy, ["row"]).count()
print(json.dumps([here["spec"], there["spec"], rows, [path.rpartition("/")[2] for path in shards(copy)]]))
"""


def jars() -> list[Path]:
    """Return where Maven keeps the jars of the list."""
    lines = [line.split(":") for line in _LIST.read_text("utf-8").splitlines() if not line.startswith("#")]
    return [
        _REPOSITORY / group.replace(".", "/") / name / version / f"{name}-{version}.jar"
        for group, name, version in lines
    ]


def test_s3a_gives_the_same_spec_and_writes_the_same_names(s3: S3, tmp_path: Path) -> None:
    missing = [jar.name for jar in jars() if not jar.is_file()]
    if missing:
        pytest.skip(
            f"{missing[0]} is not in the local Maven repository: run `make test-s3a` where Maven Central answers"
        )
    rows = [{**row, "created_at": None, "reply": f"r{place % 3}"} for place, row in enumerate(hostile_rows(60, 5))]
    near, far = Store(str(tmp_path / "store")), Store(s3.uri("s3a"))
    for store in (near, far):
        put_snapshot(store, "tickets", DEFAULT_TICKET_COLUMNS, rows[:50], rows[50:])
    environment = os.environ | {
        "FRONTDESK_SPARK_JARS": ",".join(map(str, jars())),
        "FRONTDESK_SPARK_MASTER": "local[2]",
        "FRONTDESK_SPARK_MEMORY": "1g",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, near.root, far.root, s3.uri("s3a/copy")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    here, there, copied, names = orjson.loads(done.stdout)
    assert here == there
    assert copied == 50
    assert names == [f"part-{number:05d}.parquet" for number in range(len(names))]
    assert done.stderr == ""
