"""A candidate's server that breaks on purpose: the real server around a real bundle, with one fault.

``python -m frontdesk.cli.rehearsal.broken_candidate BUNDLE --fault NAME --port P``. Golden questions are answered well
under ``fails`` and ``slow``, so that only a customer's tickets can show the fault.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from frontdesk.bundle.labels import LabelBundle
from frontdesk.golden_questions import golden_questions
from frontdesk.rollout import CANDIDATE_SUFFIX
from frontdesk.serving.processes import exit_code_of

FAULTS = ("fails", "slow", "wrong")
SLOW_SECONDS = 5.0
"""More than the gateway gives a candidate."""
_THREADS = 16


def broken(location: str, fault: str) -> LabelBundle:
    """Open a bundle that fails, sleeps, or answers with labels that nobody ever heard of."""
    bundle = LabelBundle.load(location)
    # What the server itself asks before it is ready is answered well too.
    golden = {_words(bundle.example()), *(_words(question["instance"]) for question in golden_questions(location))}
    return with_fault(bundle, fault, lambda instances: not golden.issuperset(map(_words, instances)), SLOW_SECONDS)


def with_fault(
    bundle: LabelBundle, fault: str, strikes: Callable[[Sequence[Any]], bool], slow_seconds: float
) -> LabelBundle:
    """Break a bundle.

    Args:
        strikes: tells at which instances it fails or sleeps; labels are ``wrong`` at all.
    """
    answer = bundle.predict

    def predict(instances: Sequence[Any]) -> Any:
        if fault == "fails" and strikes(instances):
            raise RuntimeError("out of order")
        if fault == "slow" and strikes(instances):
            time.sleep(slow_seconds)
        answers = answer(instances)
        if fault == "wrong":
            for one in answers:
                for head, said in one.labels.items():
                    one.labels[head] = said.model_copy(update={"label": "Never heard of"})
        return answers

    bundle.predict = predict  # type: ignore[method-assign]
    return bundle


def _words(instance: Any) -> tuple[str, ...]:
    return tuple(sorted(str(value) for value in instance.values() if isinstance(value, str)))


def main() -> int:
    """Serve the tickets' candidate until a signal; return the exit code."""
    from frontdesk.serving.model import BundleModel, Limits
    from frontdesk.serving.server import configure_logs, run

    parser = argparse.ArgumentParser()
    parser.add_argument("bundle")
    parser.add_argument("--fault", choices=FAULTS, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    configure_logs("INFO")
    limits = Limits(threads=_THREADS, inline_seconds=0.0, batch_characters=1)
    model = BundleModel(f"ticket{CANDIDATE_SUFFIX}", lambda: broken(options.bundle, options.fault), limits)
    return exit_code_of(lambda: run([model], host="127.0.0.1", port=options.port, grpc_port=None, limits=limits))


if __name__ == "__main__":
    sys.exit(main())
