"""Real parts that several tests share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.bundles import email_run, ticket_bundle, ticket_bundles  # noqa: F401
from tests.history_bundles import history_run  # noqa: F401
from tests.incident_bundles import incident_run  # noqa: F401
from tests.intent_bundles import intent_bundle, intent_run  # noqa: F401
from tests.lifecycle_run import finished  # noqa: F401
from tests.postgres_server import postgres  # noqa: F401
from tests.redis_server import redis_server  # noqa: F401
from tests.s3_server import S3, environment, s3, s3_process  # noqa: F401
from tests.signing_keys import signing_keys, trust  # noqa: F401

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


hypothesis.settings.register_profile("desk", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("desk")


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Undo what a command or a step that ran inside this process told the library's logger."""
    logger = logging.getLogger("frontdesk")
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.propagate = handlers, propagate
    logger.setLevel(level)


@pytest.fixture(scope="session")
def spark(s3_process: S3) -> Iterator[SparkSession]:  # noqa: F811
    """One Spark on two threads for the whole run: it takes half a minute to start. `preprocess` and `score` use it.

    Its workers keep the environment that it was started in, so the S3 server comes first.
    """
    from frontdesk.preprocessing.spark_session import session

    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment(s3_process.endpoint).items():
            patched.setenv(name, value)
        started = session(master="local[2]", memory="1g")
        spark = started.__enter__()
    yield spark
    started.__exit__(None, None, None)


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry without entries: MLflow takes seconds to make one, a copy takes none."""
    from frontdesk.registry import Registry

    path = tmp_path_factory.mktemp("registry") / "mlflow.db"
    Registry(f"sqlite:///{path}").champion("ticket")
    return path
