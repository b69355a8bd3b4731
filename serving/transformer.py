"""The custom transformer of every recipe: checks and encodes a request, asks a predictor, turns its words into answers.

What is fast and belongs to the desk stays here (cleaning, masking, tokens of sessions; label names, decisions, rights,
defaults); the model is asked over V2, by REST or gRPC. Where it does not answer in time, a recipe with a simpler model
answers by that one and says so; any other says 503 ``predictor_unavailable``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from frontdesk.bundle import Arrays, Bundle, Encoded
from frontdesk.errors import InvalidRequest, Overloaded, PredictorUnavailable
from frontdesk.logs import event
from frontdesk.serving import metrics
from frontdesk.serving.asking import Asker
from frontdesk.serving.model import (
    INLINE_CHARACTERS,
    BundleModel,
    Instances,
    Limits,
    Served,
    beside_errors,
    characters,
    good_of,
)

_PAUSE_SECONDS = 1.0
_log = logging.getLogger(__name__)


class TransformerModel(BundleModel):
    """The ends of a bundle: `Bundle.encode` and `Bundle.decide` around a predictor.

    Args:
        name: in addresses, here and at the predictor.
        open_bundle: see `BundleModel`; only the ends of the bundle are used, and its model need not be there.
        limits: see `Limits`.
        asker: the way to the predictor.
    """

    def __init__(self, name: str, open_bundle: Callable[[], Bundle], limits: Limits, asker: Asker) -> None:
        super().__init__(name, open_bundle, limits)
        self._asker = asker
        self._again_at = 0.0

    @staticmethod
    def _row_seconds(bundle: Bundle) -> float:
        """Return how long an instance of typical size takes to encode; the model is another server's."""
        began = time.thread_time()
        bundle.encode([bundle.example()])
        return time.thread_time() - began

    async def compute(self, asked: Instances, served: Served, headers: Mapping[str, str]) -> Any:
        """Answer instances. Raises `InvalidRequest`, `Overloaded`, `PredictorUnavailable`."""
        bundle = served.bundle
        inline = len(asked) == 1 and characters(asked[0]) <= INLINE_CHARACTERS
        encoded, errors = await self._here(lambda: _encode(asked, bundle), inline)
        packed = await self._here(lambda: bundle.pack(encoded.asked), inline)
        if all(len(array) for array in packed.values()):
            with metrics.timed(self.name, "predictor"):
                outputs = await self._ask(packed, bundle.model_id, headers)
        else:
            outputs = bundle.run(encoded.asked)  # of nothing
        answers = await self._here(lambda: bundle.decide(encoded, outputs), inline)
        return beside_errors(answers, errors) if errors else answers

    async def _here(self, work: Callable[[], Any], inline: bool) -> Any:
        if not inline:
            return await self.in_thread(lambda: self._timed(work))
        return self._timed(work)

    def _timed(self, work: Callable[[], Any]) -> Any:
        with metrics.timed(self.name, "predict"):
            return work()

    async def _ask(self, packed: Mapping[str, np.ndarray], model_id: str, headers: Mapping[str, str]) -> Arrays | None:
        """Return what the predictor says; None where it does not, or did not a moment ago.

        Raises:
            Overloaded: the predictor has too much to do.
        """
        if time.monotonic() < self._again_at:
            return None
        try:
            return await self._asker.ask(self.name, packed, model_id, headers)
        except PredictorUnavailable as error:
            if isinstance(error.__cause__, TimeoutError):
                # Its silence must not become everybody's latency.
                self._again_at = time.monotonic() + _PAUSE_SECONDS
            event(_log, "predictor_unavailable", logging.WARNING, model=self.name, reason=error.message)
            metrics.count_predictor_failure(self.name)
            return None
        except Overloaded:
            metrics.count_predictor_failure(self.name)
            raise

    async def close(self) -> None:
        """Close the connections to the predictor."""
        await self._asker.close()


def _encode(instances: Instances, bundle: Bundle) -> tuple[Encoded, list[InvalidRequest | None]]:
    """Return the good instances encoded, and the errors where some are bad and the caller wants the rest."""
    try:
        return bundle.encode(instances), []
    except InvalidRequest as error:
        if not instances.partial or not str(error.where).startswith("instances["):
            raise
    good, errors = good_of(instances, bundle)
    return bundle.encode(good), errors
