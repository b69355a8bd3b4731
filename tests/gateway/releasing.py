"""A model store with a deployed ticket model and a candidate beside it, and the traffic of a desk."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from frontdesk.bundle import manifest_at
from frontdesk.bundle.folder import model_id_of
from frontdesk.deployment import enter, switch
from frontdesk.registry import Registry, Version
from frontdesk.storage import MANIFEST, Store, canonical_json
from tests.bundles import fused
from tests.gateway.desk import TICKETS


def twin(bundle: Path, folder: Path, snapshot: str = "another") -> Path:
    """Copy a bundle as if it were trained on another snapshot: other model_id, same answers."""
    shutil.copytree(bundle, folder)
    manifest = orjson.loads((folder / MANIFEST).read_bytes()) | {"snapshot": snapshot}
    manifest["model_id"] = model_id_of(manifest)
    (folder / MANIFEST).write_bytes(canonical_json(manifest))
    return folder


@dataclass(frozen=True)
class Place:
    """A store whose first version is deployed."""

    store: Store
    registry: Registry
    champion: Version
    candidate: Version


def released(folder: Path, empty_registry: Path, champion: Path) -> Place:
    """Register a bundle and its twin, and deploy the first."""
    recipe = manifest_at(str(champion))["recipe"]
    store = Store(str(folder / "store"))
    registry = Registry(f"sqlite:///{shutil.copyfile(empty_registry, folder / 'mlflow.db')}")
    candidate = twin(champion, folder / "twin")
    versions = [
        enter(store, registry, recipe=recipe, fused=fused(store, name, bundle))
        for name, bundle in (("first", champion), ("second", candidate))
    ]
    switch(store, registry, recipe, versions[0])
    return Place(store, registry, *versions)


@dataclass
class Desk:
    """What callers were answered.

    Attributes:
        statuses, models: of every answer.
    """

    statuses: list[int] = field(default_factory=list)
    models: list[str | None] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)


def ask(client: httpx.Client, case: str, text: str = "lost card") -> dict[str, Any]:
    """Ask for one ticket."""
    response = client.post(TICKETS, json={"instances": [{"id": case, "subject": text, "body": "please"}]})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()["predictions"][0]
    return found


@contextmanager
def traffic(
    client: httpx.Client, callers: int = 3, route: str = TICKETS, case_field: str = "id", **instance: Any
) -> Iterator[Desk]:
    """Let callers ask without end, each case once, until the block ends."""
    fields = instance or {"subject": "lost card", "body": "please"}
    desk, done = Desk(), threading.Event()

    def call(caller: int) -> None:
        number = 0
        while not done.is_set():
            number += 1
            case = f"{caller}-{number}"
            response = client.post(route, json={"instances": [{case_field: case, **fields}]})
            desk.statuses.append(response.status_code)
            if response.status_code == 200:
                answer = response.json()["predictions"][0]
                desk.models.append(answer["model_id"])
                desk.answers.append(answer)

    threads = [threading.Thread(target=call, args=(caller,)) for caller in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield desk
    finally:
        done.set()
        for thread in threads:
            thread.join()
