"""The bodies of KServe's V1 and V2 protocols: bytes to instances, predictions to bytes.

V1 is JSON objects, one per instance. V2 is one tensor per field, of shape [N] or [N, 1]; a tensor left out is a missing
field. Texts, categories and times are BYTES (UTF-8; an empty string is a missing value), numbers are FP64, FP32 or an
integer type (NaN, or null in JSON, is a missing value); a category may be a number or BOOL too. A list or an object is
BYTES that hold JSON.

JSON has no NaN, no infinity and no lone surrogates: a body that holds one is not JSON and gets 400. Callers send null
for the first two, which the model treats alike, and U+FFFD for the third.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from frontdesk.bundle import InputKind, Output
from frontdesk.errors import InvalidRequest, UnsupportedMediaType
from frontdesk.requests import MAX_INSTANCES
from frontdesk.serving.tensors import (
    DATATYPES,
    FIXED_WIDTH,
    NUMBERS,
    Tensor,
    json_value,
    raw_bytes,
    split_bytes,
    text_of,
    values_of,
)


@dataclass(frozen=True)
class V2Request:
    """A V2 body.

    Attributes:
        outputs: ``{tensor: whether binary}`` of the asked outputs; None for all of them.
        binary: whether outputs are binary unless one says otherwise.
    """

    id: str | None
    inputs: list[Tensor]
    outputs: dict[str, bool] | None
    binary: bool


def require_json(content_type: str | None) -> None:
    """Raise `UnsupportedMediaType` unless a content type is JSON."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        words = f"the content type {kind[:80] or '(none)'} is not read here"
        raise UnsupportedMediaType(words, remedy="Send application/json")


def parse_json(body: bytes) -> Any:
    """Parse JSON. Raises `InvalidRequest` that gives the place, not the text."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None


def v1_instances(payload: Any) -> list[Any]:
    """Return the instances of a V1 body. Raises `InvalidRequest`."""
    if not isinstance(payload, dict):
        raise InvalidRequest("the body must be an object", remedy='Send {"instances": [{...}, ...]}')
    if not isinstance(payload.get("instances"), list):
        raise InvalidRequest("must be a list of objects", where="instances", remedy='Send {"instances": [{...}, ...]}')
    return list(payload["instances"])


def wants_all(payload: Any) -> bool:
    """Return whether a V1 body asks that one bad instance refuses the whole request. Raises `InvalidRequest`."""
    parameters = payload.get("parameters") if isinstance(payload, dict) else None
    if parameters is None:
        return False
    wish = parameters.get("on_error", "answer") if isinstance(parameters, dict) else None
    if wish not in ("answer", "refuse"):
        raise InvalidRequest('must be {"on_error": "answer"} or {"on_error": "refuse"}', where="parameters")
    return bool(wish == "refuse")


def wants_explanation(payload: Any) -> bool:
    """Return whether a V1 body of one instance asks for its explanation. Raises `InvalidRequest`."""
    parameters = payload.get("parameters") if isinstance(payload, dict) else None
    wish = parameters.get("explain", False) if isinstance(parameters, dict) else False
    if not isinstance(wish, bool):
        raise InvalidRequest("must be true or false", where="parameters.explain")
    if wish and len(payload["instances"]) != 1:
        raise InvalidRequest("is for one instance at a time", where="parameters.explain")
    return wish


def v1_body(answers: bytes) -> bytes:
    """Return the V1 answer around answers that are a JSON array."""
    return b'{"predictions":' + answers + b"}"


def parse_v2(body: bytes, json_bytes: int | None) -> V2Request:
    """Read a V2 body.

    Args:
        body: JSON, followed by binary tensor data where ``json_bytes`` is given.
        json_bytes: length of the JSON part, from the header ``inference-header-content-length``.

    Raises:
        InvalidRequest: names the input.
    """
    if json_bytes is not None and not 0 <= json_bytes <= len(body):
        raise InvalidRequest("is not a length within the body", where="inference-header-content-length")
    payload = parse_json(body if json_bytes is None else body[:json_bytes])
    if not isinstance(payload, dict):
        raise InvalidRequest(
            "the body must be an object", remedy='Send {"inputs": [{"name", "shape", "datatype", "data"}]}'
        )
    identity = payload.get("id")
    if identity is not None and not isinstance(identity, str):
        raise InvalidRequest("must be text", where="id")
    if not isinstance(payload.get("inputs"), list):
        raise InvalidRequest("must be a list of tensors", where="inputs")
    tail = body[json_bytes:] if json_bytes is not None else b""
    inputs, used = [], 0
    for place, item in enumerate(payload["inputs"]):
        tensor, size = _input(item, f"inputs[{place}]", tail, used)
        inputs.append(tensor)
        used += size
    if used != len(tail):
        raise InvalidRequest(f"{len(tail) - used} bytes after the last binary tensor belong to none", where="inputs")
    binary = _parameters(payload, "body").get("binary_data_output", False) is True
    return V2Request(identity, inputs, _asked_outputs(payload.get("outputs"), binary), binary)


def _parameters(item: Mapping[str, Any], where: str) -> dict[str, Any]:
    parameters = item.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise InvalidRequest("must be an object", where=f"{where}.parameters")
    return parameters or {}


def _input(item: Any, where: str, tail: bytes, used: int) -> tuple[Tensor, int]:
    """Return one input, and how many bytes of the binary part are its own."""
    if not isinstance(item, dict):
        raise InvalidRequest("must be an object", where=where)
    name, datatype, shape = item.get("name"), item.get("datatype"), item.get("shape")
    if not isinstance(name, str):
        raise InvalidRequest("must be text", where=f"{where}.name")
    where = f"inputs.{name[:80]}"
    if not isinstance(datatype, str):
        raise InvalidRequest("must be text", where=f"{where}.datatype")
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise InvalidRequest("must be a list of whole numbers", where=f"{where}.shape")
    data, size = item.get("data"), _parameters(item, where).get("binary_data_size")
    if data is None and type(size) is int:
        if size < 0 or used + size > len(tail):
            raise InvalidRequest("is more than the binary data that was sent", where=f"{where}.binary_data_size")
        return Tensor(name, datatype, shape, raw=tail[used : used + size]), size
    if not isinstance(data, list):
        raise InvalidRequest("must be a list of values", where=f"{where}.data")
    return Tensor(name, datatype, shape, data), 0


def _asked_outputs(outputs: Any, binary: bool) -> dict[str, bool] | None:
    if outputs is None or outputs == []:
        return None
    if not isinstance(outputs, list) or not all(
        isinstance(o, dict) and isinstance(o.get("name"), str) for o in outputs
    ):
        raise InvalidRequest("must be a list of objects with a name", where="outputs")
    return {o["name"]: _parameters(o, "outputs").get("binary_data", binary) is True for o in outputs}


def instances_of(tensors: Sequence[Tensor], fields: Mapping[str, InputKind]) -> list[dict[str, Any]]:
    """Turn the tensors of a request into instances, so that both protocols pass the same check of fields.

    Raises:
        InvalidRequest: names the tensor, and the instance where one value is at fault.
    """
    columns: dict[str, list[Any]] = {}
    for tensor in tensors:
        where = f"inputs.{tensor.name[:80]}"
        if tensor.name not in fields:
            raise InvalidRequest("there is no such field", where=where, remedy=f"Fields: {', '.join(fields)}")
        if tensor.name in columns:
            raise InvalidRequest("is given twice", where=where)
        kind = fields[tensor.name]
        _require_datatype(tensor, kind, where)
        rows = _rows(tensor, where)
        for first, others in columns.items():
            if len(others) != rows:
                raise InvalidRequest(f"holds {rows} values, but {first} holds {len(others)}", where=where)
        values = _values(tensor, rows, where)
        columns[tensor.name] = (
            [_parsed(value, f"{where}[{place}]") for place, value in enumerate(values)]
            if kind == "json"
            else list(values)
        )
        if (found := len(columns[tensor.name])) != rows:
            raise InvalidRequest(f"the shape says {rows} values, the data holds {found}", where=where)
    if not columns:
        raise InvalidRequest("at least one tensor is needed, to know how many instances there are", where="inputs")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _require_datatype(tensor: Tensor, kind: InputKind, where: str) -> None:
    allowed: Container[str] = {"category": DATATYPES, "number": NUMBERS}.get(kind, ("BYTES",))
    if tensor.datatype not in allowed:
        raise InvalidRequest(f"must be {_input_datatype(kind)}, not {tensor.datatype[:20]}", where=f"{where}.datatype")


def _input_datatype(kind: InputKind) -> str:
    return "FP64" if kind == "number" else "BYTES"


def _parsed(value: Any, where: str) -> Any:
    try:
        return orjson.loads(value) if value else None
    except orjson.JSONDecodeError:
        raise InvalidRequest("is not JSON", where=where) from None


def _rows(tensor: Tensor, where: str) -> int:
    shape = list(tensor.shape)
    if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)) or shape[0] < 0:
        raise InvalidRequest("must be [N] or [N, 1]", where=f"{where}.shape")
    if shape[0] > MAX_INSTANCES:  # before anything of that size is made
        raise InvalidRequest(f"{shape[0]} instances are more than {MAX_INSTANCES}", where=where)
    return shape[0]


def _values(tensor: Tensor, rows: int, where: str) -> Iterator[Any]:
    if tensor.raw is None:
        for place, value in enumerate(tensor.data or ()):
            # [N, 1] may come as [[a], [b]]
            inner = value[0] if isinstance(value, list) and len(tensor.shape) == 2 and len(value) == 1 else value
            yield json_value(inner, tensor.datatype, f"{where}[{place}]")
    elif tensor.datatype == "BYTES":
        for place, value in enumerate(split_bytes(tensor.raw, where)):
            yield text_of(value, f"{where}[{place}]")
    else:
        kind = np.dtype(FIXED_WIDTH[tensor.datatype])
        if len(tensor.raw) != rows * kind.itemsize:
            raise InvalidRequest(
                f"the shape says {rows * kind.itemsize} bytes, the data holds {len(tensor.raw)}", where=where
            )
        yield from np.frombuffer(tensor.raw, kind).tolist()


def input_types(fields: Mapping[str, InputKind]) -> list[dict[str, Any]]:
    """Return the metadata of the input tensors."""
    return [{"name": name, "datatype": _input_datatype(kind), "shape": [-1]} for name, kind in fields.items()]


def output_types(outputs: Mapping[str, Output]) -> list[dict[str, Any]]:
    """Return the metadata of the output tensors."""
    return [{"name": name, "datatype": output.datatype, "shape": [-1]} for name, output in outputs.items()]


def output_tensors(answers: Sequence[Any], outputs: Mapping[str, Output]) -> list[Tensor]:
    """Return the answers as tensors of shape [N]; what is not one value is JSON."""
    shape = [len(answers)]
    return [
        Tensor(name, output.datatype, shape, [output.value(answer) for answer in answers])
        for name, output in outputs.items()
    ]


def v2_body(request: V2Request, tensors: Sequence[Tensor], **fields: Any) -> tuple[bytes, int | None]:
    """Return a V2 answer and the length of its JSON part where binary tensors follow, else None.

    Args:
        fields: ``id``, ``model_name``, ``model_version``.

    Raises:
        InvalidRequest: an output was asked for that does not exist.
    """
    by_name = {tensor.name: tensor for tensor in tensors}
    asked = dict.fromkeys(by_name, request.binary) if request.outputs is None else request.outputs
    outputs: list[dict[str, Any]] = []
    binary: list[bytes] = []
    for name, as_binary in asked.items():
        if (tensor := by_name.get(name)) is None:
            raise InvalidRequest(
                "there is no such output", where=f"outputs.{name[:80]}", remedy=f"Outputs: {', '.join(by_name)}"
            )
        output: dict[str, Any] = {"name": name, "datatype": tensor.datatype, "shape": tensor.shape}
        if as_binary:
            binary.append(raw_bytes(tensor))
            output["parameters"] = {"binary_data_size": len(binary[-1])}
        else:
            output["data"] = values_of(tensor)
        outputs.append(output)
    head = orjson.dumps({**fields, "outputs": outputs})
    return (b"".join([head, *binary]), len(head)) if binary else (head, None)


def v2_request(tensors: Sequence[Tensor], identity: str) -> tuple[bytes, int]:
    """Return a V2 request of binary tensors that asks for binary outputs, and the length of its JSON part."""
    inputs = [
        {
            "name": one.name,
            "datatype": one.datatype,
            "shape": one.shape,
            "parameters": {"binary_data_size": len(one.raw or b"")},
        }
        for one in tensors
    ]
    head = orjson.dumps({"id": identity, "inputs": inputs, "parameters": {"binary_data_output": True}})
    return b"".join([head, *(one.raw or b"" for one in tensors)]), len(head)


def parse_v2_answer(body: bytes, json_bytes: int | None) -> tuple[str, list[Tensor]]:
    """Return the model version and the outputs of a V2 answer. Raises `InvalidRequest` for one that is none."""
    payload = parse_json(body if json_bytes is None else body[:json_bytes])
    tail = b"" if json_bytes is None else body[json_bytes:]
    if not isinstance(payload, dict) or not isinstance(payload.get("outputs"), list):
        raise InvalidRequest("is no answer of the V2 protocol", where="outputs")
    outputs, used = [], 0
    for place, item in enumerate(payload["outputs"]):
        tensor, size = _input(item, f"outputs[{place}]", tail, used)
        outputs.append(tensor)
        used += size
    return str(payload.get("model_version")), outputs
