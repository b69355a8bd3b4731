"""The servers that `benchmarks.serving` compares: ``python -m benchmarks.servers NAME BUNDLE PORT``.

``frontdesk``         our server as it is
``frontdesk-thread``  the same, every request through the pool of threads
``frontdesk-eager``   the same as the first over torch eager
``kserve-echo``       the SDK's own server, quiet, around a model that returns one fixed answer
``uvicorn-echo``      uvicorn around an ASGI function that reads the body and returns one fixed answer
"""

from __future__ import annotations

import functools
import logging
import sys
from typing import Any

import orjson

ANSWER = {
    "predictions": [
        {
            "model_id": "0" * 20,
            "labels": {
                head: {
                    "label": "a branch > a leaf",
                    "confidence": 0.5,
                    "alternatives": [{"label": "a branch > another leaf", "confidence": 0.1}] * 4,
                    "decision": "suggest",
                    "reason": "below_threshold",
                }
                for head in ("contact_type", "reply")
            },
        }
    ]
}
"""An answer of the size of ours."""


def frontdesk(location: str, port: int, *, engine: str = "auto", inline_seconds: float = 0.0012) -> None:
    """Serve a bundle."""
    from frontdesk.bundle import Bundle
    from frontdesk.serving.model import BundleModel, Limits
    from frontdesk.serving.server import configure_logs, run

    configure_logs("INFO")
    limits = Limits(inline_seconds=inline_seconds)
    model = BundleModel("ticket", functools.partial(Bundle.load, location, engine=engine), limits)
    run([model], host="127.0.0.1", port=port, grpc_port=None, limits=limits)


def kserve_echo(location: str, port: int) -> None:
    """Serve a fixed answer with the SDK as it is, but for its logs."""
    from frontdesk.serving.sdk import Model, ModelServer

    class Echo(Model):
        async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
            return ANSWER

    for name in ("kserve", "kserve.trace", "uvicorn.access"):
        logging.getLogger(name).handlers[:] = [logging.NullHandler()]
        logging.getLogger(name).propagate = False
        logging.getLogger(name).setLevel(logging.ERROR)
    model = Echo("ticket")
    model.ready = True
    ModelServer(http_port=port, enable_grpc=False, enable_latency_logging=False).start([model])


def uvicorn_echo(location: str, port: int) -> None:
    """Serve a fixed answer with nothing but uvicorn."""
    import uvicorn

    content = orjson.dumps(ANSWER)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    uvicorn.run(application, host="127.0.0.1", port=port, log_level="error", access_log=False, lifespan="off")


SERVERS = {
    "frontdesk": frontdesk,
    "frontdesk-thread": functools.partial(frontdesk, inline_seconds=0.0),
    "frontdesk-eager": functools.partial(frontdesk, engine="eager"),
    "kserve-echo": kserve_echo,
    "uvicorn-echo": uvicorn_echo,
}

if __name__ == "__main__":
    SERVERS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
