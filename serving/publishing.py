"""``python -m frontdesk.serving.publishing BUNDLE ...``: write to Redis what the servers of bundles share there.

It is a process of its own, because the gateway, which starts it, loads no model.
"""

from __future__ import annotations

import sys

from frontdesk.bundle import manifest_at
from frontdesk.errors import FrontdeskError
from frontdesk.recipes import jobs


def main() -> int:
    """Publish every bundle; return the exit code."""
    try:
        for location in sys.argv[1:]:
            jobs(manifest_at(location)["recipe"]).publish(location)
    except FrontdeskError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
