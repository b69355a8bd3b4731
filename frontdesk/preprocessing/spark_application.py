"""Job 2 as the main file of a Spark application, for clusters where a Spark operator starts Spark.

``manifests/spark-operator/sparkapplication.yaml`` names it. The pipeline's step does the same without an operator.
"""

from __future__ import annotations

import argparse
import sys

from frontdesk import logs
from frontdesk.errors import FrontdeskError
from frontdesk.recipes import jobs, names
from frontdesk.settings import settings


def main(arguments: list[str] | None = None) -> int:
    """Turn a snapshot into tensors, print their id, and return the exit code."""
    parser = argparse.ArgumentParser(description="Turn a snapshot into tensors.")
    parser.add_argument("--recipe", required=True, choices=names())
    parser.add_argument("--snapshot", required=True, help="id of the snapshot")
    parser.add_argument("--store", required=True, help="s3:// address of the store")
    parser.add_argument("--parameters", default="{}", help="the recipe's parameters as JSON")
    given = parser.parse_args(arguments)
    try:
        logs.configure(settings().log_level)
        made = jobs(given.recipe).spark_preprocess(
            snapshot=given.snapshot, parameters=given.parameters, store=given.store
        )
    except FrontdeskError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{made['id']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
