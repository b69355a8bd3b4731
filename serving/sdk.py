"""The door to KServe's Python SDK.

The SDK parses ``sys.argv`` when it is imported, and would take or refuse options that are meant for our command. It is
imported here with an empty command line, and nowhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _empty_command_line() -> Iterator[None]:
    arguments, sys.argv = sys.argv, sys.argv[:1]
    try:
        yield
    finally:
        sys.argv = arguments


with _empty_command_line():
    from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model, ModelRepository, ModelServer
    from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady
    from kserve.model import InferenceVerb
    from kserve.protocol.dataplane import DataPlane
    from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest
    from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import (
        GRPCInferenceServiceStub,
        add_GRPCInferenceServiceServicer_to_server,
    )
    from kserve.protocol.grpc.server import GRPCServer
    from kserve.protocol.grpc.servicer import InferenceServicer
    from kserve.protocol.model_repository_extension import ModelRepositoryExtension
    from kserve.protocol.rest.server import RESTServer

__all__ = [
    "DataPlane",
    "GRPCInferenceServiceStub",
    "GRPCServer",
    "InferInput",
    "InferOutput",
    "InferRequest",
    "InferResponse",
    "InferenceServicer",
    "InferenceVerb",
    "InvalidInput",
    "Model",
    "ModelInferRequest",
    "ModelNotFound",
    "ModelNotReady",
    "ModelRepository",
    "ModelRepositoryExtension",
    "ModelServer",
    "RESTServer",
    "ServerNotReady",
    "add_GRPCInferenceServiceServicer_to_server",
]
