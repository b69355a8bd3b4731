"""What a container of our image runs when Spark starts it: ``python -m frontdesk.preprocessing.spark_container ROLE``.

Spark gives a container its role as an argument and the rest in variables, and expects the shell script of its own image
to read them. Ours reads them itself, so that any image with the library is an executor (``executor``), and the driver
of a Spark operator's application (``driver``).
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from frontdesk.errors import MissingTool, UsageError
from frontdesk.preprocessing.java import java_home

_BACKEND = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"
_OPTION = "SPARK_JAVA_OPT_"
_ARGUMENTS = {
    "--driver-url": "SPARK_DRIVER_URL",
    "--executor-id": "SPARK_EXECUTOR_ID",
    "--cores": "SPARK_EXECUTOR_CORES",
    "--app-id": "SPARK_APPLICATION_ID",
    "--hostname": "SPARK_EXECUTOR_POD_IP",
    "--resourceProfileId": "SPARK_RESOURCE_PROFILE_ID",
    "--podName": "SPARK_EXECUTOR_POD_NAME",
}
LOG4J = """\
status = error
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex
"""
"""Spark's logging: what went wrong, on standard error."""


def executor_command(environment: Mapping[str, str], java: Path, spark: Path, log4j: Path) -> list[str]:
    """Return the executor's process.

    Args:
        environment: what Spark's scheduler wrote into the pod.
        java: home of Java.
        spark: folder of pyspark, with ``jars``.
        log4j: file of the logging.

    Raises:
        UsageError: a variable is missing; Spark did not start this container.
    """
    options = sorted((name for name in environment if name.startswith(_OPTION)), key=_number)
    jars = [environment["SPARK_CLASSPATH"]] if environment.get("SPARK_CLASSPATH") else []
    try:
        memory = environment["SPARK_EXECUTOR_MEMORY"]
        arguments = [word for option, name in _ARGUMENTS.items() for word in (option, environment[name])]
    except KeyError as error:
        remedy = "Spark's scheduler starts executors, nobody else"
        raise UsageError(f"{error.args[0]} is not set", where="executor", remedy=remedy) from None
    return [
        str(java / "bin" / "java"),
        *(environment[name] for name in options),
        f"-Dlog4j2.configurationFile={log4j.as_uri()}",
        f"-Xms{memory}",
        f"-Xmx{memory}",
        "-cp",
        ":".join([*jars, f"{spark}/jars/*"]),
        _BACKEND,
        *arguments,
    ]


def _number(option: str) -> int:
    return int(option.removeprefix(_OPTION))


def driver_command(environment: Mapping[str, str], spark: Path, arguments: Sequence[str]) -> list[str]:
    """Return the driver's process: Spark's own launcher in client mode."""
    bind = environment.get("SPARK_DRIVER_BIND_ADDRESS")
    address = ["--conf", f"spark.driver.bindAddress={bind}"] if bind else []
    return [str(spark / "bin" / "spark-submit"), *address, "--deploy-mode", "client", *arguments]


def main(arguments: Sequence[str]) -> None:
    """Become the process of a role.

    Raises:
        UsageError: an unknown role.
        MissingTool: there is no Java, or no Spark, in the image.
    """
    found = importlib.util.find_spec("pyspark")
    if found is None or not found.submodule_search_locations:
        raise MissingTool("the image has no pyspark", remedy="Take the image of the pipelines")
    spark, java = Path(found.submodule_search_locations[0]), java_home()
    environment = os.environ | {
        "JAVA_HOME": str(java),
        "SPARK_HOME": str(spark),
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONSAFEPATH": "1",  # the folder of an application's main file holds modules named as some of Python's own
    }
    role = arguments[0] if arguments else ""
    log4j = Path(tempfile.gettempdir()) / "log4j2.properties"
    if role == "executor":
        command = executor_command(os.environ, java, spark, log4j)
    elif role == "driver":
        environment["SPARK_SUBMIT_OPTS"] = f"-Dlog4j2.configurationFile={log4j.as_uri()}"
        command = driver_command(os.environ, spark, arguments[1:])
    else:
        raise UsageError(f"there is no role {role!r}", where="spark_container", remedy="executor or driver")
    log4j.write_text(LOG4J, "utf-8")
    os.execve(command[0], command, environment)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
