"""Does the store work on a real S3 server, and does a silent one give a clear error?"""

from __future__ import annotations

import socket
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from frontdesk.errors import StorageError, UnreadableFile
from frontdesk.records import DEFAULT_TICKET_COLUMNS
from frontdesk.simulation.tickets import simulate, write
from frontdesk.snapshots import read_rows, snapshot_files, take_snapshot
from frontdesk.storage import Store, filesystem
from frontdesk.tables import read_batches
from frontdesk.taxonomy import load_taxonomy
from frontdesk.ticket.recipe import TicketParameters
from tests.s3_server import S3, environment


def _put(path: Path, uri: str) -> str:
    files, inside = filesystem(uri)
    pafs.copy_files(str(path), inside, source_filesystem=pafs.LocalFileSystem(), destination_filesystem=files)
    return uri


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_table_is_read_from_s3(s3: S3, tmp_path: Path, ending: str) -> None:
    table = simulate(3_000)
    write(table, tmp_path / f"tickets.{ending}")
    uri = _put(tmp_path / f"tickets.{ending}", s3.uri(f"in/tickets.{ending}"))
    batches = list(read_batches(uri, DEFAULT_TICKET_COLUMNS))
    assert sum(batch.rows.num_rows for batch in batches) == 3_000
    assert batches[0].rows.column("id").to_pylist()[:5] == table.column("id").to_pylist()[:5]


def test_snapshot_in_s3_is_the_local_one(s3: S3, tmp_path: Path) -> None:
    write(simulate(2_000), tmp_path / "tickets.csv")
    uri = _put(tmp_path / "tickets.csv", s3.uri("in/same.csv"))
    parameters = TicketParameters()
    far, near = Store(s3.uri("store")), Store(str(tmp_path / "store"))
    there = take_snapshot(far, recipe="ticket", data=uri, columns=DEFAULT_TICKET_COLUMNS, parameters=parameters)
    here = take_snapshot(
        near, recipe="ticket", data=str(tmp_path / "tickets.csv"), columns=DEFAULT_TICKET_COLUMNS, parameters=parameters
    )
    assert there["id"] == here["id"]
    assert there["files"] == here["files"]
    assert far.manifest("snapshots", there["id"]) == there
    assert all(uri.startswith("s3://") for uri in snapshot_files(far, there["id"], "train"))
    rows = sum(batch.num_rows for batch in read_rows(far, there["id"], "test", ["row"]))
    assert rows == there["rows"]["test"]


def test_a_label_file_is_read_from_s3(s3: S3) -> None:
    file = Path(__file__).parents[1] / "unit" / "labels.yaml"
    assert load_taxonomy(_put(file, s3.uri("in/labels.yaml"))).digest == load_taxonomy(file).digest
    assert TicketParameters(taxonomy=s3.uri("in/labels.yaml")).taxonomy == s3.uri("in/labels.yaml")
    with pytest.raises(UnreadableFile, match=r"in/nothing\.yaml: there is no such file"):
        load_taxonomy(s3.uri("in/nothing.yaml"))


def test_missing_object_is_named(s3: S3) -> None:
    with pytest.raises(UnreadableFile, match=r"in/nothing\.csv: there is no such file"):
        list(read_batches(s3.uri("in/nothing.csv"), DEFAULT_TICKET_COLUMNS))


@pytest.mark.parametrize("what", ["table", "store"])
def test_silent_store_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    with socket.socket() as closed:  # bound, but nobody listens
        closed.bind(("127.0.0.1", 0))
        for name, value in environment(f"http://127.0.0.1:{closed.getsockname()[1]}").items():
            monkeypatch.setenv(name, value)
        write(simulate(300), tmp_path / "tickets.csv")
        local, far = str(tmp_path / "tickets.csv"), "s3://frontdesk/x"
        data, root = (local, far) if what == "store" else (f"{far}.csv", str(tmp_path / "store"))
        with pytest.raises(StorageError, match="does not answer"):
            take_snapshot(
                Store(root), recipe="ticket", data=data, columns=DEFAULT_TICKET_COLUMNS, parameters=TicketParameters()
            )
