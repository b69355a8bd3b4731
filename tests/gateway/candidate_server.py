"""The real server around a champion and a candidate that has a fault: as a customer's text meets it, or always.

``python -m tests.gateway.candidate_server CHAMPION CANDIDATE --fault NAME --port P``
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path
from typing import Any

from frontdesk.bundle import Bundle, manifest_at
from frontdesk.bundle.labels import LabelBundle
from frontdesk.cli.rehearsal.broken_candidate import with_fault
from frontdesk.serving.model import BundleModel, Limits
from frontdesk.serving.server import configure_logs, run

CUSTOMER = "lost card"
SLOW_SECONDS = 0.5


def faulty(location: Path, fault: str) -> Bundle:
    """Open a bundle that fails or sleeps at customers' questions, or answers with other labels or intents."""
    opened = Bundle.load(location)
    if not isinstance(opened, LabelBundle):
        return upside_down(opened) if fault == "wrong" else opened

    def strikes(instances: Any) -> bool:
        return any(CUSTOMER in str(one.get("subject")) for one in instances)

    return with_fault(opened, fault, strikes, SLOW_SECONDS)


def upside_down(bundle: Bundle) -> Bundle:
    """Let a recommender suggest what it finds least likely first."""
    answer = bundle.predict

    def predict(instances: Any) -> Any:
        answers = answer(instances)
        for one in answers:
            one.intents.reverse()
        return answers

    bundle.predict = predict  # type: ignore[method-assign]
    return bundle


def main() -> int:
    """Serve the recipe's name, and the same with ``-candidate``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("champion", type=Path)
    parser.add_argument("candidate", type=Path)
    parser.add_argument("--fault", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    configure_logs("INFO")
    limits = Limits(threads=4, inline_seconds=0.0)
    recipe = manifest_at(str(options.champion))["recipe"]
    models = [
        BundleModel(recipe, functools.partial(Bundle.load, options.champion), limits),
        BundleModel(f"{recipe}-candidate", functools.partial(faulty, options.candidate, options.fault), limits),
    ]
    run(models, host="127.0.0.1", port=options.port, grpc_port=None, limits=limits)
    return 0


if __name__ == "__main__":
    sys.exit(main())
