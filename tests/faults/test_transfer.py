"""Is a transfer that was killed continued, and is every altered byte found?"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.fs as pafs
import pytest

from frontdesk import tensors
from frontdesk.errors import StorageError, TransferError
from frontdesk.storage import MANIFEST, Store, filesystem
from frontdesk.tensors import TensorSet, transfer
from tests.s3_server import S3
from tests.tensor_folder import made_arrays, put_tensors

ROWS = 4000
ARRAYS, LABELS = made_arrays(ROWS, tokens=256)
CHUNK = 64 << 10

KILLED = f"""
import os, signal, sys
from pathlib import Path
from frontdesk import tensors
from frontdesk.storage import Store
tensors._CHUNK = {CHUNK}
calls = []
def report(stage, done, total, note):
    calls.append(done)
    if len(calls) == 7:
        os.kill(os.getpid(), signal.SIGKILL)
tensors.report = report
tensors.transfer(Store(sys.argv[1]), "t", Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    put_tensors(Store(str(root)), "t", ARRAYS, LABELS)
    return root


@pytest.fixture
def store(stored: Path, tmp_path: Path) -> Store:
    """A store of one's own to damage."""
    root = tmp_path / "store"
    pafs.copy_files(str(stored), str(root))
    return Store(str(root))


def shard(store: Store, number: int = 0) -> Path:
    return Path(store.uri("tensors", "t", "train", f"part-{number:05d}.parquet"))


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def kill_half_way(root: str, node: Path) -> Path:
    """Run a transfer in another process that dies by SIGKILL in the first shard; return the part that it left."""
    done = subprocess.run([sys.executable, "-c", KILLED, root, str(node)], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (part,) = (node / "t").rglob("*.part")
    return part


def there_already(store: Store, part: Path) -> int:
    """Return the bytes that a killed transfer had: the finished spec.json and the part."""
    assert 0 < part.stat().st_size < shard(store).stat().st_size
    return part.stat().st_size + Path(store.uri("tensors", "t", "spec.json")).stat().st_size


def sums(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    (fields,) = (record.fields for record in caplog.records if record.getMessage() == "tensors_transferred")
    return dict(fields)


def check(folder: Path) -> None:
    found = TensorSet.open(folder, "train", verify=True)
    np.testing.assert_array_equal(found.ids, ARRAYS.ids)
    assert found.numbers.tobytes() == ARRAYS.numbers.tobytes()
    hidden = [path.name for path in folder.rglob(".*")]
    assert hidden == [], "nothing of the transfer stays behind"


def test_killed_half_way_it_goes_on_where_it_was(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node = tmp_path / "node"
    there = there_already(store, kill_half_way(store.root, node))
    assert not (node / "t" / MANIFEST).exists()
    with caplog.at_level(logging.INFO, "frontdesk.tensors"):
        folder = transfer(store, "t", node)
    total = sum(entry["bytes"] for entry in store.manifest("tensors", "t")["files"].values())
    assert sums(caplog)["bytes_resumed"] == there
    assert sums(caplog)["bytes_copied"] == total - there
    check(folder)


def test_a_part_that_was_altered_meanwhile_is_fetched_anew(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The proof that what was there is used: only then can its first byte spoil the whole."""
    node = tmp_path / "node"
    part = kill_half_way(store.root, node)
    there = there_already(store, part)
    flip(part, 0)
    with caplog.at_level(logging.INFO, "frontdesk.tensors"):
        folder = transfer(store, "t", node)
    total = sum(entry["bytes"] for entry in store.manifest("tensors", "t")["files"].values())
    assert sums(caplog)["bytes_copied"] == total - there + shard(store).stat().st_size
    check(folder)


def test_a_part_longer_than_the_file_is_thrown_away(store: Store, tmp_path: Path) -> None:
    part = kill_half_way(store.root, tmp_path / "node")
    part.write_bytes(bytes(shard(store).stat().st_size + 1))
    check(transfer(store, "t", tmp_path / "node"))


@pytest.mark.parametrize("place", [0, -1, 5000])
def test_a_flipped_byte_in_the_store_is_found_and_named(store: Store, tmp_path: Path, place: int) -> None:
    flip(shard(store, 1), place)
    with pytest.raises(TransferError, match=r"part-00001\.parquet: .*digest") as caught:
        transfer(store, "t", tmp_path / "node")
    assert caught.value.remedy
    assert not (tmp_path / "node" / "t" / MANIFEST).exists()
    with pytest.raises(TransferError, match="not complete"):
        TensorSet.open(tmp_path / "node" / "t", "train")


@pytest.mark.parametrize("damage", ["truncated", "longer", "missing", "folder"])
def test_a_file_of_another_length_or_none_is_named(store: Store, tmp_path: Path, damage: str) -> None:
    path = shard(store)
    if damage == "truncated":
        os.truncate(path, path.stat().st_size // 2)
    elif damage == "longer":
        with path.open("ab") as file:
            file.write(b"more")
    else:
        path.unlink()
        if damage == "folder":
            path.mkdir()
    with pytest.raises(TransferError, match=r"part-00000\.parquet"):
        transfer(store, "t", tmp_path / "node")


def test_after_the_store_is_repaired_only_the_bad_file_is_copied(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flip(shard(store, 1), 100)
    with pytest.raises(TransferError):
        transfer(store, "t", tmp_path / "node")
    flip(shard(store, 1), 100)
    with caplog.at_level(logging.INFO, "frontdesk.tensors"):
        check(transfer(store, "t", tmp_path / "node"))
    assert sums(caplog)["bytes_resumed"] >= shard(store, 0).stat().st_size
    assert sums(caplog)["bytes_copied"] <= shard(store, 1).stat().st_size


@pytest.mark.parametrize("name", ["train.ids.npy", "train.label.reply.npy", "spec.json", "test.numbers.npy"])
def test_a_flipped_byte_on_the_node_is_found_and_repaired(store: Store, tmp_path: Path, name: str) -> None:
    folder = transfer(store, "t", tmp_path / "node")
    flip(folder / name, -1)
    with pytest.raises(TransferError, match=name):
        TensorSet.open(folder, "train", verify=True)
    check(transfer(store, "t", tmp_path / "node"))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"files": 3}'])
def test_a_broken_manifest_on_the_node_is_made_anew(store: Store, tmp_path: Path, content: bytes) -> None:
    folder = transfer(store, "t", tmp_path / "node")
    (folder / MANIFEST).write_bytes(content)
    check(transfer(store, "t", tmp_path / "node"))


def test_a_finished_transfer_copies_nothing(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = transfer(store, "t", tmp_path / "node")
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    monkeypatch.setattr(tensors, "reading", None)
    assert transfer(store, "t", tmp_path / "node") == folder
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_node_without_room_is_said_and_the_next_attempt_goes_on(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(np.lib.format, "open_memmap", full)
        with pytest.raises(StorageError, match="the transfer stopped"):
            transfer(store, "t", tmp_path / "node")
    check(transfer(store, "t", tmp_path / "node"))


def test_progress_counts_bytes_up_to_the_whole(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRONTDESK_PROGRESS", "lines")
    transfer(store, "t", tmp_path / "node")
    lines = [orjson.loads(line.removeprefix("@@progress ")) for line in capsys.readouterr().out.splitlines()]
    total = sum(entry["bytes"] for entry in store.manifest("tensors", "t")["files"].values())
    assert lines[-1] == {"stage": "data_transfer", "done": total, "total": total, "note": "bytes"}
    assert [line["done"] for line in lines] == sorted(line["done"] for line in lines)


def test_from_s3_it_is_resumed_and_verified_too(
    s3: S3, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    far = Store(s3.uri("transfer"))
    far.upload(Path(store.uri("tensors", "t")), "tensors", "t")
    node = tmp_path / "node"
    there = there_already(store, kill_half_way(far.root, node))
    with caplog.at_level(logging.INFO, "frontdesk.tensors"):
        check(transfer(far, "t", node))
    assert sums(caplog)["bytes_resumed"] == there
    files, path = filesystem(far.uri("tensors", "t", "train", "part-00001.parquet"))
    content = bytearray(shard(store, 1).read_bytes())
    content[99] ^= 1
    with files.open_output_stream(path) as sink:
        sink.write(bytes(content))
    with pytest.raises(TransferError, match=r"s3://.*part-00001\.parquet"):
        transfer(far, "t", tmp_path / "other")
