"""Probes and metrics."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.responses import Response

from frontdesk.errors import NotReady
from frontdesk.serving.gateway.operations import operation
from frontdesk.serving.gateway.state import gateway_of

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """Whether requests are taken.

    Attributes:
        status: ``degraded`` where a model server does not answer: requests are taken all the same, and marked.
        models: ``{recipe: whether its model answers}``.
    """

    status: Literal["ready", "degraded"]
    models: dict[str, bool]


@router.get("/healthz", **operation(Alive, public=True))
async def healthz() -> Alive:
    """Say that the process answers."""
    return Alive()


@router.get("/readyz", **operation(Readiness, 503, public=True))
async def readyz(request: Request) -> Readiness:
    """Say whether requests are taken: the database answers and has this release's schema, or a newer one's."""
    gateway = gateway_of(request)
    if not await gateway.run(gateway.database.is_new_enough):
        raise NotReady("the database has the schema of an older release", remedy="Restart the gateway to migrate it")
    recipes = sorted(gateway.models.urls)
    ready = await asyncio.gather(*(gateway.models.ready(recipe) for recipe in recipes))
    return Readiness(status="ready" if all(ready) else "degraded", models=dict(zip(recipes, ready, strict=True)))


@router.get("/metrics", **operation(None, public=True, words="Prometheus' text format."), response_class=Response)
async def metrics(request: Request) -> Response:
    """Return the counters of this process, and the newest verdicts of the database."""
    gateway = gateway_of(request)
    verdicts = await gateway.run(gateway.watch_metrics.text)
    return Response(generate_latest() + verdicts, headers={"content-type": CONTENT_TYPE_LATEST})
