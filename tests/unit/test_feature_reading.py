"""Does the online store answer with what is known now, and never with what is too old to count?"""

from __future__ import annotations

import signal
from datetime import timedelta
from pathlib import Path

import pytest

from frontdesk.errors import StorageError
from frontdesk.feature_repo.materialising import materialise
from frontdesk.feature_repo.online import OnlineFeatures, push
from frontdesk.feature_repo.repository import Repository, open_repository
from frontdesk.feature_repo.views import LINE_STATE_PUSH
from frontdesk.features import FoundFeatures
from frontdesk.records.features import FeatureColumns
from tests.feature_tables import DAY, HISTORY, NOON, TICKET, line_table, write_history
from tests.redis_server import RedisServer

INTENT = FeatureColumns(
    service="intent_v1",
    entities={"line": "line", "operator": "operator"},
    categorical=("open_incident", "operator_line"),
    numeric=("queue_length",),
)
EVERYTHING = {"last_contact_type": "unknown", "tickets_7d": "unknown", "days_since_contact": "unknown"}


@pytest.fixture(params=["sqlite", "redis"])
def repository(request, tmp_path: Path) -> Repository:
    redis = request.getfixturevalue("redis_server").url if request.param == "redis" else None
    return open_repository(str(write_history(tmp_path)), redis=redis)


def read(repository: Repository, customer: str | None, days: float, columns: FeatureColumns = TICKET) -> FoundFeatures:
    moment = (NOON + days * DAY).timestamp()
    return OnlineFeatures(repository, columns).read({"customer": [customer]}, [moment])[0]


def line_state(repository: Repository, hours: float = 0.0) -> FoundFeatures:
    keys = {"line": ["cards"], "operator": ["nobody"]}
    return OnlineFeatures(repository, INTENT).read(keys, [(NOON + timedelta(hours=hours)).timestamp()])[0]


def test_the_newest_values_are_read(repository: Repository) -> None:
    assert materialise(repository, NOON) == {"customer_history": 1}
    known = {"last_contact_type": "late", "tickets_7d": 9.0, "days_since_contact": 1.0}
    assert read(repository, "ada", 0) == FoundFeatures(known)
    assert read(repository, "bob", 0).missing == EVERYTHING  # what comes after noon was left for later
    assert read(repository, "eve", 0).missing == EVERYTHING
    assert read(repository, None, 0).missing == EVERYTHING


def test_a_value_older_than_its_time_to_live_is_missing(repository: Repository) -> None:
    materialise(repository, NOON)
    assert read(repository, "ada", 88.9).missing == {}
    assert read(repository, "ada", 89.1) == FoundFeatures({}, dict.fromkeys(EVERYTHING, "stale"))


def test_materialising_twice_changes_nothing(repository: Repository) -> None:
    materialise(repository, NOON)
    before = [read(repository, customer, 0) for customer in ("ada", "bob", "cid", "eve")]
    materialise(repository, NOON)
    assert [read(repository, customer, 0) for customer in ("ada", "bob", "cid", "eve")] == before


def test_a_row_that_arrived_late_is_found_by_the_next_run(repository: Repository) -> None:
    materialise(repository, NOON)
    write_history(Path(repository.root), (("eve", -5, +1, "news", 5.0, 5.0),), "part-1")
    materialise(repository, NOON + DAY)
    assert read(repository, "eve", 1).values["last_contact_type"] == "news"


def test_what_is_pushed_is_read_at_once_and_an_older_push_changes_nothing(repository: Repository) -> None:
    push(repository, LINE_STATE_PUSH, line_table("cards", NOON, "outage", 7.0))
    found = line_state(repository)
    assert found.values == {"open_incident": "outage", "queue_length": 7.0}
    assert found.missing == {"operator_line": "unknown"}
    push(repository, LINE_STATE_PUSH, line_table("cards", NOON - timedelta(minutes=1), "none", 1.0))
    assert line_state(repository) == found
    push(repository, LINE_STATE_PUSH, line_table("cards", NOON + timedelta(minutes=1), "none", 1.0))
    assert line_state(repository).values == {"open_incident": "none", "queue_length": 1.0}
    assert line_state(repository, hours=3).missing["open_incident"] == "stale"


def test_of_several_rows_of_one_entity_in_one_batch_the_newest_stays(repository: Repository) -> None:
    import pyarrow as pa

    rows = [line_table("cards", NOON + timedelta(minutes=minute), f"i{minute}", 0.0) for minute in (1, 5, 3)]
    push(repository, LINE_STATE_PUSH, pa.concat_tables(rows))
    assert line_state(repository).values["open_incident"] == "i5"


def test_many_keys_are_answered_in_their_order(repository: Repository) -> None:
    materialise(repository, NOON)
    customers = ["eve", "ada", None, "ada", "bob"]
    found = OnlineFeatures(repository, TICKET).read({"customer": customers}, [NOON.timestamp()] * 5)
    assert [one.values.get("last_contact_type") for one in found] == [None, "late", None, "late", None]


def test_a_redis_that_is_gone_or_hangs_is_an_error_in_time(redis_server: RedisServer, tmp_path: Path) -> None:
    root = str(write_history(tmp_path))
    materialise(open_repository(root, redis=redis_server.url), NOON)
    reader = OnlineFeatures(open_repository(root, redis=redis_server.url, timeout_seconds=0.2), TICKET)
    asked = {"customer": ["ada"]}, [NOON.timestamp()]
    assert reader.read(*asked)[0].missing == {}
    assert redis_server.process is not None
    redis_server.process.send_signal(signal.SIGSTOP)
    with pytest.raises(StorageError, match="TimeoutError"):
        reader.read(*asked)
    redis_server.process.send_signal(signal.SIGCONT)
    assert reader.read(*asked)[0].missing == {}
    redis_server.stop()
    with pytest.raises(StorageError, match="ConnectionError"):
        reader.read(*asked)


def test_forgotten_entities_leave_redis(redis_server: RedisServer, tmp_path: Path) -> None:
    from frontdesk.redis_connection import connect

    materialise(open_repository(str(write_history(tmp_path, HISTORY[:1])), redis=redis_server.url), NOON)
    client = connect(redis_server.url, timeout_seconds=5)
    keys = list(client.scan_iter())
    assert len(keys) == 1
    assert 0 < client.ttl(keys[0]) <= 90 * 86_400
    client.close()


def test_no_two_registries_have_one_version() -> None:
    """Feast lists a registry from its cache by version and place in memory, and memory is used again."""
    from frontdesk.feature_repo.sdk import Registry
    from frontdesk.feature_repo.stores import MemoryRegistryStore

    first, second = MemoryRegistryStore(), MemoryRegistryStore()
    versions = {first.get_registry_proto().version_id, second.get_registry_proto().version_id}
    for store in (first, second):
        changed = Registry()
        store.update_registry_proto(changed)
        assert store.get_registry_proto().version_id == changed.version_id
        versions.add(changed.version_id)
    assert len(versions) == 4
    assert "" not in versions
