"""Whatever is sent to the inference routes, the answer is an answer or the caller's error, never a 500.

The routes run in process around the real bundles of all recipes, as a whole and as a predictor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frontdesk.bundle import Bundle
from frontdesk.serving.boundary import RequestBoundary
from frontdesk.serving.data_plane import BundleDataPlane
from frontdesk.serving.model import BundleModel, Limits
from frontdesk.serving.predictor import PredictorModel
from frontdesk.serving.routes import InferenceRoutes
from frontdesk.serving.sdk import ModelRepository
from frontdesk.serving.tensors import DATATYPES
from tests.bundles import EmailRun, TicketBundles
from tests.intent_bundles import IntentRun

FIELDS = ("subject", "body", "created_at", "company", "session", "operator", "line", "events", "rights", "previous")
PACKED = ("now", "start", "tokens", "no such field")
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["2024-02-29T12:00:00+00:00", "9999-12-31", "0001-01-01T00:00:00+14:00", "intent", "event", ""]),
)
KEYS = st.sampled_from((*FIELDS, *PACKED, "timestamp", "kind", "name", "fields")) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
ROW = st.fixed_dictionaries(
    {"timestamp": SCALARS, "kind": st.sampled_from(["intent", "event"]) | SCALARS, "name": SCALARS},
    optional={"fields": VALUES, "text": VALUES, "element": VALUES},
)
INSTANCE = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(FIELDS, VALUES) | {"events": st.lists(ROW | VALUES, max_size=4)},
)
V1 = st.fixed_dictionaries(
    {"instances": st.lists(INSTANCE | VALUES, max_size=3) | VALUES},
    optional={"parameters": VALUES | st.fixed_dictionaries({"on_error": st.sampled_from(["answer", "refuse", "x"])})},
)
TENSOR = st.fixed_dictionaries(
    {
        "name": st.sampled_from((*FIELDS, *PACKED)) | VALUES,
        "datatype": st.sampled_from(DATATYPES) | VALUES,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | VALUES,
    },
    optional={
        "data": st.lists(VALUES, max_size=3) | VALUES,
        "parameters": VALUES | st.fixed_dictionaries({"binary_data_size": st.integers(-1, 12)}),
    },
)
V2 = st.fixed_dictionaries(
    {"inputs": st.lists(TENSOR, max_size=5) | VALUES},
    optional={"id": VALUES, "outputs": st.lists(VALUES, max_size=2) | VALUES, "parameters": VALUES},
)
SESSION = {"session": "BYTES", "operator": "INT32", "line": "INT32", "start": "INT64", "tokens": "INT32"}


@st.composite
def sessions(draw: st.DrawFn) -> dict[str, Any]:
    """A predictor's request that is nearly right."""
    rows = draw(st.integers(0, 3))
    length = draw(st.integers(0, 4))
    inputs = []
    for name, datatype in SESSION.items():
        shape = [rows, length] if name == "tokens" else [rows]
        count = rows * (length if name == "tokens" else 1)
        text = st.text(max_size=3)
        numbers = st.integers(-2, 40) | st.integers(-(2**31), 2**31 - 1)
        data = draw(st.lists(text if datatype == "BYTES" else numbers, min_size=count, max_size=count))
        inputs.append({"name": name, "datatype": datatype, "shape": shape, "data": data})
    return {"inputs": inputs}


class Server:
    """The routes around models, without a socket."""

    def __init__(self, models: list[BundleModel]) -> None:
        registry = ModelRepository()
        for model in models:
            model.open()
            registry.update(model)
        self.app = RequestBoundary(InferenceRoutes(BundleDataPlane(registry), self._nobody), 1 << 20)
        self.runner = asyncio.Runner()

    @staticmethod
    async def _nobody(*_: Any) -> None:
        raise AssertionError("an inference route was not found")

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        """Send a request; return the status."""
        sent: list[Any] = []
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        scope = {"type": "http", "method": "POST", "path": path, "headers": pairs}

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        self.runner.run(self.app(scope, receive, send))
        orjson.loads(sent[1]["body"]) if dict(sent[0]["headers"])[b"content-type"] == b"application/json" else None
        return int(sent[0]["status"])


@pytest.fixture(scope="module")
def served(ticket_bundles: TicketBundles, email_run: EmailRun, intent_run: IntentRun) -> Iterator[Server]:
    """All recipes, each as a whole and as a predictor, answering on the event loop."""
    places = {"ticket": ticket_bundles.network, "email": email_run.bundle, "intent": intent_run.bundle}
    bundles = {name: Bundle.load(place) for name, place in places.items()}
    limits = Limits(inline_seconds=60.0)
    models = [BundleModel(name, lambda made=made: made, limits) for name, made in bundles.items()]  # type: ignore[misc]
    models += [
        PredictorModel(f"{name}-predictor", lambda made=made: made, limits)  # type: ignore[misc]
        for name, made in bundles.items()
    ]
    server = Server(models)
    yield server
    for model in models:
        model.stop()
    server.runner.close()


NAMES = st.sampled_from(["ticket", "email", "intent", "ticket-predictor", "email-predictor", "intent-predictor", "x"])
FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
JSON = {"content-type": "application/json"}
GOOD = {200, 400, 404}


@FUZZ
@given(name=NAMES, body=V1 | VALUES)
def test_v1(served: Server, name: str, body: Any) -> None:
    assert served.post(f"/v1/models/{name}:predict", orjson.dumps(body), JSON) in GOOD


@FUZZ
@given(name=NAMES, body=V2 | VALUES, tail=st.binary(max_size=12) | st.none())
def test_v2(served: Server, name: str, body: Any, tail: bytes | None) -> None:
    content = orjson.dumps(body)
    headers = JSON if tail is None else {"inference-header-content-length": str(len(content))}
    assert served.post(f"/v2/models/{name}/infer", content + (tail or b""), headers) in GOOD


@FUZZ
@given(body=sessions())
def test_sessions_of_a_predictor(served: Server, body: Any) -> None:
    assert served.post("/v2/models/intent-predictor/infer", orjson.dumps(body), JSON) in GOOD


@FUZZ
@given(
    name=NAMES,
    path=st.sampled_from(["/v1/models/{}:predict", "/v2/models/{}/infer", "/v2/models/{}/versions/1/infer"]),
    body=st.binary(max_size=60),
    length=st.text(st.characters(max_codepoint=255), max_size=5) | st.integers(-5, 70).map(str),
    kind=st.sampled_from(["application/json", "text/plain", "", "application/octet-stream; x=\u00e9"]),
)
def test_bytes(served: Server, name: str, path: str, body: bytes, length: str, kind: str) -> None:
    headers = {"content-type": kind, "inference-header-content-length": length}
    assert served.post(path.format(name), body, headers) in {*GOOD, 415}
