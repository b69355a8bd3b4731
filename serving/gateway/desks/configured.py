"""The desks of a gateway, opened: adapters with their secrets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from frontdesk.serving.gateway.desks import KINDS
from frontdesk.serving.gateway.desks.configuration import load_desks, read_secret
from frontdesk.serving.gateway.desks.desk import Desk


@dataclass(frozen=True)
class ConfiguredDesks:
    """Every desk by its name, and the hosts that may be written to."""

    version: str
    desks: dict[str, Desk]
    allowed_hosts: frozenset[str]


NO_DESKS = ConfiguredDesks("", {}, frozenset())


def open_desks(path: str | None) -> ConfiguredDesks:
    """Read the file of desks; secrets lie where it says, beside it unless the path is absolute.

    Raises:
        UnreadableFile, UsageError: the file, or one of a secret, cannot be used.
    """
    if path is None:
        return NO_DESKS
    place = Path(path)
    file = load_desks(place)
    opened: dict[str, Desk] = {}
    for name, configuration in file.desks.items():
        secrets = [read_secret(place.parent / secret) for secret in configuration.secret_files]
        target = configuration.write_back
        token = "" if target is None else read_secret(place.parent / target.token_file).decode("utf-8", "replace")
        opened[name] = KINDS[configuration.kind](name, configuration, secrets, token)
    return ConfiguredDesks(file.version, opened, file.allowed_hosts)
