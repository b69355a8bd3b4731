"""The whole stack on loopback from one command: model server, gateway, console; with a store, its controller too."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from frontdesk.bundle import manifest_at
from frontdesk.bundle.folder import POLICY
from frontdesk.database import Database, open_database
from frontdesk.database.keys import SCOPES, create_key, list_keys, revoke_key
from frontdesk.deployment import current
from frontdesk.errors import FrontdeskError, UsageError
from frontdesk.logs import event
from frontdesk.recipes import names
from frontdesk.rollout import CANDIDATE_SUFFIX
from frontdesk.serving.gateway.child import Child
from frontdesk.serving.gateway.process import GatewayServer
from frontdesk.serving.gateway.settings import GatewaySettings
from frontdesk.serving.listener import address_of, listen
from frontdesk.settings import read_settings, settings
from frontdesk.storage import Store, canonical_json, reading, write_atomically

UP = "up.json"
DEMO_CLIENT = "demo"
_READY_SECONDS = 180.0
_LOOK = ("--look-seconds", "1")
_RESTARTS = 3
_RESTART_WINDOW_SECONDS = 60.0
_log = logging.getLogger(__name__)


def up(
    bundles: Sequence[str],
    out: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    store: str | None = None,
    told: Callable[[dict[str, Any]], None] = lambda _: None,
) -> None:
    """Start everything, write ``up.json`` when all of it is ready, and stop everything on SIGTERM or SIGINT.

    Args:
        bundles: folders or ``s3://`` addresses.
        out: folder of ``up.json``, the logs, and the database where no other one is set.
        port: of the gateway; 0 takes a free one.
        store: serve what is deployed there in place of bundles, follow it, and drive its rollouts.
        told: is called with the content of ``up.json``.

    Raises:
        UsageError: no bundle, nothing deployed in the store, or a port that is taken.
        BundleError: a bundle cannot be served.
        FrontdeskError: a part did not become ready, or died again and again.
    """
    recipes = _recipes(bundles) if store is None else _deployed(store)
    bundles = bundles if store is None else list(recipes.values())
    out.mkdir(parents=True, exist_ok=True)
    (out / UP).unlink(missing_ok=True)
    address_of_database = settings().database or f"sqlite:///{(out / 'frontdesk.db').absolute()}"
    database = open_database(address_of_database)
    database.upgrade()
    lines = os.environ.get("FRONTDESK_GATEWAY_LINES") or _lines_of(recipes, out)
    _end_demo_keys(database)
    key = create_key(database, DEMO_CLIENT, SCOPES)
    with listen(host, port) as listener:
        served = list(bundles) if store is None else [*_names(recipes), "--store", store, *_LOOK]
        models = Child("model server", ["-m", "frontdesk.serving", *served], out / "models.log", _free_port())
        children = [models]
        if store is not None:
            watching = ["-m", "frontdesk.cli.main", "rollout", "watch", *recipes, "--store", store, "--every", "1"]
            urls = canonical_json(dict.fromkeys(_names(recipes), models.url)).decode()
            places = {"FRONTDESK_DATABASE": address_of_database, "FRONTDESK_MODELS": urls}
            children.append(Child("controller", watching, out / "controller.log", environment=places))
        gateway = GatewayServer(
            read_settings(GatewaySettings, lines=lines, bundles=tuple(bundles)),
            database,
            dict.fromkeys(recipes, models.url),
            listener,
        )
        address = address_of(listener)
        content = {
            "gateway": address,
            "console": f"{address}/console",
            "models": dict.fromkeys(recipes, models.url),
            "key": key.text,
        }
        gateway.catch_signals()
        try:
            asyncio.run(_run(gateway, children, content, out, told))
        finally:
            for child in reversed(children):
                child.stop()
            (out / UP).unlink(missing_ok=True)
            _end_demo_keys(database)
            database.close()


async def _run(
    gateway: GatewayServer,
    children: Sequence[Child],
    content: dict[str, Any],
    out: Path,
    told: Callable[[dict[str, Any]], None],
) -> None:
    for child in children:
        child.start()
    serving = asyncio.create_task(gateway.serve())
    watching = asyncio.create_task(_watch(gateway, children, content, out, told))
    await asyncio.wait((serving, watching), return_when=asyncio.FIRST_COMPLETED)
    gateway.stop()
    watching.cancel()
    await serving
    try:
        await watching
    except asyncio.CancelledError:
        event(_log, "stopping")


async def _watch(
    gateway: GatewayServer,
    children: Sequence[Child],
    content: dict[str, Any],
    out: Path,
    told: Callable[[dict[str, Any]], None],
) -> None:
    """Tell when everything is ready; start a child that died again, a few times."""
    end = time.monotonic() + _READY_SECONDS
    for child in children:
        while not (gateway.started and await asyncio.to_thread(child.is_ready)):
            if not child.is_alive():
                words = f"the {child.name} ended before it was ready"
                raise FrontdeskError(words, where=child.log.name, remedy=child.said())
            if time.monotonic() > end:
                words = f"the {child.name} did not become ready"
                raise FrontdeskError(words, where=child.log.name, remedy=child.said())
            await asyncio.sleep(0.1)
    write_atomically(out / UP, canonical_json(content))
    (out / UP).chmod(0o600)  # it holds a key
    told(content)
    deaths: dict[str, list[float]] = {}
    while True:
        await asyncio.sleep(0.25)
        for child in children:
            if not child.is_alive():
                _start_again(child, deaths)


def _start_again(child: Child, deaths: dict[str, list[float]]) -> None:
    now = time.monotonic()
    lately = [at for at in deaths.get(child.name, ()) if now - at < _RESTART_WINDOW_SECONDS] + [now]
    deaths[child.name] = lately
    name = child.name.replace(" ", "_")
    event(_log, f"{name}_died", level=logging.ERROR, exit_code=child.exit_code, times=len(lately))
    if len(lately) > _RESTARTS:
        raise FrontdeskError(f"the {child.name} dies again and again", where=child.log.name, remedy=child.said())
    child.start()


def _deployed(store: str) -> dict[str, str]:
    """Return the deployed bundle of each recipe of a store."""
    places = {recipe: current(Store(store), recipe) for recipe in names()}
    found = {recipe: str(pointer["uri"]) for recipe, pointer in places.items() if pointer is not None}
    if not found:
        raise UsageError("no model is deployed in this store", where="--store", remedy="Deploy one: frontdesk run")
    return found


def _names(recipes: Iterable[str]) -> list[str]:
    """Return the names that the models of a store are served under, each recipe's candidate beside its champion."""
    return [name for recipe in recipes for name in (recipe, f"{recipe}{CANDIDATE_SUFFIX}")]


def _recipes(bundles: Sequence[str]) -> dict[str, str]:
    """Return the bundle of each recipe, the first where there are several."""
    if not bundles:
        raise UsageError("no bundle to serve", remedy="Name one with --bundle, or run `make demo` first")
    found: dict[str, str] = {}
    for location in bundles:
        found.setdefault(manifest_at(location)["recipe"], location)
    return found


def _lines_of(recipes: dict[str, str], out: Path) -> str | None:
    """Write the lines' configuration that the intent bundle was made with to a file; return its name."""
    if "intent" not in recipes:
        return None
    with reading(f"{recipes['intent'].rstrip('/')}/{POLICY}") as file:
        policy = orjson.loads(bytes(file.read()))
    path = out / "lines.json"
    write_atomically(path, canonical_json(policy["configuration"]))
    return str(path)


def _end_demo_keys(database: Database) -> None:
    """End the demo keys of earlier starts: each start shows its own."""
    now = datetime.now(UTC)
    for key in list_keys(database):
        if key.client == DEMO_CLIENT and key.is_good(now):
            revoke_key(database, key.prefix)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
