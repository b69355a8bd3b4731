"""Real parts that several tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.bundles import ticket_bundle, ticket_bundles  # noqa: F401
from tests.lifecycle_run import finished  # noqa: F401
from tests.s3_server import s3, s3_process  # noqa: F401

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One Spark on two threads for the whole run: it takes half a minute to start. `preprocess` and `score` use it."""
    from frontdesk.preprocessing.spark_session import session

    with session(master="local[2]", memory="1g") as started:
        yield started
