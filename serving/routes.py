"""The routes that answer: V1 and V2 inference, read and written without a framework.

A router with its middlewares costs as much as a small model (figures in ``benchmarks/README.md``), so the two addresses
that carry nearly all requests are told apart by one pattern, and every other address goes to the SDK's application.
"""

from __future__ import annotations

import re
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from frontdesk.errors import InvalidRequest, UnknownModel
from frontdesk.serving import metrics, protocol
from frontdesk.serving.boundary import REQUEST_ID
from frontdesk.serving.data_plane import BundleDataPlane
from frontdesk.serving.sdk import InferInput, InferRequest

_ADDRESS = re.compile(
    r"/(?:v1/models/(?P<v1>[^/]+):predict|v2/models/(?P<v2>[^/]+)(?:/versions/(?P<version>[^/]+))?/infer)"
)
_JSON, _BINARY = b"application/json", b"application/octet-stream"
_JSON_LENGTH = "inference-header-content-length"


class InferenceRoutes:
    """ASGI application that answers inference requests.

    Args:
        data_plane: the served models.
        others: answers every other request.
    """

    def __init__(self, data_plane: BundleDataPlane, others: ASGIApp) -> None:
        self.data_plane = data_plane
        self.others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        address = _ADDRESS.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if address is None:
            await self.others(scope, receive, send)
            return
        v1, v2, version = address.groups()
        name = v1 or v2
        scope["path_params"] = {"model_name": name}
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        body = await _body(receive)
        if v1:
            content, more = await self._v1(name, headers, body), [(b"content-type", _JSON)]
        else:
            content, more = await self._v2(name, version, headers, body)
        await send({"type": "http.response.start", "status": 200, "headers": [*more, _length(content)]})
        await send({"type": "http.response.body", "body": content})

    async def _v1(self, name: str, headers: dict[str, str], body: bytes) -> bytes:
        protocol.require_json(headers.get("content-type"))
        model = self.data_plane.model(name)
        answered, _ = await model(protocol.parse_json(body), headers)
        with metrics.timed(name, "encode"):
            return protocol.v1_body(answered.bundle.dump(answered.answers))

    async def _v2(
        self, name: str, version: str | None, headers: dict[str, str], body: bytes
    ) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        model = self.data_plane.model(name)
        if version is not None and version != model.bundle.model_id:
            raise UnknownModel("there is no such version of the model")
        asked = protocol.parse_v2(body, _json_length(headers))
        inputs = [InferInput(one.name, list(one.shape), one.datatype, one.data) for one in asked.inputs]
        query = InferRequest(name, inputs, request_id=asked.id, raw_inputs=[one.raw for one in asked.inputs])
        answered, _ = await model(query, headers)
        with metrics.timed(name, "encode"):
            content, json_bytes = protocol.v2_body(
                asked,
                model.tensors(answered),
                id=asked.id or headers[REQUEST_ID],
                model_name=name,
                model_version=answered.bundle.model_id,
            )
        if json_bytes is None:
            return content, [(b"content-type", _JSON)]
        return content, [(b"content-type", _BINARY), (_JSON_LENGTH.encode(), b"%d" % json_bytes)]


async def _body(receive: Receive) -> bytes:
    """Read a whole body, whose size the boundary has limited. Raises `InvalidRequest` for a caller who hangs up."""
    parts: list[bytes] = []
    more = True
    while more:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidRequest("the body has no end")
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _length(content: bytes) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % len(content)


def _json_length(headers: dict[str, str]) -> int | None:
    """Return the length of a V2 body's JSON part; None where all of it is JSON. Refuses other content types."""
    if (length := headers.get(_JSON_LENGTH)) is None:
        protocol.require_json(headers.get("content-type"))
        return None
    if not (length.isascii() and length.isdecimal() and len(length) < 10):
        raise InvalidRequest("is not a number", where=_JSON_LENGTH)
    return int(length)
