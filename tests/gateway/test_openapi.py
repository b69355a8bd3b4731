"""The OpenAPI document is complete, and the gateway keeps to it whatever is sent."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.gateway.desk import Stack

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
]
PUBLIC = {"/healthz", "/readyz", "/metrics"}


@pytest.fixture(scope="module")
def document(desk: Stack) -> dict[str, Any]:
    found: dict[str, Any] = desk.client.get("/openapi.json").json()
    return found


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    assert {
        "/v1/emails:classify", "/v1/tickets:suggest", "/v1/intents:suggest", "/v1/lines/{line}/config", "/v1/feedback",
    } <= set(document["paths"])  # fmt: skip
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            responses = operation["responses"]
            assert operation.get("summary"), path
            if path in PUBLIC:
                assert "security" not in operation
                continue
            if method == "post":
                assert {"400", "413", "415", "429", "503"} <= set(responses), path
            for status, response in responses.items():
                if int(status) >= 400:
                    schema = response["content"]["application/problem+json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Problem"}, (path, status)
                elif status != "304":
                    assert response["content"]["application/json"]["schema"], (path, status)
    assert set(document["components"]["securitySchemes"]) == {"key", "bearer"}
    text = str(document)
    for name in {part.split("'")[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"], f"{name} is referred to and not there"
    assert "HTTPValidationError" not in text


def test_whatever_is_sent_keeps_to_the_document(desk: Stack, document: dict[str, Any]) -> None:
    """Schemathesis makes requests, right and wrong ones, of every operation, and looks at the answers."""
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=desk.told["gateway"])
    keys = {"Authorization": f"Bearer {desk.told['key']}", "X-API-Key": desk.told["key"]}
    operations = [found.ok() for found in schema.get_all_operations()]
    cases = st.one_of(*(operation.as_strategy() for operation in operations))

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    def check(case: Any) -> None:
        case.call_and_validate(headers=keys, checks=CHECKS)

    given(case=cases)(check)()
    assert len(operations) >= 8
