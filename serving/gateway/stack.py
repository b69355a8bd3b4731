"""The whole stack on loopback from one command: model server, gateway, console."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from frontdesk.bundle import manifest_at
from frontdesk.bundle.folder import POLICY
from frontdesk.database import Database, open_database
from frontdesk.database.keys import SCOPES, create_key, list_keys, revoke_key
from frontdesk.errors import FrontdeskError, UsageError
from frontdesk.logs import event
from frontdesk.serving import event_loop
from frontdesk.serving.gateway.child import Child
from frontdesk.serving.gateway.private_redis import PrivateRedis
from frontdesk.serving.gateway.process import GatewayServer
from frontdesk.serving.gateway.settings import GatewaySettings
from frontdesk.serving.listener import address_of, listen
from frontdesk.settings import read_settings, settings
from frontdesk.storage import canonical_json, reading, write_atomically

UP = "up.json"
DEMO_CLIENT = "demo"
_READY_SECONDS = 180.0
_RESTARTS = 3
_RESTART_WINDOW_SECONDS = 60.0
_log = logging.getLogger(__name__)


def up(
    bundles: Sequence[str],
    out: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    redis: bool = False,
    told: Callable[[dict[str, Any]], None] = lambda _: None,
) -> None:
    """Start everything, write ``up.json`` when all of it is ready, and stop everything on SIGTERM or SIGINT.

    Args:
        bundles: folders or ``s3://`` addresses.
        out: folder of ``up.json``, the logs, and the database where no other one is set.
        port: of the gateway; 0 takes a free one.
        redis: start a Redis too, for the Markov tables, features and the limits.
        told: is called with the content of ``up.json``.

    Raises:
        UsageError: no bundle, a port that is taken, or another Redis in the settings.
        BundleError: a bundle cannot be served.
        MissingTool: there is no redis-server.
        FrontdeskError: a part did not become ready, or died again and again.
    """
    recipes = _recipes(bundles)
    if redis and settings().redis is not None:
        raise UsageError("FRONTDESK_REDIS names one already", where="--redis", remedy="Leave one of them out")
    out.mkdir(parents=True, exist_ok=True)
    (out / UP).unlink(missing_ok=True)
    database = open_database(settings().database or f"sqlite:///{(out / 'frontdesk.db').absolute()}")
    database.upgrade()
    lines = os.environ.get("FRONTDESK_GATEWAY_LINES") or _lines_of(recipes, out)
    _end_demo_keys(database)
    key = create_key(database, DEMO_CLIENT, SCOPES)
    with listen(host, port) as listener:
        private = PrivateRedis(_free_port(), out, bundles) if redis else None
        models = Child(
            ["-m", "frontdesk.serving", *bundles],
            _free_port(),
            out / "models.log",
            {} if private is None else private.variables,
        )
        gateway = GatewayServer(
            read_settings(GatewaySettings, lines=lines, bundles=tuple(bundles)),
            database,
            dict.fromkeys(recipes, models.url),
            listener,
            settings().redis if private is None else private.url,
        )
        address = address_of(listener)
        content = {
            "gateway": address,
            "console": f"{address}/console",
            "models": dict.fromkeys(recipes, models.url),
            "key": key.text,
            **({} if private is None else {"redis": private.url}),
        }
        gateway.catch_signals()
        try:
            event_loop.run(_run(gateway, models, private, content, out, told))
        finally:
            models.stop()
            if private is not None:
                private.stop()
            (out / UP).unlink(missing_ok=True)
            _end_demo_keys(database)
            database.close()


async def _run(
    gateway: GatewayServer,
    models: Child,
    private: PrivateRedis | None,
    content: dict[str, Any],
    out: Path,
    told: Callable[[dict[str, Any]], None],
) -> None:
    if private is not None:
        await asyncio.to_thread(private.start)
    models.start()
    serving = asyncio.create_task(gateway.serve())
    watching = asyncio.create_task(_watch(gateway, models, private, content, out, told))
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
    models: Child,
    private: PrivateRedis | None,
    content: dict[str, Any],
    out: Path,
    told: Callable[[dict[str, Any]], None],
) -> None:
    """Tell when everything is ready; start a model server or a Redis that died again, a few times."""
    end = time.monotonic() + _READY_SECONDS
    while not (
        gateway.started and (private is None or private.is_filled()) and await asyncio.to_thread(models.is_ready)
    ):
        if not models.is_alive():
            raise FrontdeskError(
                "the model server ended before it was ready", where=models.log.name, remedy=models.said()
            )
        if time.monotonic() > end:
            raise FrontdeskError("the model server did not become ready", where=models.log.name, remedy=models.said())
        await asyncio.sleep(0.1)
    write_atomically(out / UP, canonical_json(content))
    (out / UP).chmod(0o600)  # it holds a key
    told(content)
    deaths: list[float] = []
    while True:
        await asyncio.sleep(0.25)
        without_redis = private is not None and not private.is_alive()
        if models.is_alive() and not without_redis:
            continue
        now = time.monotonic()
        deaths = [at for at in deaths if now - at < _RESTART_WINDOW_SECONDS] + [now]
        if private is not None and without_redis:
            event(_log, "redis_died", level=logging.ERROR, times=len(deaths))
        else:
            event(_log, "model_server_died", level=logging.ERROR, exit_code=models.exit_code, times=len(deaths))
        if len(deaths) > _RESTARTS:
            raise FrontdeskError("a server dies again and again", where=models.log.name, remedy=models.said())
        if private is not None and without_redis:
            await asyncio.to_thread(private.start)
        else:
            models.start()


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
