"""``python -m frontdesk.serving BUNDLE ...``: the model server as a container starts it."""

from __future__ import annotations

import argparse
import sys

from frontdesk.serving.processes import exit_code_of


def main() -> int:
    """Serve until a signal; return the exit code."""
    parser = argparse.ArgumentParser(
        "python -m frontdesk.serving", description="Serve bundles over KServe's protocols."
    )
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE", help="folder or s3:// address; with --store a recipe")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--grpc-port", type=int, help="serve gRPC too")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--taxonomy", help="label file whose labels are answered in; a path or s3://")
    parser.add_argument("--taxonomy-version", help="the labels of this day; without it the newest")
    parser.add_argument("--store", help="serve what is deployed in this store, and follow it")
    parser.add_argument("--look-seconds", type=float, default=5.0, help="between two looks at the store")
    parser.add_argument("--role", choices=("whole", "predictor"), default="whole")
    parser.add_argument("--predictor-host", metavar="HOST:PORT", help="be the transformer of this predictor")
    parser.add_argument("--predictor-protocol", choices=("v2", "grpc-v2"), default="v2")
    parser.add_argument("--workers", type=int, default=1, help="processes that answer; one computes on one core")
    options = parser.parse_args()
    from frontdesk.serving.workers import serve

    return exit_code_of(lambda: serve(**vars(options)))


if __name__ == "__main__":
    sys.exit(main())
