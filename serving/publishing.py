"""``python -m frontdesk.serving.publishing BUNDLE ...``: write to Redis what the servers of bundles share there.

It is a process of its own, because the gateway, which starts it, loads no model.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from frontdesk.bundle import manifest_at
from frontdesk.recipes import jobs
from frontdesk.serving.processes import exit_code_of


def publish(locations: Sequence[str]) -> None:
    """Publish every bundle."""
    for location in locations:
        jobs(manifest_at(location)["recipe"]).publish(location)


if __name__ == "__main__":
    sys.exit(exit_code_of(lambda: publish(sys.argv[1:])))
