"""Frontdesk: the machine-learning side of a support desk.

>>> from frontdesk import Bundle
>>> Bundle.load("bundle").predict([{"subject": "I cannot log in"}])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from frontdesk.version import VERSION as __version__

if TYPE_CHECKING:
    from frontdesk.bundle import Bundle
    from frontdesk.errors import FrontdeskError
    from frontdesk.records import Prediction

__all__ = ["Bundle", "FrontdeskError", "Prediction", "__version__"]

_HOMES = {"Bundle": "frontdesk.bundle", "FrontdeskError": "frontdesk.errors", "Prediction": "frontdesk.records"}


def __getattr__(name: str) -> Any:
    # Loaded on first use: `import frontdesk` itself must not cost numpy, pyarrow and pydantic.
    if name not in _HOMES:
        raise AttributeError(f"module 'frontdesk' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
