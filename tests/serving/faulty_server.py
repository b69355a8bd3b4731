"""The real server around a real bundle that loads slowly, answers slowly or fails, as the instances ask for.

``python -m tests.serving.faulty_server BUNDLE --port P [--grpc-port P] [--load-seconds S]``
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from frontdesk.bundle.labels import LabelBundle
from frontdesk.records import Prediction
from frontdesk.serving.model import BundleModel, Limits
from frontdesk.serving.processes import exit_code_of
from frontdesk.serving.server import configure_logs, run

SLOW, BROKEN, SECRET = "sleep-here", "break-here", "the customer's secret"


def faulty(bundle: LabelBundle) -> LabelBundle:
    """Make a bundle sleep for a second, or raise, where the first text says so."""
    answer = bundle.predict

    def predict(instances: Any) -> list[Prediction]:
        text = str(instances[0].get(bundle.spec.text[0])) if instances else ""
        if SLOW in text:
            time.sleep(1.0)
        if BROKEN in text:
            raise RuntimeError(SECRET)
        return answer(instances)

    bundle.predict = predict  # type: ignore[method-assign]
    return bundle


def main() -> int:
    """Serve one model called ``ticket``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--grpc-port", type=int)
    parser.add_argument("--load-seconds", type=float, default=0)
    options = parser.parse_args()

    def load() -> LabelBundle:
        time.sleep(options.load_seconds)
        return faulty(LabelBundle.load(options.bundle))

    configure_logs("INFO")
    limits = Limits(threads=1, waiting=1, inline_seconds=0.0)
    model = BundleModel("ticket", load, limits)
    return exit_code_of(
        lambda: run([model], host="127.0.0.1", port=options.port, grpc_port=options.grpc_port, limits=limits)
    )


if __name__ == "__main__":
    sys.exit(main())
