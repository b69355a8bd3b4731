"""The generic predictor: what a transformer has encoded in, what the model says out, as V2 tensors.

It knows no label, no right and no setting of a desk; `frontdesk.serving.transformer` is its other half.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from frontdesk.bundle import Arrays, Bundle
from frontdesk.errors import InvalidRequest
from frontdesk.requests import MAX_INSTANCES
from frontdesk.serving import metrics
from frontdesk.serving.model import Answered, BundleModel, Served, tensors_of
from frontdesk.serving.sdk import InferOutput, InferRequest, InferResponse
from frontdesk.serving.tensors import Tensor, array_of, tensor_of


class PredictorModel(BundleModel):
    """The middle of a bundle: `Bundle.run` behind the V2 protocol."""

    def read(self, payload: Any, bundle: Bundle) -> Any:
        """Return the arrays of a V2 request. Raises `InvalidRequest`."""
        if not isinstance(payload, InferRequest):
            words = "a predictor reads tensors"
            raise InvalidRequest(words, remedy="Ask its transformer, or send tensors by the V2 protocol")
        arrays = {one.name: array_of(one) for one in tensors_of(payload)}
        if any(not array.ndim for array in arrays.values()):
            raise InvalidRequest("must have one row per record", where="inputs")
        if any(len(array) > MAX_INSTANCES for array in arrays.values()):
            raise InvalidRequest(f"more than {MAX_INSTANCES} records", where="inputs")
        return arrays

    async def compute(self, asked: Any, served: Served, headers: Mapping[str, str]) -> Any:
        """Return what the model says. Raises `InvalidRequest`, `Overloaded`."""

        def answer() -> Arrays:
            with metrics.timed(self.name, "predict"):
                return served.bundle.run(served.bundle.unpack(asked))

        if served.inline and all(len(array) == 1 for array in asked.values()):
            return answer()
        return await self.in_thread(answer)

    def tensors(self, answered: Answered) -> list[Tensor]:
        """Return what the model says as V2 tensors."""
        return [tensor_of(name, array) for name, array in answered.answers.items()]

    def infer_response(self, answered: Answered, request_id: str) -> InferResponse:
        """Return what the model says as the SDK's V2 answer, in its binary form."""
        outputs = []
        for tensor in self.tensors(answered):
            outputs.append(InferOutput(tensor.name, list(tensor.shape), tensor.datatype))
            outputs[-1].set_data_from_numpy(array_of(tensor), binary_data=True)
        return InferResponse(request_id, self.name, outputs, model_version=answered.bundle.model_id)

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the V2 metadata of what an example packs into."""
        bundle = self.bundle
        packed = bundle.pack(bundle.encode([bundle.example()]).asked)
        return [_any_length(tensor_of(name, array)) for name, array in packed.items()]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the V2 metadata of what an example is answered with."""
        bundle = self.bundle
        found = bundle.run(bundle.encode([bundle.example()]).asked)
        return [_any_length(tensor_of(name, array)) for name, array in found.items()]


def _any_length(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": [-1] * len(tensor.shape)}
