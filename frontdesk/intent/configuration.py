"""What the front end asks for and how lists are made, per line: versioned, checked, served with a digest.

The screen asks for suggestions when a trigger event comes, sends the context events so far, and waits the shortest
interval between two requests. The same context events are taken from training's rows, so that a model learns from what
it will be asked with.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from frontdesk.errors import UsageError
from frontdesk.intent.columns import EVENT
from frontdesk.intent.tokens import Tokenizer
from frontdesk.storage import canonical_json
from frontdesk.yaml_file import read_yaml

MOST_SHOWN = 6


class ListSettings(BaseModel):
    """How a line's lists are made.

    Attributes:
        shown: suggestions at most.
        hide_opened: leave out what the session has opened already. Off, because procedures are opened again.
        damping: how much better a newcomer must score than what the operator saw before: 0 changes the list freely, 0.5
            keeps an old suggestion unless the new one scores 1.5 times as much.
        defaults: the line's own suggestions, where the models have too few.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shown: int = Field(default=MOST_SHOWN, ge=1, le=MOST_SHOWN)
    hide_opened: bool = False
    damping: float = Field(default=0.0, ge=0.0, le=10.0)
    defaults: tuple[str, ...] = ()


class LineConfiguration(BaseModel):
    """One line's settings.

    Attributes:
        trigger_events: names of the events that ask for suggestions. An opened intent always does.
        context_events: names of the events that enter the context; None: every event. Opened intents always do.
        shortest_interval_seconds: between two requests of one screen.
        model: the model that is asked first; a model that cannot answer hands on to the simpler one.
        backoff: which end of the context the Markov chain gives up.
        markov_context: what the Markov chain looks at: every row, or the opened intents only.
        lists: how lists are made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trigger_events: tuple[str, ...] = ()
    context_events: tuple[str, ...] | None = None
    shortest_interval_seconds: float = Field(default=3.0, ge=1.0, le=60.0)
    model: Literal["evgen", "markov", "toppop"] = "evgen"
    backoff: Literal["oldest", "newest"] = "oldest"
    markov_context: Literal["all", "intents"] = "all"
    lists: ListSettings = ListSettings()

    @model_validator(mode="after")
    def _fits(self) -> LineConfiguration:
        for name in ("trigger_events", "context_events"):
            values = getattr(self, name) or ()
            if doubled := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"{name} names twice: {', '.join(doubled)}")
        return self


class Configuration(BaseModel):
    """The settings of every line.

    Attributes:
        version: counts the desk's changes, from 1.
        default: for a line without settings of its own.
        lines: ``{line: settings}``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    version: int = Field(default=1, ge=1)
    default: LineConfiguration = LineConfiguration()
    lines: dict[str, LineConfiguration] = Field(default_factory=dict)

    def of(self, line: str | None) -> LineConfiguration:
        """Return a line's settings."""
        return self.lines.get(line or "", self.default)

    def digest(self, line: str | None = None) -> str:
        """Return a digest for an ETag: of one line's answer, or of everything."""
        content: Any = self.model_dump(mode="json") if line is None else self.answer(line)
        return hashlib.sha256(canonical_json(content)).hexdigest()[:16]

    def answer(self, line: str) -> dict[str, Any]:
        """Return what the front end gets for a line: version, triggers, context, interval, length of a list."""
        settings = self.of(line)
        return {
            "version": self.version,
            "line": line,
            "trigger_events": list(settings.trigger_events),
            "context_events": None if settings.context_events is None else list(settings.context_events),
            "shortest_interval_seconds": settings.shortest_interval_seconds,
            "shown": settings.lists.shown,
        }

    def check(self, rows: pa.Table) -> None:
        """Compare with a log (rows of `columns.schema_of`).

        Raises:
            UsageError: a line or an event that the log does not have, and so most likely a misspelt one.
        """
        events = set(rows["name"].filter(pc.equal(rows["kind"], EVENT)).unique().to_pylist())
        lines = set(rows["line"].unique().to_pylist())
        for line, settings in [("default", self.default), *self.lines.items()]:
            if line != "default" and line not in lines:
                raise UsageError(f"no session of the log is of line {line!r}", where=f"lines.{line}")
            for name in ("trigger_events", "context_events"):
                if unknown := sorted(set(getattr(settings, name) or ()) - events):
                    raise UsageError(
                        f"events that the log does not have: {', '.join(unknown)}", where=f"lines.{line}.{name}"
                    )


def load_configuration(address: str | Path) -> Configuration:
    """Read a configuration from a file or ``s3://``. Raises `UnreadableFile`, or `UsageError` that names the key."""
    return parse_configuration(read_yaml(address, "the lines' configuration"), where=str(address).rpartition("/")[2])


def parse_configuration(content: Any, *, where: str = "configuration") -> Configuration:
    """Build a configuration from plain values. Raises `UsageError` that names the key."""
    try:
        return Configuration.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        words = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{key}: {words}" if key else words, where=where) from error


def default_configuration(tokenizer: Tokenizer) -> Configuration:
    """Return settings under which every event is context, and every one that training knows asks for suggestions."""
    return Configuration(default=LineConfiguration(trigger_events=tuple(sorted({key[0] for key in tokenizer.events}))))


def in_context(rows: pa.Table, configuration: Configuration) -> pa.Table:
    """Leave out the events that a line's screen does not send (rows of `columns.schema_of`)."""
    is_event = pc.equal(rows["kind"], EVENT).to_numpy()
    keep = ~is_event
    lines = np.array(rows["line"].to_pylist(), object)
    names = rows["name"]
    for line in set(lines.tolist()):
        events = configuration.of(line).context_events
        allowed = True if events is None else pc.is_in(names, value_set=pa.array(events, pa.string())).to_numpy()
        keep |= is_event & (lines == line) & allowed
    return rows.filter(pa.array(keep))
