"""Which arm a unit belongs to: a salted hash, so the same one after every restart, on every machine, without memory.

The salt makes two experiments independent: who is in one's treatment says nothing of the other's.
"""

from __future__ import annotations

import hashlib
from datetime import date

from frontdesk.experiments.definition import ArmDefinition, Definition


def position(salt: str, unit: str) -> float:
    """Return where a unit stands, in [0, 1): the first 53 bits of SHA-256 over salt and unit."""
    said = hashlib.sha256(f"experiment\0{salt}\0{unit}".encode()).digest()
    return (int.from_bytes(said[:8], "big") >> 11) / 2**53


def arm_of(definition: Definition, unit: str) -> ArmDefinition:
    """Return the arm of a unit, the same in every phase."""
    place = position(definition.salt or definition.name, unit)
    return definition.treatment if place < definition.share else definition.control


def model_of(definition: Definition, unit: str, day: date) -> tuple[str, str | None] | None:
    """Return arm and served model of a unit on a day (UTC), None outside of the phases.

    In the A/A phase both arms have the control's model.
    """
    phases = definition.phases
    if phases.aa is not None and phases.aa.contains(day):
        return arm_of(definition, unit).name, definition.control.model
    if phases.ab.contains(day):
        arm = arm_of(definition, unit)
        return arm.name, arm.model
    return None
