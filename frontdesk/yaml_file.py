"""Reading what people write by hand: YAML, which JSON is a part of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from frontdesk.errors import UnreadableFile
from frontdesk.storage import reading


def read_yaml(address: str | Path, what: str) -> Any:
    """Return the plain values of a file.

    Args:
        address: a path, or ``s3://``.
        what: names the file in an error: ``the label file``.

    Raises:
        UnreadableFile: it is missing, or not YAML.
        StorageError: the object store does not answer.
    """
    name = str(address).rpartition("/")[2]
    try:
        with reading(str(address)) as file:
            return yaml.safe_load(bytes(file.read()).decode("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UnreadableFile(f"{what} cannot be read", where=name, remedy="It must be YAML or JSON") from error
