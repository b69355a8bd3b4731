"""Do the commands of docs/operations.md bring a desk back after its database, store, registry and Redis are lost?"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from frontdesk.bundle import Bundle
from frontdesk.deployment import current, deploy
from frontdesk.fusion import fuse_network
from frontdesk.intent.opening import load_intents
from frontdesk.intent.redis_store import prefix_of
from frontdesk.redis_connection import connect
from frontdesk.registry import Registry
from frontdesk.storage import Store, filesystem
from tests.bundles import fused
from tests.gateway.desk import FEEDBACK, TICKETS, GatewayProcess, client_of
from tests.intent_bundles import IntentRun
from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer
from tests.s3_server import S3
from tests.small_network import small_spec, write_network

GUIDE = Path(__file__).resolve().parents[2] / "docs/operations.md"
TOOLS = ("pg_dump", "pg_restore", "sqlite3", "aws")


def commands(heading: str) -> str:
    """Return the shell block below a heading of the guide."""
    found = re.search(rf"^## {heading}$.*?^```sh$(.*?)^```$", GUIDE.read_text("utf-8"), re.S | re.M)
    assert found, heading
    return found[1]


def run(script: str, variables: dict[str, str]) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={**os.environ, **variables, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"one of {', '.join(TOOLS)} is not installed")
def test_a_desk_comes_back_from_its_backup(
    postgres: PostgresServer,
    s3: S3,
    redis_server: RedisServer,
    intent_run: IntentRun,
    empty_registry: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = f"t{uuid.uuid4().hex}"
    registry_file = Path(shutil.copyfile(empty_registry, tmp_path / "mlflow.db"))
    places = {
        "BACKUP": str(tmp_path / "backup"),
        "FRONTDESK_DATABASE": postgres.create(name),
        "FRONTDESK_STORE": s3.uri("desk-to-restore"),
        "FRONTDESK_MLFLOW": f"sqlite:///{registry_file}",
        "FRONTDESK_REDIS": redis_server.url,
        "MLFLOW_FILE": str(registry_file),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    store, registry = Store(places["FRONTDESK_STORE"]), Registry(places["FRONTDESK_MLFLOW"])
    spec = small_spec()
    ticket = fuse_network(write_network(tmp_path / "network", spec), spec, "snapshot1", tmp_path / "ticket")
    deployed = {
        recipe: deploy(store, registry, recipe=recipe, fused=fused(store, recipe, bundle))
        for recipe, bundle in (("ticket", ticket), ("intent", intent_run.bundle))
    }
    desk = {"FRONTDESK_DATABASE": places["FRONTDESK_DATABASE"]}
    with GatewayProcess(tmp_path / "before", {"ticket": "http://127.0.0.1:9"}, desk) as gateway:
        assert isinstance(gateway, GatewayProcess)
        key = gateway.key
        asked = {"instances": [{"id": f"c{number}", "body": "lost card"} for number in range(20)]}
        answers = gateway.client.post(TICKETS, json=asked).json()["predictions"]
        closed = [
            {"id": str(place), "kind": "closed", "at": "2025-05-05T09:00:00+02:00", "labels": {"reply": "Refund"},
             "prediction_id": answer["prediction_id"]}
            for place, answer in enumerate(answers)
        ]  # fmt: skip
        assert gateway.client.post(FEEDBACK, json={"events": closed}).json()["applied"] == 20
    run(f"frontdesk predictions export --out {tmp_path}/before.parquet", places)

    run(commands("Back up"), places)

    postgres_tool = ["-h", "127.0.0.1", "-p", str(postgres.port), "-U", "desk"]
    subprocess.run([postgres.programs / "dropdb", *postgres_tool, name], check=True)
    postgres.create(name)
    registry_file.unlink()
    files, root = filesystem(store.root)
    files.delete_dir(root)
    shutil.rmtree(tmp_path / "cache")
    assert current(store, "ticket") is None

    run(commands("Restore"), places)

    run(f"frontdesk predictions export --out {tmp_path}/after.parquet", places)
    assert (tmp_path / "after.parquet").read_bytes() == (tmp_path / "before.parquet").read_bytes()
    restored = Registry(places["FRONTDESK_MLFLOW"])
    for recipe, version in deployed.items():
        assert restored.champion(recipe) == version
        assert (current(store, recipe) or {})["uri"] == version.bundle
        assert Bundle.load(version.bundle).model_id == version.model_id
    opened = load_intents(deployed["intent"].bundle)
    redis = connect(redis_server.url, timeout_seconds=5)
    pointer = redis.get(f"{prefix_of(opened.tokenizer.digest)}:current")
    assert pointer is not None
    table = opened.recommender.tables["all"]
    assert redis.hlen(f"{prefix_of(opened.tokenizer.digest)}:{pointer.decode()}") == len(table.keys) + 1
    redis.close()
    with GatewayProcess(tmp_path / "after", {"ticket": "http://127.0.0.1:9"}, desk) as gateway:
        assert isinstance(gateway, GatewayProcess)
        with client_of(gateway.url, key) as client:  # a key from before the loss
            assert client.post(TICKETS, json=asked).status_code == 200
            again = client.post(FEEDBACK, json={"events": closed}).json()
        assert again == {"applied": 0, "duplicates": 20}
        assert gateway.log_rows() == 40
