"""The gateway as an application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from frontdesk.database import Database
from frontdesk.errors import InvalidRequest
from frontdesk.serving.gateway import console
from frontdesk.serving.gateway.assignment import Assignment
from frontdesk.serving.gateway.bodies import EmailBatch, IntentRequest, TicketRequest
from frontdesk.serving.gateway.boundary import Boundary
from frontdesk.serving.gateway.console.parts import open_console
from frontdesk.serving.gateway.desks.configured import open_desks
from frontdesk.serving.gateway.desks.work import DeskWork
from frontdesk.serving.gateway.models import Models
from frontdesk.serving.gateway.operations import describe
from frontdesk.serving.gateway.problems import problem_response
from frontdesk.serving.gateway.routes import emails, feedback, health, intents, lines, tickets, webhooks
from frontdesk.serving.gateway.routes.feedback import FeedbackBatch
from frontdesk.serving.gateway.routes.webhooks import WebhookBody
from frontdesk.serving.gateway.settings import GatewaySettings
from frontdesk.serving.gateway.state import Gateway, request_id_of, utc_now


def create_app(
    settings: GatewaySettings,
    database: Database,
    models: Mapping[str, str],
    assignment: Assignment | None = None,
    redis: str | None = None,
    now: Callable[[], datetime] = utc_now,
) -> FastAPI:
    """Build the application.

    Args:
        database: is brought to this release's schema when the application starts.
        models: ``{recipe: address of its model server}``.
        assignment: of experiments; None for those that run by the database.
        redis: address of what counts the limits of several gateways together; None for each by itself.
        now: tells when a prediction is made.
    """
    desks, pages = open_desks(settings.desks), open_console(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        gateway = Gateway(settings, database, Models(models), assignment, redis, now)
        app.state.gateway = gateway
        await gateway.run(database.upgrade)
        await gateway.run(gateway.assignment.refresh)
        app.state.desk_work, app.state.console = DeskWork(gateway, desks), pages
        await gateway.traffic.refresh()  # the first request already meets the split
        works = gateway.keep_house, gateway.follow_experiments, gateway.traffic.keep_up
        background = [asyncio.create_task(work()) for work in works]
        yield
        for task in background:
            task.cancel()
        await app.state.desk_work.close()
        await gateway.traffic.refresh()
        await gateway.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(Boundary, body_bytes=settings.body_bytes)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _wrong_parameter)
    for topic in (emails, tickets, intents, lines, feedback, health, webhooks, console):
        app.include_router(topic.router)
    describe(app, (EmailBatch, TicketRequest, IntentRequest, FeedbackBatch, WebhookBody))
    return app


async def _http_exception(request: Request, error: Exception) -> Response:
    """Answer unknown addresses and methods in the same form as everything else."""
    return problem_response(error, request_id_of(request))


async def _wrong_parameter(request: Request, error: Exception) -> Response:
    """Answer a parameter of the address that is wrong."""
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": "is wrong"}
    where = ".".join(str(part) for part in first["loc"][1:])
    return problem_response(InvalidRequest(first["msg"], where=where), request_id_of(request))
