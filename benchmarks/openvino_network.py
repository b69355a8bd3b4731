"""EvGen's network as OpenVINO computes it, for `benchmarks.intent_serving`."""

from __future__ import annotations

import warnings
from dataclasses import fields

import numpy as np
import openvino
import torch

from frontdesk.intent.engines.eager import EagerEngine
from frontdesk.intent.network import SessionBatch
from frontdesk.intent.network_config import PATH
from frontdesk.intent.sessions import Session


class OpenVinoNetwork:
    """The network of training, compiled by OpenVINO in float32 on one thread.

    A session is padded to `PATH` rows, so that one graph holds for every length; what is padded lies behind the
    position that is read, which sees nothing of it.
    """

    def __init__(self, eager: EagerEngine) -> None:
        names = [one.name for one in fields(SessionBatch)]

        class Traced(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.network = eager.network

            def forward(self, *parts: torch.Tensor) -> torch.Tensor:
                return self.network(SessionBatch(**dict(zip(names, parts, strict=True))))

        example = tuple(map(torch.from_numpy, self._parts(np.arange(3, 11), np.ones(8, bool), (0, 0, 0, 0))))
        with warnings.catch_warnings():  # of the tracer, about sizes that it takes for constants
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(Traced().eval(), example, check_trace=False)
            model = openvino.convert_model(traced, example_input=example)
        options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1}
        self._request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()

    @staticmethod
    def _parts(tokens: np.ndarray, is_intent: np.ndarray, who: tuple[int, int, int, int]) -> list[np.ndarray]:
        rows = max(len(tokens), PATH)
        padded, kinds = np.zeros((1, rows), np.int64), np.zeros((1, rows), bool)
        padded[0, : len(tokens)], kinds[0, : len(tokens)] = tokens, is_intent
        asking = [np.full((1, rows + 1), each, np.int64) for each in who[:2]]
        return [padded, kinds, *(np.array([each], np.int64) for each in who), *asking, np.zeros((1, 0), np.int64)]

    def __call__(self, session: Session) -> np.ndarray:
        """Return the logits of the next intent, float32 [1, K]."""
        who = (session.operator, session.line, session.weekday, session.hour)
        found = self._request.infer(self._parts(session.tokens, session.is_intent, who), share_inputs=True)[0]
        return np.asarray(found[:, len(session.tokens)])
