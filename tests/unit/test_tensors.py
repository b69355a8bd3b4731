"""Shards and arrays hold the same numbers, bit for bit, in the snapshot's order."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontdesk.errors import TransferError, UnreadableFile
from frontdesk.preprocessing.encoding import Arrays
from frontdesk.storage import MANIFEST, Store
from frontdesk.tensors import TensorSet, pack, packed_ids, transfer
from tests.tensor_folder import made_arrays, put_tensors


@given(st.integers(0, 9), st.integers(1, 12), st.integers(0, 4), st.integers(0, 3))
def test_what_is_packed_is_unpacked(rows: int, tokens: int, start: int, seed: int) -> None:
    arrays, labels = made_arrays(rows, tokens=tokens, seed=seed)
    batch = pack(arrays, labels, pa.array(range(rows), pa.int64())).slice(start)
    np.testing.assert_array_equal(packed_ids(batch.column("ids"), tokens), arrays.ids[start:])


def test_a_row_of_another_width_is_refused() -> None:
    arrays, labels = made_arrays(3, tokens=8)
    with pytest.raises(TransferError, match="width"):
        packed_ids(pack(arrays, labels, pa.array(range(3))).column("ids"), 9)


def test_arrays_come_back_in_row_order(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    arrays, labels = made_arrays(101, tokens=8)
    order = list(range(101))
    random.Random(3).shuffle(order)
    put_tensors(store, "t", arrays, labels, order=order, files=4)
    found = TensorSet.open(transfer(store, "t", tmp_path / "node"), "train", verify=True)
    np.testing.assert_array_equal(found.ids, arrays.ids)
    np.testing.assert_array_equal(found.categories, arrays.categories)
    assert found.numbers.tobytes() == arrays.numbers.tobytes()
    for head, values in labels.items():
        np.testing.assert_array_equal(found.labels[head], values)
    assert found.rows == 101
    kinds = {name: getattr(found, name).dtype.str for name in ("ids", "categories", "numbers")}
    assert kinds == {"ids": "<i4", "categories": "<i4", "numbers": "<f8"}


def test_arrays_are_read_only(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    put_tensors(store, "t", *made_arrays(5))
    found = TensorSet.open(transfer(store, "t", tmp_path / "node"), "train")
    with pytest.raises(ValueError, match="read-only"):
        found.ids[0, 0] = 7


def test_no_rows_and_no_fields_are_empty_arrays(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    none = Arrays(np.zeros((0, 4), np.int32), np.zeros((0, 0), np.int32), np.zeros((0, 0)))
    put_tensors(store, "t", none, {"reply": np.zeros(0, np.int32)})
    found = TensorSet.open(transfer(store, "t", tmp_path / "node"), "train", verify=True)
    assert (found.ids.shape, found.categories.shape, found.numbers.shape) == ((0, 4), (0, 0), (0, 0))


@pytest.mark.parametrize(
    ("order", "words"), [([0, 1, 1], "comes twice"), ([0, 1, 3], "out of range"), ([0, 1], "1 rows")]
)
def test_rows_that_are_doubled_or_lost_are_refused(tmp_path: Path, order: list[int], words: str) -> None:
    store = Store(str(tmp_path / "store"))
    arrays, labels = made_arrays(3)
    put_tensors(store, "t", arrays, labels, order=order)
    with pytest.raises(TransferError, match=words):
        transfer(store, "t", tmp_path / "node")
    assert not (tmp_path / "node" / "t" / MANIFEST).exists()


def test_tensors_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no such tensors"):
        transfer(Store(str(tmp_path)), "absent", tmp_path / "node")
    with pytest.raises(TransferError, match="not complete"):
        TensorSet.open(tmp_path, "train")


def test_a_split_stays_on_the_device_when_half_of_the_memory_holds_it(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    put_tensors(store, "t", *made_arrays(50))
    found = TensorSet.open(transfer(store, "t", tmp_path / "node"), "train")
    assert found.nbytes == sum(array.nbytes for array in (found.ids, found.categories, found.numbers)) + 50 * 4 * 2
    assert found.device_resident(2 * found.nbytes)
    assert not found.device_resident(2 * found.nbytes - 2)
