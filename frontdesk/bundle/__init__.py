"""The artifact: one folder that alone rebuilds a model, its preprocessing, its labels, its policy and its proof."""

from frontdesk.bundle.base import Arrays, Bundle, Encoded, InputKind, InstanceError, Output
from frontdesk.bundle.folder import (
    BUNDLE_FORMAT,
    local_copy,
    manifest_at,
    parse_manifest,
    save_bundle,
    update_bundle,
    verify_bundle,
)

__all__ = [
    "BUNDLE_FORMAT",
    "Arrays",
    "Bundle",
    "Encoded",
    "InputKind",
    "InstanceError",
    "Output",
    "local_copy",
    "manifest_at",
    "parse_manifest",
    "save_bundle",
    "update_bundle",
    "verify_bundle",
]
