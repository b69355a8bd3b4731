"""A bundle as a KServe model: the SDK's hooks around `Bundle.predict`.

Where a request is computed: one short instance of a fast model runs on the event loop itself, because handing it to a
thread and back costs more than the work (figures in ``benchmarks/README.md``). Everything else runs in a small pool of
threads, so that probes and single requests are answered meanwhile; what waits for the pool is bounded and computed
together (`frontdesk.serving.batching`), and beyond the bound a caller gets 429 at once instead of a late answer.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frontdesk.bundle import Bundle, InstanceError
from frontdesk.errors import InvalidRequest, NotReady
from frontdesk.logs import event
from frontdesk.serving import metrics, protocol
from frontdesk.serving.batching import Batcher, Work
from frontdesk.serving.sdk import InferenceVerb, InferOutput, InferRequest, InferResponse, Model
from frontdesk.serving.tensors import Tensor

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
        batch_characters: characters of requests that are computed in one call; about 4,000 tokens.
        inline_seconds: a model whose single row takes less than this at load answers single rows on the event loop.
    """

    body_bytes: int = 4 * 1024 * 1024
    threads: int = 2
    waiting: int = 64
    batch_characters: int = 20_000
    inline_seconds: float = 0.0012


class Instances(list[Any]):
    """The instances of a request.

    Attributes:
        partial: answer the good ones beside the errors of the bad ones.
        explain: add to the answer, which is one, why it is as it is.
    """

    def __init__(self, instances: Sequence[Any], *, partial: bool = False, explain: bool = False) -> None:
        super().__init__(instances)
        self.partial, self.explain = partial, explain


@dataclass(frozen=True)
class Served:
    """A loaded bundle, and whether a single row of it is answered on the event loop."""

    bundle: Bundle
    inline: bool


@dataclass(frozen=True)
class Answered:
    """The answers to a request beside the bundle that gave them: another may be served since."""

    bundle: Bundle
    answers: Any


class BundleModel(Model):  # type: ignore[misc]
    """One served bundle: transformer and predictor in one process.

    Args:
        name: in addresses.
        open_bundle: verifies and loads; called once, outside the event loop.
        limits: see `Limits`.
    """

    def __init__(self, name: str, open_bundle: Callable[[], Bundle], limits: Limits) -> None:
        super().__init__(name)
        self.limits = limits
        self._open_bundle = open_bundle
        self._served: Served | None = None
        self._batcher = Batcher(
            name,
            self._answer_batch,
            threads=limits.threads,
            waiting=limits.waiting,
            budget=limits.batch_characters,
        )

    @property
    def served(self) -> Served:
        """What is served now. A request takes it once. Raises `NotReady` before the first is loaded."""
        if self._served is None or not self.ready:
            raise NotReady(f"model {self.name} is still loading", remedy="Ask again in a few seconds")
        return self._served

    @property
    def bundle(self) -> Bundle:
        """The bundle that is served now. Raises `NotReady` before the first is loaded."""
        return self.served.bundle

    def open(self, open_bundle: Callable[[], Bundle] | None = None) -> None:
        """Load a bundle, check its golden rows, time a row, and serve it from the next request on.

        Blocks; what is served meanwhile stays, also where loading fails.

        Args:
            open_bundle: loads it; None for the first one.

        Raises:
            what loading raises.
        """
        began = time.perf_counter()
        bundle = (open_bundle or self._open_bundle)()
        row = self._row_seconds(bundle)
        before = self._served.bundle.model_id if self._served else None
        self._served, self.ready = Served(bundle, row < self.limits.inline_seconds), True
        metrics.show_served(self.name, bundle.model_id, before)
        event(
            _log,
            "model_ready",
            model=self.name,
            model_id=bundle.model_id,
            label_version=bundle.label_version,
            seconds=round(time.perf_counter() - began, 2),
            row_milliseconds=round(row * 1e3, 3),
            inline=self._served.inline,
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
    ) -> tuple[Answered, dict[str, str]]:
        """Answer a request: the SDK's own hooks without its histograms, which cost as much as a small model.

        Raises:
            InvalidRequest, NotReady, Overloaded.
        """
        if verb != InferenceVerb.PREDICT:
            raise NotImplementedError
        served = self.served
        with metrics.timed(self.name, "decode"):
            asked = self.read(body, served.bundle)
        answers = await self.compute(asked, served, headers or {})
        metrics.count_instances(self.name, records(asked))
        return Answered(served.bundle, answers), {}

    def read(self, payload: Any, bundle: Bundle) -> Instances:
        """Return the instances of a V1 body (parsed JSON) or of a V2 request. Raises `InvalidRequest`."""
        if not isinstance(payload, InferRequest):
            instances = protocol.v1_instances(payload)
            partial = bundle.partial and not protocol.wants_all(payload)
            return Instances(instances, partial=partial, explain=protocol.wants_explanation(payload))
        return Instances(protocol.instances_of(tensors_of(payload), bundle.inputs))

    async def compute(self, asked: Any, served: Served, headers: Mapping[str, str]) -> Any:
        """Answer instances. Raises `InvalidRequest`, `Overloaded`."""
        if asked.explain:
            return await self.in_thread(lambda: self._explained(asked, served.bundle))
        if served.inline and len(asked) == 1 and characters(asked[0]) <= INLINE_CHARACTERS:
            return self._answer(asked, served.bundle)
        together = None if asked.partial else served.bundle  # errors of one request are nobody else's
        return await self._batcher.answer(together, (asked, served.bundle), sum(map(characters, asked)))

    def _answer(self, instances: Instances, bundle: Bundle) -> Sequence[Any]:
        with metrics.timed(self.name, "predict"):
            try:
                return bundle.predict(instances)
            except InvalidRequest as error:
                if not instances.partial or not str(error.where).startswith("instances["):
                    raise
            good, errors = good_of(instances, bundle)
            return beside_errors(bundle.predict(good), errors)

    def _explained(self, instances: Instances, bundle: Bundle) -> Sequence[Any]:
        """Answer one instance with its explanation, which may read weights from the disk."""
        metrics.count_explanation(self.name)
        encoded = bundle.encode(instances)
        outputs = bundle.run(encoded.asked)
        return bundle.explain(encoded, outputs, bundle.decide(encoded, outputs))

    def _answer_batch(self, batch: Sequence[Work]) -> list[Any]:
        """Return an answer or an exception for each request, computed in one call where there are several."""
        for work in batch:
            metrics.observe(self.name, "queue", time.perf_counter() - work.since)
        metrics.observe_batch(self.name, len(batch))
        if len(batch) > 1:
            bundle = batch[0].together
            try:
                with metrics.timed(self.name, "predict"):
                    answers = iter(bundle.predict([instance for work in batch for instance in work.asked[0]]))
                return [[next(answers) for _ in work.asked[0]] for work in batch]
            except Exception:  # noqa: S110 - alone, each gets its own answer or its own error
                pass
        return [self._alone(work) for work in batch]

    def _alone(self, work: Work) -> Any:
        try:
            asked = work.asked
            return asked() if callable(asked) else self._answer(*asked)
        except Exception as error:
            return error

    async def in_thread(self, work: Callable[[], Any]) -> Any:
        """Compute something in the pool. Raises `Overloaded` where too many wait already."""
        return await self._batcher.answer(None, work, 0)

    def tensors(self, answered: Answered) -> list[Tensor]:
        """Return answers as V2 tensors."""
        return protocol.output_tensors(answered.answers, answered.bundle.outputs)

    def infer_response(self, answered: Answered, request_id: str) -> InferResponse:
        """Return answers as the SDK's V2 answer, which gRPC sends."""
        outputs = [
            InferOutput(one.name, list(one.shape), one.datatype, protocol.values_of(one))
            for one in self.tensors(answered)
        ]
        return InferResponse(request_id, self.name, outputs, model_version=answered.bundle.model_id)

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the V2 metadata of the inputs."""
        return protocol.input_types(self.bundle.inputs)

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the V2 metadata of the outputs."""
        return protocol.output_types(self.bundle.outputs)

    async def close(self) -> None:
        """Give back what belongs to the event loop: nothing here."""

    def stop(self) -> None:
        """Take no more requests."""
        super().stop()
        self._batcher.stop()


def characters(instance: Any) -> int:
    """Return how long an instance is, about: texts by their characters, lists by their entries."""
    if not isinstance(instance, dict):
        return 0
    texts = sum(len(value) for value in instance.values() if isinstance(value, str))
    return texts + sum(_ENTRY_CHARACTERS * len(value) for value in instance.values() if isinstance(value, list))


def tensors_of(payload: InferRequest) -> list[Tensor]:
    """Return the inputs of the SDK's V2 request.

    The SDK keeps binary data in a private field; its public decoder fails on a shape that does not fit.
    """
    return [
        Tensor(one.name, one.datatype, one.shape, one.data if one._raw_data is None else None, one._raw_data)
        for one in payload.inputs
    ]


def good_of(instances: Sequence[Any], bundle: Bundle) -> tuple[list[Any], list[InvalidRequest | None]]:
    """Return the good instances, and for each instance what is wrong with it.

    Raises:
        InvalidRequest: every one is bad; the first one's error is the request's.
    """
    good: list[Any] = []
    errors: list[InvalidRequest | None] = []
    for place, instance in enumerate(instances):
        try:
            bundle.validate([instance])
            good.append(instance)
            errors.append(None)
        except InvalidRequest as error:
            where = str(error.where).replace("instances[0]", f"instances[{place}]", 1)
            errors.append(InvalidRequest(error.message, where=where, remedy=error.remedy))
    if not good:
        raise next(error for error in errors if error is not None)
    return good, errors


def beside_errors(answers: Sequence[Any], errors: Sequence[InvalidRequest | None]) -> list[Any]:
    """Return the answers of the good instances in their places, beside the errors of the bad ones."""
    following = iter(answers)
    return [
        next(following) if error is None else InstanceError(error={"code": error.code, "message": str(error)})
        for error in errors
    ]


def records(asked: Any) -> int:
    """Return how many records are asked about: instances, or rows of arrays."""
    return len(next(iter(asked.values()), ())) if isinstance(asked, dict) else len(asked)
