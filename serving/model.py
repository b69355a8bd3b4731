"""A bundle as a KServe model: the SDK's hooks around `Bundle.predict`.

Where a request is computed: one short instance of a fast model runs on the event loop itself, because handing it to a
thread and back costs more than the work (figures in ``benchmarks/README.md``). Everything else runs in a small pool of
threads, so that probes and single requests are answered meanwhile; what waits for the pool is bounded, and beyond the
bound a caller gets 429 at once instead of a late answer.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from frontdesk.bundle import Bundle, InstanceError
from frontdesk.errors import InvalidRequest, NotReady, Overloaded
from frontdesk.logs import event
from frontdesk.serving import metrics, protocol
from frontdesk.serving.protocol import Tensor
from frontdesk.serving.sdk import InferenceVerb, InferOutput, InferRequest, InferResponse, Model

INLINE_CHARACTERS = 8_000
"""A longer text takes milliseconds to clean, whatever the model."""
_ENTRY_CHARACTERS = 100
"""What an entry of a list counts for: a row of a session is about as long."""
_PROBE_ROUNDS = 15

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What a server takes on.

    Attributes:
        body_bytes: largest request body; 413 above.
        threads: requests computed at a time beside the event loop.
        waiting: requests that may wait for a thread; 429 above.
        inline_seconds: a model whose single row takes less than this at load answers single rows on the event loop.
    """

    body_bytes: int = 4 * 1024 * 1024
    threads: int = 2
    waiting: int = 32
    inline_seconds: float = 0.002


class Instances(list[Any]):
    """The instances of a request.

    Attributes:
        partial: answer the good ones beside the errors of the bad ones.
    """

    def __init__(self, instances: Sequence[Any], *, partial: bool = False) -> None:
        super().__init__(instances)
        self.partial = partial


class BundleModel(Model):  # type: ignore[misc]
    """One served bundle.

    Args:
        name: in addresses.
        open_bundle: verifies and loads; called once, outside the event loop.
        limits: see `Limits`.
    """

    def __init__(self, name: str, open_bundle: Callable[[], Bundle], limits: Limits) -> None:
        super().__init__(name)
        self.limits = limits
        self._open_bundle = open_bundle
        self._bundle: Bundle | None = None
        self._inline = False
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix=f"predict-{name}")
        self._taken = 0

    @property
    def bundle(self) -> Bundle:
        """The loaded bundle. Raises `NotReady` before that."""
        if self._bundle is None or not self.ready:
            raise NotReady(f"model {self.name} is still loading", remedy="Ask again in a few seconds")
        return self._bundle

    def open(self) -> None:
        """Load the bundle, check its golden rows, time a row, and become ready. Blocks; errors are the bundle's."""
        began = time.perf_counter()
        bundle = self._open_bundle()
        row = self._row_seconds(bundle)
        self._inline = row < self.limits.inline_seconds
        self._bundle, self.ready = bundle, True
        event(
            _log,
            "model_ready",
            model=self.name,
            model_id=bundle.model_id,
            label_version=bundle.label_version,
            seconds=round(time.perf_counter() - began, 2),
            row_milliseconds=round(row * 1e3, 3),
            inline=self._inline,
        )

    @staticmethod
    def _row_seconds(bundle: Bundle) -> float:
        """Return the median time of an instance of typical size.

        It is this thread's CPU time, so that a busy machine does not change where requests are computed.
        """
        instances = [bundle.example()]
        times = []
        for _ in range(_PROBE_ROUNDS):
            began = time.thread_time()
            bundle.predict(instances)
            times.append(time.thread_time() - began)
        return statistics.median(times)

    def start(self) -> None:
        """Do nothing: the SDK would call the model ready here."""

    def load(self) -> bool:
        """Return whether the model is ready: the SDK calls this on the event loop for a model that is not."""
        return bool(self.ready)

    async def __call__(
        self, body: Any, headers: dict[str, str] | None = None, verb: InferenceVerb = InferenceVerb.PREDICT
    ) -> tuple[Sequence[Any], dict[str, str]]:
        """Answer a request: the SDK's own hooks without its histograms, which cost as much as a small model."""
        if verb != InferenceVerb.PREDICT:
            raise NotImplementedError
        return await self.predict(self.preprocess(body, headers), headers), {}

    def preprocess(self, payload: Any, headers: dict[str, str] | None = None) -> list[Any]:
        """Return the instances of a V1 body (parsed JSON) or of a V2 request. Raises `InvalidRequest`, `NotReady`."""
        inputs = self.bundle.inputs
        with metrics.timed(self.name, "decode"):
            if not isinstance(payload, InferRequest):
                instances = protocol.v1_instances(payload)
                return Instances(instances, partial=self.bundle.partial and not protocol.wants_all(payload))
            # The SDK keeps binary data in a private field; its public decoder fails on a shape that does not fit.
            tensors = [
                Tensor(one.name, one.datatype, one.shape, one.data if one._raw_data is None else None, one._raw_data)
                for one in payload.inputs
            ]
            return list(protocol.instances_of(tensors, inputs))

    async def predict(
        self, payload: list[Any], headers: dict[str, str] | None = None, response_headers: dict[str, str] | None = None
    ) -> Sequence[Any]:
        """Check the fields and answer. Raises `InvalidRequest`, `Overloaded`."""
        if self._inline and len(payload) == 1 and _characters(payload[0]) <= INLINE_CHARACTERS:
            answers = self._answer(payload)
        else:
            answers = await self._in_thread(payload)
        metrics.count_instances(self.name, len(payload))
        return answers

    def _answer(self, instances: list[Any]) -> Sequence[Any]:
        with metrics.timed(self.name, "predict"):
            try:
                return self.bundle.predict(instances)
            except InvalidRequest as error:
                if not getattr(instances, "partial", False) or not str(error.where).startswith("instances["):
                    raise
            return self._answer_good(instances)

    def _answer_good(self, instances: list[Any]) -> Sequence[Any]:
        """Answer the good instances together; where every one is bad, the first one's error is the request's."""
        good: list[Any] = []
        errors: dict[int, InvalidRequest] = {}
        for place, instance in enumerate(instances):
            try:
                self.bundle.validate([instance])
                good.append(instance)
            except InvalidRequest as error:
                where = str(error.where).replace("instances[0]", f"instances[{place}]", 1)
                errors[place] = InvalidRequest(error.message, where=where, remedy=error.remedy)
        if not good:
            raise next(iter(errors.values()))
        answers = iter(self.bundle.predict(good))
        return [
            InstanceError(error={"code": errors[place].code, "message": str(errors[place])})
            if place in errors
            else next(answers)
            for place in range(len(instances))
        ]

    async def _in_thread(self, instances: list[Any]) -> Sequence[Any]:
        if self._taken >= self.limits.threads + self.limits.waiting:
            raise Overloaded(f"{self._taken} requests are waiting", where=self.name, remedy="Ask again in a second")
        self._taken += 1
        asked = time.perf_counter()

        def work() -> Sequence[Any]:
            metrics.observe(self.name, "queue", time.perf_counter() - asked)
            return self._answer(instances)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._taken -= 1

    def postprocess(
        self,
        result: Sequence[Any],
        headers: dict[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> Sequence[Any]:
        """Return the answers: each protocol writes them in its own form."""
        return result

    def infer_response(self, answers: Sequence[Any], request_id: str) -> InferResponse:
        """Return answers as the SDK's V2 answer, which gRPC sends."""
        outputs = [InferOutput(one.name, list(one.shape), one.datatype, one.data) for one in self.tensors(answers)]
        return InferResponse(request_id, self.name, outputs, model_version=self.bundle.model_id)

    def tensors(self, answers: Sequence[Any]) -> list[Tensor]:
        """Return answers as V2 tensors."""
        return protocol.output_tensors(answers, self.bundle.outputs)

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the V2 metadata of the inputs."""
        return protocol.input_types(self.bundle.inputs)

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the V2 metadata of the outputs."""
        return protocol.output_types(self.bundle.outputs)

    def stop(self) -> None:
        """Take no more requests."""
        super().stop()
        self._pool.shutdown(wait=False)


def _characters(instance: Any) -> int:
    if not isinstance(instance, dict):
        return 0
    texts = sum(len(value) for value in instance.values() if isinstance(value, str))
    return texts + sum(_ENTRY_CHARACTERS * len(value) for value in instance.values() if isinstance(value, list))
