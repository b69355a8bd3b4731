"""What every desk has in common: verify a request, read what happened to a case, write an answer back.

A desk's own file says only how it signs, where things stand in its JSON, and which of its addresses take a change.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal

from frontdesk.errors import InvalidRequest
from frontdesk.serving.gateway.desks.configuration import DeskConfiguration
from frontdesk.serving.gateway.desks.outgoing import Outgoing
from frontdesk.serving.gateway.desks.payload import parsed_object, plain, word
from frontdesk.storage import digest

Kind = Literal["opened", "closed", "ignored"]
_MAX_DELIVERY = 128


@dataclass(frozen=True)
class Said:
    """What a desk's request says, in the desk's own names.

    Attributes:
        kind: ``ignored`` for an event that is none of our business.
        case: identifier of the ticket or conversation.
        delivery: the desk's identifier of this delivery, None where it has none.
        actors: identifiers of who caused it.
        tags: of the case.
        fields: the case's values: ``subject``, ``body``, ``channel``, ``created_at`` and the desk's own fields.
        at: when it happened, as the desk writes it.
    """

    kind: Kind
    case: str
    delivery: str | None
    actors: frozenset[str]
    tags: tuple[str, ...]
    fields: Mapping[str, Any]
    at: str | None = None


@dataclass(frozen=True)
class Event:
    """What happened to a case, in our names.

    Attributes:
        desk, recipe: of the configuration.
        kind: ``opened`` asks for a prediction, ``closed`` is feedback.
        case, delivery: identifiers of the desk; a delivery without one has the digest of its body.
        instance: the record that a model is asked with; of an opened case.
        labels: ``{head: label}`` that a person left on a closed case.
        at: when it happened, as the desk writes it.
        reason: why it is ignored: ``no_event``, ``own_write``, ``handled``, ``no_text``, ``no_label``.
    """

    desk: str
    recipe: str
    kind: Kind
    case: str
    delivery: str
    instance: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    at: str | None = None
    reason: str = ""

    @property
    def content(self) -> str:
        """Digest of what happened, whichever delivery brought it."""
        return digest({"kind": self.kind, "instance": self.instance, "labels": self.labels})


@dataclass(frozen=True)
class Change:
    """What is written to a case.

    Attributes:
        case: identifier of the ticket or conversation.
        fields: ``{field of the desk: value}``.
        tags: to be added; the first is the marker by which we know our own writes again.
        note: text that only agents see, None for none.
    """

    case: str
    fields: dict[str, str]
    tags: tuple[str, ...]
    note: str | None


class Desk(ABC):
    """One configured desk.

    Args:
        name: how the address of its webhook ends.
        configuration: of this desk.
        secrets: any of them may have signed a request.
        token: of the desk's API; empty where nothing is written.
    """

    kind: ClassVar[str]

    def __init__(self, name: str, configuration: DeskConfiguration, secrets: Sequence[bytes], token: str = "") -> None:
        self.name = name
        self.configuration = configuration
        self.secrets = tuple(secrets)
        self.token = token

    @property
    def account(self) -> str:
        """Who we are at the desk, empty where it does not matter."""
        return "" if self.configuration.write_back is None else self.configuration.write_back.account

    def receive(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Event:
        """Verify a request and say what happened.

        Args:
            headers: with lower-case names.
            body: as it came.
            now: with an offset.

        Raises:
            BadSignature: absent, wrong or too old.
            InvalidRequest: the body cannot be read, or names no case.
        """
        self.verify(headers, body, now)
        said = self.read(headers, parsed_object(body))
        delivery = said.delivery or hashlib.sha256(body).hexdigest()
        if len(delivery) > _MAX_DELIVERY or not delivery.isprintable():
            raise InvalidRequest("the identifier of the delivery cannot be used", where="headers")
        kind, reason, instance, labels = self._meaning(said)
        return Event(self.name, self.configuration.recipe, kind, said.case, delivery, instance, labels, said.at, reason)

    def _meaning(self, said: Said) -> tuple[Kind, str, dict[str, Any], dict[str, str]]:
        """Apply the guard against our own writes, and translate fields to ours."""
        own = self.configuration
        if said.kind == "ignored":
            return "ignored", "no_event", {}, {}
        if said.actors & own.own_actors:
            return "ignored", "own_write", {}, {}
        if said.kind == "closed":
            labels = {
                head: place.label(value)
                for head, place in own.labels.items()
                if (value := word(plain(said.fields.get(place.field))))
            }
            return ("closed", "", {}, labels) if labels else ("ignored", "no_label", {}, {})
        if own.marker in said.tags:
            return "ignored", "handled", {}, {}
        instance = {name: plain(said.fields.get(source)) for name, source in own.inputs.items()}
        instance = {name: value for name, value in instance.items() if value is not None}
        if not any(isinstance(value, str) and value.strip() for value in instance.values()):
            return "ignored", "no_text", {}, {}
        return "opened", "", instance, {}

    @abstractmethod
    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """Check who sent a request and when. Raises `BadSignature`."""

    @abstractmethod
    def read(self, headers: Mapping[str, str], payload: dict[str, Any]) -> Said:
        """Read a verified request. Raises `InvalidRequest`."""

    @abstractmethod
    def credentials(self) -> dict[str, str]:
        """Return the headers that the desk knows us by."""

    @abstractmethod
    async def write(self, change: Change, desk: Outgoing) -> None:
        """Write a change. Raises `WriteBackFailed`."""
