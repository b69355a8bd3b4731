"""Do the checks of data pass, warn and fail where they promise to?"""

from __future__ import annotations

import numpy as np
import pytest

from frontdesk import checks
from frontdesk.errors import DataCheckFailed


@pytest.mark.parametrize(("refused", "status"), [(0, "pass"), (5, "pass"), (6, "warn"), (50, "warn"), (51, "fail")])
def test_refused_rows(refused: int, status: str) -> None:
    check = checks.refused_rows(refused, 100 - refused, {"age: not a number": refused} if refused else {})
    assert check.status == status
    assert check.value == refused / 100
    assert ("age: not a number" in check.words) == bool(refused)


@pytest.mark.parametrize(("empty", "status"), [(5, "pass"), (6, "warn"), (90, "warn"), (91, "fail")])
def test_empty_texts(empty: int, status: str) -> None:
    assert checks.empty_texts(empty, 100).status == status


@pytest.mark.parametrize(("late", "status"), [(0, "pass"), (1, "warn"), (5, "warn"), (6, "fail")])
def test_future_stamps(late: int, status: str) -> None:
    times = np.array([100] * (10 - late) + [301] * late, np.int64)
    check = checks.future_stamps(times, tomorrow=300)
    assert (check.status, check.value) == (status, late)


def test_missing_values() -> None:
    assert checks.missing_values({"a": 50, "b": 0}, 100).status == "pass"
    check = checks.missing_values({"a": 51, "b": 0}, 100)
    assert check.status == "warn"
    assert check.words.endswith("missing in a")
    assert checks.missing_values({"a": 100, "b": 100}, 100).status == "fail"


def test_duplicates_matter_where_there_is_text() -> None:
    assert checks.duplicates(11, 100, has_text=True).status == "warn"
    assert checks.duplicates(10, 100, has_text=True).status == "pass"
    assert checks.duplicates(99, 100, has_text=False).status == "pass"


@pytest.mark.parametrize(
    ("counts", "statuses"),
    [
        ({"one": [50, 50]}, ["pass"]),
        ({"one": [991, 9]}, ["warn"]),
        ({"one": [100]}, ["fail"]),
        ({"one": []}, ["fail"]),
        ({"one": [100, 0]}, ["fail"]),
        ({"one": [100], "two": [50, 50]}, ["warn", "pass"]),
        ({"one": [], "two": [50, 50]}, ["warn", "pass"]),
        ({"one": [100], "two": []}, ["fail", "fail"]),
    ],
)
def test_label_collapse(counts: dict[str, list[int]], statuses: list[str]) -> None:
    found = checks.labels({head: np.array(count, np.int64) for head, count in counts.items()})
    assert [check.status for check in found] == statuses
    assert [check.name for check in found] == [f"labels.{head}" for head in counts]


def test_every_failure_is_told() -> None:
    failed = [checks.empty_texts(99, 100), checks.split_sizes(10, 0), checks.refused_rows(1, 99, {})]
    with pytest.raises(DataCheckFailed) as caught:
        checks.require(failed, where="tickets.csv")
    assert "99.0% of the rows hold no text (empty_texts)" in str(caught.value)
    assert "(split)" in str(caught.value)
    assert "refused_rows" not in str(caught.value)
    checks.require(failed[2:], where="tickets.csv")
