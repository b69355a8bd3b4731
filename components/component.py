"""How every step is made a component."""

from __future__ import annotations

import functools

from kfp import dsl

from frontdesk.settings import settings

component = functools.partial(
    dsl.component,
    base_image=settings().image,
    # The image holds the library and its packages; a step installs nothing when it starts.
    packages_to_install=[],
    install_kfp_package=False,
)
