"""How a ticket bundle is opened: the network by an engine, the classical system by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from frontdesk.bundle.absent import AbsentModel
from frontdesk.bundle.folder import SPEC, parsed
from frontdesk.bundle.labels import LabelBundle
from frontdesk.engines import TOLERANCE, open_engine
from frontdesk.golden import require_golden
from frontdesk.preprocessing.spec import Spec
from frontdesk.ticket.text_places import TextPlaces
from frontdesk.ticket.wide_part import WidePart


def open_network(folder: Path, manifest: dict[str, Any], engine: str | None) -> LabelBundle:
    """Open v2 by an engine that gives the golden rows their probabilities; None: without the network."""
    spec = Spec.from_json(parsed(folder, SPEC))
    if engine is None:
        return LabelBundle(folder, manifest, spec, AbsentModel())
    bundle = LabelBundle(folder, manifest, spec, open_engine(folder, spec, engine))
    bundle.linear_part = WidePart(folder, spec)
    bundle.embedding = TextPlaces(folder, spec)
    return bundle


def open_classical(folder: Path, manifest: dict[str, Any], engine: str | None) -> LabelBundle:
    """Open v1, which has one form only, and check its golden rows; None: without the model."""
    spec = Spec.from_json(parsed(folder, SPEC))
    if engine is None:
        return LabelBundle(folder, manifest, spec, AbsentModel())
    from frontdesk.ticket.classical_model import ClassicalModel

    model = ClassicalModel.load(folder, spec)
    require_golden(folder, model, TOLERANCE)
    bundle = LabelBundle(folder, manifest, spec, model)
    bundle.embedding = model.topics
    return bundle
