"""Instances to answers of the model server: in parts, in order, each with its own error where that is wanted."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from frontdesk.errors import InvalidRequest, Unavailable
from frontdesk.serving.gateway.assignment import Arm
from frontdesk.serving.gateway.models import Models

if TYPE_CHECKING:
    from frontdesk.serving.gateway.traffic import Traffic

_PLACE = re.compile(r"^instances\[(\d+)\]")


@dataclass(frozen=True)
class Side:
    """Where an instance stands in a rollout.

    Attributes:
        rollout: its id.
        step: of the rollout.
        name: ``candidate`` or ``control``.
        model_id: of the candidate.
    """

    rollout: str
    step: int
    name: str
    model_id: str


@dataclass(frozen=True)
class Asked:
    """One instance of a request.

    Attributes:
        place: among the instances, from 0.
        case_id: the caller's name of the case, None for none.
        fields: for the model.
        arm: of an experiment.
        holdout: whether its answer is kept back.
        side: of a rollout; an instance with an arm has none.
    """

    place: int
    case_id: str | None
    fields: dict[str, Any]
    arm: Arm | None
    holdout: bool
    side: Side | None = None


@dataclass(frozen=True)
class Manner:
    """How a recipe's instances are asked.

    Attributes:
        seconds: deadline of one part.
        part_size: instances in one request to the model server.
        parts_at_once: requests together.
        partial: whether a wrong instance gets an error of its own.
        degrade: whether an instance without a model gets None, instead of `Unavailable` for the request.
    """

    seconds: float
    part_size: int
    parts_at_once: int
    partial: bool
    degrade: bool

    def changed(self, **values: Any) -> Manner:
        """Return this manner with other values."""
        return replace(self, **values)


Answered = dict[str, Any] | InvalidRequest | None
"""The model's answer, why an instance is refused, or None where no model answered."""


async def ask(
    models: Models,
    recipe: str,
    asked: Sequence[Asked],
    manner: Manner,
    headers: Mapping[str, str],
    traffic: Traffic,
) -> dict[int, Answered]:
    """Return what became of every instance, by its place.

    Raises:
        InvalidRequest: an instance is wrong, and ``manner.partial`` is false.
        Overloaded: the model server stayed busy.
        Unavailable: it did not answer, and ``manner.degrade`` is false.
    """
    together: dict[tuple[str | None, Side | None], list[Asked]] = {}
    for one in asked:
        together.setdefault((one.arm.model if one.arm else None, one.side), []).append(one)
    parts = [
        (*key, some[start : start + manner.part_size])
        for key, some in together.items()
        for start in range(0, len(some), manner.part_size)
    ]

    async def ask_part(model: str | None, part: Sequence[Asked], how: Manner) -> dict[int, Answered]:
        return await _ask_part(models, recipe, model, part, how, headers)

    async def one_part(model: str | None, side: Side | None, part: Sequence[Asked]) -> dict[int, Answered]:
        if side is None:
            return await ask_part(model, part, manner)
        return await traffic.ask(ask_part, recipe, side, part, manner)

    if len(parts) == 1:
        return await one_part(*parts[0])
    free = asyncio.Semaphore(manner.parts_at_once)
    found: dict[int, Answered] = {}

    async def in_turn(model: str | None, side: Side | None, part: Sequence[Asked]) -> None:
        async with free:
            found.update(await one_part(model, side, part))

    try:
        async with asyncio.TaskGroup() as group:
            for one in parts:
                group.create_task(in_turn(*one))
    except* Exception as failures:
        raise _first(failures) from None
    return found


async def _ask_part(
    models: Models,
    recipe: str,
    model: str | None,
    part: Sequence[Asked],
    manner: Manner,
    headers: Mapping[str, str],
) -> dict[int, Answered]:
    parameters = {"on_error": "answer" if manner.partial else "refuse"}
    instances = [one.fields for one in part]
    try:
        answers = await models.predict(
            recipe, instances, seconds=manner.seconds, model=model, parameters=parameters, headers=headers
        )
    except Unavailable:
        if not manner.degrade:
            raise
        return {one.place: None for one in part}
    except InvalidRequest as error:
        if not manner.partial:
            raise _placed(error, part) from None
        if len(part) == 1:
            return {part[0].place: _placed(error, part)}
        # Every instance is wrong, or they are too many bytes together: each one's own error is asked for.
        found: dict[int, Answered] = {}
        for one in part:
            found |= await _ask_part(models, recipe, model, [one], manner, headers)
        return found
    return {
        one.place: _placed(_refused(answer["error"]), part) if "error" in answer else answer
        for one, answer in zip(part, answers, strict=True)
    }


def _refused(error: Mapping[str, str]) -> InvalidRequest:
    where, _, words = str(error.get("message", "")).partition(": ")
    return InvalidRequest(words or "the instance cannot be read", where=where)


def _placed(error: InvalidRequest, part: Sequence[Asked]) -> InvalidRequest:
    """Return an error of a part with the place that its instance has in the request."""
    found = _PLACE.match(error.where)
    if found is None or int(found[1]) >= len(part):
        return error
    where = f"instances[{part[int(found[1])].place}]{error.where[found.end() :]}"
    return type(error)(error.message, where=where, remedy=error.remedy)


def _first(failures: BaseExceptionGroup[Exception]) -> Exception:
    """Return the failure that the caller is told: what is wrong with the request before what is wrong here."""
    leaves: list[Exception] = []
    stack: list[BaseException] = [failures]
    while stack:
        one = stack.pop()
        if isinstance(one, BaseExceptionGroup):
            stack.extend(one.exceptions)
        elif isinstance(one, Exception):
            leaves.append(one)
    return min(leaves, key=lambda one: not isinstance(one, InvalidRequest))
