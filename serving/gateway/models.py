"""The private model servers: KServe's V1 protocol over bounded connections, with deadlines and a circuit breaker."""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson

from frontdesk.errors import InvalidRequest, Overloaded, TooLarge, Unavailable
from frontdesk.recipes import names
from frontdesk.serving.gateway import metrics
from frontdesk.serving.http_client import FAILURES, Answer, HttpClient, was_lost

KEPT_HEADERS = ("x-request-id", "traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled")
"""Headers that go on to the model server."""
_CONNECTIONS = 64
_FAILURES = 5
_OPEN_SECONDS = 1.0
_RETRIES = (0.05, 0.1, 0.2, 0.4)
_WHERE = re.compile(r"(instances\[\d+\][^:]{0,200}|instances|parameters|body): ")


class Breaker:
    """Stops asking a server that failed several times in a row; one request after a pause tries again.

    Args:
        failures: in a row, that open it.
        seconds: until the next try.
    """

    def __init__(self, failures: int = _FAILURES, seconds: float = _OPEN_SECONDS) -> None:
        self._most, self._seconds = failures, seconds
        self._failures = 0
        self._next_try = 0.0

    def allows(self) -> bool:
        """Return whether to ask; where the breaker is open, only one caller per pause hears yes."""
        if self._failures < self._most:
            return True
        now = time.monotonic()
        if now < self._next_try:
            return False
        self._next_try = now + self._seconds
        return True

    def succeeded(self) -> None:
        """Count an answer, of whatever kind."""
        self._failures = 0

    def failed(self) -> None:
        """Count a server that did not answer."""
        self._failures += 1
        self._next_try = time.monotonic() + self._seconds


class Models:
    """Clients of the model servers.

    Args:
        urls: ``{recipe: address of its server}``; a model that is served under another name, as ``ticket-candidate``,
            may have an entry of its own, and is on the recipe's server otherwise.

    Attributes:
        urls: of the recipes alone.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        self.urls = {recipe: url for recipe, url in urls.items() if recipe in names()}
        self._named = dict(urls)
        self._breakers: defaultdict[str, Breaker] = defaultdict(Breaker)
        self._client = HttpClient(_CONNECTIONS)

    async def predict(
        self,
        recipe: str,
        instances: Sequence[Any],
        *,
        seconds: float,
        model: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """Ask for one answer per instance.

        Args:
            seconds: deadline of everything together.
            model: served name, where it is not the recipe's.
            parameters: of the V1 body.
            headers: of the request that this one serves.

        Raises:
            InvalidRequest: the server refused an instance; ``where`` begins with ``instances[place]``.
            Overloaded: the server stayed busy.
            Unavailable: there is no such server, or it did not answer well in time.
        """
        name = model or recipe
        url = self._named.get(name) or self.urls.get(recipe)
        if url is None:
            raise Unavailable(f"no model server is set for {recipe}", where=recipe)
        breaker = self._breakers[name]  # of its own: a broken candidate shuts nobody off from the champion
        if not breaker.allows():
            metrics.count_model_failure(recipe, "open")
            raise Unavailable("the model server did not answer lately", where=recipe, remedy="Ask again in a second")
        body: dict[str, Any] = {"instances": instances}
        if parameters:
            body["parameters"] = parameters
        kept = {name: (headers or {})[name] for name in KEPT_HEADERS if name in (headers or {})}
        address = f"{url.rstrip('/')}/v1/models/{name}:predict"
        content, began = orjson.dumps(body), time.perf_counter()
        try:
            async with asyncio.timeout(seconds):
                response = await self._post(address, content, {"content-type": "application/json", **kept})
        except TimeoutError:
            raise self._failed(recipe, breaker, "timeout", "the model server did not answer in time") from None
        except FAILURES:
            raise self._failed(recipe, breaker, "connect", "the model server does not answer") from None
        metrics.observe_stage("model", time.perf_counter() - began)
        if response.status >= 500 or response.status in (401, 403, 404, 405):
            raise self._failed(recipe, breaker, "status", "the model server cannot answer now")
        if response.status != 200:
            breaker.succeeded()
            raise _refusal(response)
        predictions = _predictions(response.content)
        if len(predictions) != len(instances):
            raise self._failed(recipe, breaker, "content", "the model server does not answer as it should")
        breaker.succeeded()
        return predictions

    async def _post(self, address: str, content: bytes, headers: dict[str, str]) -> Answer:
        """Post; again after a pause where the server is busy, or closed a connection that it had kept open."""
        response = None
        for pause in (*_RETRIES, None):
            try:
                response = await self._client.send("POST", address, content, headers)
            except FAILURES as error:
                # A server that restarts drops idle connections. A prediction has no effect there: asking twice is safe.
                if pause is None or not was_lost(error):
                    raise
            else:
                if response.status != 429 or pause is None:
                    return response
            if pause is not None:
                await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _failed(self, recipe: str, breaker: Breaker, cause: str, words: str) -> Unavailable:
        breaker.failed()
        metrics.count_model_failure(recipe, cause)
        return Unavailable(words, where=recipe, remedy="Ask again in a few seconds")

    async def ready(self, recipe: str, seconds: float = 1.0) -> bool:
        """Return whether a recipe's model answers probes."""
        try:
            async with asyncio.timeout(seconds):
                address = f"{self.urls[recipe].rstrip('/')}/v2/models/{recipe}/ready"
                return (await self._client.send("GET", address)).status == 200
        except (TimeoutError, *FAILURES):
            return False

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()


def _predictions(content: bytes) -> list[dict[str, Any]]:
    """Return the answers of a V1 body, none where it is something else."""
    with suppress(ValueError, KeyError, TypeError):
        found = orjson.loads(content)["predictions"]
        if isinstance(found, list) and all(isinstance(one, dict) for one in found):
            return found
    return []


def _refusal(response: Answer) -> InvalidRequest | Overloaded:
    """Return the model server's refusal; its words are made for callers."""
    try:
        words = str(orjson.loads(response.content)["error"])
    except (ValueError, KeyError, TypeError):
        words = "the request cannot be read"
    if response.status == 429:
        return Overloaded("the model server is busy", remedy="Ask again in a second")
    if response.status == 413:
        return TooLarge("is larger than the model server reads", where="instances[0]")
    found = _WHERE.match(words)
    return InvalidRequest(words[found.end() :] if found else words, where=found[1] if found else "instances")
