"""The tables. A change here needs a migration beside it (`frontdesk.database.migrations`); a test compares the two."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAME = 200
"""Characters of a name that a caller may give: a case, a client, a line."""

SOURCE = 2 * NAME + 1
"""Characters of a source of feedback: a client, and what it calls its own source."""


class Moment(sa.TypeDecorator[datetime]):
    """A time in UTC. SQLite keeps no zone, so it is taken off and put on again."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Return what is stored. A time without a zone is refused: it would be anybody's guess."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time needs a zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Return a time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Every table of the gateway."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: Moment(),
        dict[str, Any]: sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql"),
        list[Any]: sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql"),
    }


class ApiKey(Base):
    """A key of a client. Only a digest of the secret is here.

    Attributes:
        prefix: the part of the key that may be shown; look-ups go by it.
        client: whose key it is; a rotated key has the client of the old one.
        digest: SHA-256 (hex) of the whole key. A key has 256 random bits, so a slow hash would protect nothing more.
    """

    __tablename__ = "api_keys"

    prefix: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    client: Mapped[str] = mapped_column(sa.String(NAME), index=True)
    digest: Mapped[str] = mapped_column(sa.String(64))
    scopes: Mapped[list[Any]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Prediction(Base):
    """One answered instance. The row is committed before the answer leaves.

    Attributes:
        id: time-ordered, given to the caller.
        case_id: the caller's name of the case, else the prediction's own id.
        labels: ``{head: {"label", "confidence", "decision", "reason"}}``.
        intents: ``[{"id", "score"}]``.
        source: of a list of intents: the model that made it.
        degraded: a simpler model, or none, answered.
        holdout: the answer was kept from the client, to learn labels that no suggestion has touched.
        features: fields that hold no customer text.
        inputs: the masked texts too, where the setting says so.
        characters: of all texts together.
        unit: what the arm was assigned by: the case, its customer, or the operator.
    """

    __tablename__ = "predictions"
    __table_args__ = (
        sa.Index("predictions_case", "recipe", "case_id"),
        sa.Index("predictions_at", "recipe", "at"),
        sa.Index("predictions_experiment", "experiment"),
    )

    id: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    at: Mapped[datetime]
    request_id: Mapped[str] = mapped_column(sa.String(128))
    place: Mapped[int]
    recipe: Mapped[str] = mapped_column(sa.String(40))
    client: Mapped[str] = mapped_column(sa.String(NAME))
    case_id: Mapped[str] = mapped_column(sa.String(NAME))
    model_id: Mapped[str | None] = mapped_column(sa.String(64))
    labels: Mapped[dict[str, Any]]
    intents: Mapped[list[Any] | None]
    source: Mapped[str | None] = mapped_column(sa.String(40))
    degraded: Mapped[bool]
    holdout: Mapped[bool]
    experiment: Mapped[str | None] = mapped_column(sa.String(NAME))
    arm: Mapped[str | None] = mapped_column(sa.String(NAME))
    line: Mapped[str | None] = mapped_column(sa.String(NAME))
    features: Mapped[dict[str, Any]]
    inputs: Mapped[dict[str, Any] | None]
    characters: Mapped[int]
    milliseconds: Mapped[float]
    idempotency_key: Mapped[str | None] = mapped_column(sa.String(64))
    unit: Mapped[str | None] = mapped_column(sa.String(NAME))


class IdempotentAnswer(Base):
    """The answer to the first request with an idempotency key.

    Attributes:
        key: SHA-256 (hex) of client, route and key.
        body: SHA-256 (hex) of the request's body.
        status: None while the request is being answered.
        expires_at: then the key is free again; early for one that is being answered, should its process die.
    """

    __tablename__ = "idempotent_answers"

    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    body: Mapped[str] = mapped_column(sa.String(64))
    status: Mapped[int | None]
    content: Mapped[bytes | None]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class FeedbackEvent(Base):
    """An event as it was delivered, once: (source, event) identifies it.

    Attributes:
        at: when it happened, by the sender's clock.
        labels: ``{head: label}`` that the event states.
        measures: ``{metric: number}`` of a closing.
    """

    __tablename__ = "feedback_events"
    __table_args__ = (sa.Index("feedback_events_case", "recipe", "case_id"),)

    source: Mapped[str] = mapped_column(sa.String(SOURCE), primary_key=True)
    event: Mapped[str] = mapped_column(sa.String(NAME), primary_key=True)
    recipe: Mapped[str] = mapped_column(sa.String(40))
    case_id: Mapped[str] = mapped_column(sa.String(NAME))
    kind: Mapped[str] = mapped_column(sa.String(20))
    at: Mapped[datetime]
    labels: Mapped[dict[str, Any]]
    prediction_id: Mapped[str | None] = mapped_column(sa.String(32))
    received_at: Mapped[datetime]
    measures: Mapped[dict[str, Any]] = mapped_column(server_default="{}")


class Outcome(Base):
    """What the events of a case add up to: a pure function of the set of them (`frontdesk.feedback.reduce_events`).

    Attributes:
        labels: ``{head: {"label", "origin", "at"}}``.
        verdicts: ``{head: "accepted" | "changed" | "ignored"}``.
        measures: ``{metric: number}``.
    """

    __tablename__ = "outcomes"

    recipe: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    case_id: Mapped[str] = mapped_column(sa.String(NAME), primary_key=True)
    labels: Mapped[dict[str, Any]]
    verdicts: Mapped[dict[str, Any]]
    shown_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    events: Mapped[int]
    measures: Mapped[dict[str, Any]] = mapped_column(server_default="{}")


class Delivery(Base):
    """A webhook of a desk that was accepted: kept before the desk hears so, worked on afterwards.

    Two constraints know a thing again: the desk's identifier of the delivery, and what happened to which case.

    Attributes:
        event: what happened, as plain values; none once it is done, because it holds the customer's text.
        answer: the prediction, so that a write-back that is tried again asks no model again.
        state: ``waiting``, ``done`` or ``failed``.
        reason: code of the last failure.
        due_at: when it is worked on next; later for one that is being worked on, should its process die.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        sa.UniqueConstraint("desk", "case_id", "content", name="deliveries_content"),
        sa.Index("deliveries_due", "state", "due_at"),
    )

    desk: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    delivery: Mapped[str] = mapped_column(sa.String(128), primary_key=True)
    case_id: Mapped[str] = mapped_column(sa.String(NAME))
    kind: Mapped[str] = mapped_column(sa.String(20))
    content: Mapped[str] = mapped_column(sa.String(64))
    event: Mapped[dict[str, Any] | None]
    answer: Mapped[dict[str, Any] | None]
    state: Mapped[str] = mapped_column(sa.String(20))
    reason: Mapped[str | None] = mapped_column(sa.String(40))
    attempts: Mapped[int]
    received_at: Mapped[datetime]
    due_at: Mapped[datetime]


class Verdict(Base):
    """What one comparison of a window with its reference said (`frontdesk.monitoring`); a window has one verdict.

    Attributes:
        part: empty for a recipe as a whole, else ``name=value`` of a part of it.
        window_start, window_end: of the judged window; reference_start, reference_end: of what it was compared with.
            The ends are not in them.
        model_id: the model that answered most of the window, None where none did.
        verdict: ``stable``, ``watch``, ``drift``, or ``none``: there are not enough rows yet.
        alarms: ``[[kind, column]]`` of what changed in this window, before it was asked whether it persists.
        content: the verdict in full, as JSON.
        figures: ``{name: [reference, current]}``.
        retraining: the decision that followed, None where none was asked for.
    """

    __tablename__ = "verdicts"

    recipe: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    part: Mapped[str] = mapped_column(sa.String(SOURCE), primary_key=True)
    window_end: Mapped[datetime] = mapped_column(primary_key=True)
    window_start: Mapped[datetime]
    reference_start: Mapped[datetime | None]
    reference_end: Mapped[datetime | None]
    model_id: Mapped[str | None] = mapped_column(sa.String(64))
    verdict: Mapped[str] = mapped_column(sa.String(10))
    alarms: Mapped[list[Any]]
    content: Mapped[dict[str, Any]]
    figures: Mapped[dict[str, Any]]
    retraining: Mapped[dict[str, Any] | None]
    made_at: Mapped[datetime]


class Retraining(Base):
    """A retraining that was started. Two constraints keep it single: its key, and one at a time for each recipe.

    Attributes:
        key: digest of recipe, reason, snapshot and taxonomy version.
        words: why, for a person.
        state: ``running``, ``promoted``, ``held``, ``ended`` (well, on a pipeline server), ``failed``, or ``lost``:
            nobody said how it ended.
        run: of the pipeline server; None for the embedded runner.
        active: the recipe while the run is running, else None.
    """

    __tablename__ = "retrainings"

    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    recipe: Mapped[str] = mapped_column(sa.String(40), index=True)
    reason: Mapped[str] = mapped_column(sa.String(20))
    snapshot: Mapped[str] = mapped_column(sa.String(64))
    taxonomy: Mapped[str] = mapped_column(sa.String(64))
    words: Mapped[str] = mapped_column(sa.Text)
    state: Mapped[str] = mapped_column(sa.String(20))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    run: Mapped[str | None] = mapped_column(sa.String(NAME))
    model_id: Mapped[str | None] = mapped_column(sa.String(64))
    active: Mapped[str | None] = mapped_column(sa.String(40), unique=True)


class Release(Base):
    """A registered version of a model, what decided about it, and what that was decided on.

    Attributes:
        state: ``waiting``, ``approved``, ``rejected``, ``rolling out``, ``deployed``, ``rolled back`` or ``replaced``.
        decision: ``approved`` or ``rejected``; None before anybody decided.
        told: whether the registry has heard of the decision.
        asked: what a person asked the controller for: ``restore``.
        metrics: on the test rows, ``{HEAD: {...}}``.
        gate: ``{"decision", "reasons"}``.
        card: the model card, Markdown.
    """

    __tablename__ = "releases"

    recipe: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    model_id: Mapped[str] = mapped_column(sa.String(64))
    bundle: Mapped[str] = mapped_column(sa.Text)
    snapshot: Mapped[str] = mapped_column(sa.String(64))
    state: Mapped[str] = mapped_column(sa.String(20))
    decision: Mapped[str | None] = mapped_column(sa.String(20))
    decided_by: Mapped[str | None] = mapped_column(sa.String(NAME))
    decided_at: Mapped[datetime | None]
    told: Mapped[bool]
    asked: Mapped[str | None] = mapped_column(sa.String(20))
    metrics: Mapped[dict[str, Any]]
    gate: Mapped[dict[str, Any]]
    card: Mapped[str] = mapped_column(sa.Text)
    seen_at: Mapped[datetime]


class Rollout(Base):
    """A candidate on its way to answer everything. The columns are those of `frontdesk.rollout`.

    Attributes:
        active: the recipe while the rollout goes on, then None: a recipe has one at a time.
        revision: counts changes; who changes the row names the one that was read, so nothing is done twice.
        salt: of the split.
        questions: golden questions with the answers of the candidate's bundle.
        verdict: the last one, ``{"state", "reasons", "watch"}``.
        history: ``[{"at", "status", "step", "share", "words"}]``.
        holder, held_until: the controller that drives it.
    """

    __tablename__ = "rollouts"
    __table_args__ = (sa.UniqueConstraint("active", name="rollouts_active"),)

    id: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    recipe: Mapped[str] = mapped_column(sa.String(40), index=True)
    active: Mapped[str | None] = mapped_column(sa.String(40))
    revision: Mapped[int]
    version: Mapped[int]
    candidate: Mapped[str] = mapped_column(sa.String(64))
    champion: Mapped[str] = mapped_column(sa.String(64))
    plan: Mapped[dict[str, Any]]
    salt: Mapped[str] = mapped_column(sa.String(32))
    questions: Mapped[list[Any]]
    status: Mapped[str] = mapped_column(sa.String(20))
    step: Mapped[int]
    share: Mapped[float]
    since: Mapped[datetime]
    ready_at: Mapped[datetime]
    words: Mapped[list[Any]]
    verdict: Mapped[dict[str, Any]]
    history: Mapped[list[Any]]
    started_at: Mapped[datetime]
    started_by: Mapped[str] = mapped_column(sa.String(NAME))
    holder: Mapped[str | None] = mapped_column(sa.String(64))
    held_until: Mapped[datetime | None]


class RolloutCount(Base):
    """What the gateways counted, all of them together.

    Attributes:
        measure: ``calls``, ``errors``, ``latency``, ``decisions`` or ``labels``.
        name: within the measure: a place of latency, ``HEAD=VALUE``; else empty.
    """

    __tablename__ = "rollout_counts"

    rollout: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    arm: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    measure: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(2 * NAME), primary_key=True)
    count: Mapped[int] = mapped_column(sa.BigInteger)


class Experiment(Base):
    """An experiment that was started; one at a time runs for a recipe.

    Attributes:
        digest: of the definition, which nothing can change.
        definition: as `frontdesk.experiments.definition.from_content` reads it.
        state: ``running`` or ``stopped``.
        reason: why it was stopped, by who did it.
    """

    __tablename__ = "experiments"
    __table_args__ = (
        sa.Index(
            "experiments_running",
            "recipe",
            unique=True,
            sqlite_where=sa.text("state = 'running'"),
            postgresql_where=sa.text("state = 'running'"),
        ),
    )

    name: Mapped[str] = mapped_column(sa.String(NAME), primary_key=True)
    recipe: Mapped[str] = mapped_column(sa.String(40))
    digest: Mapped[str] = mapped_column(sa.String(64))
    definition: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(sa.String(20))
    started_at: Mapped[datetime]
    stopped_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(sa.String(NAME))


class ExperimentResult(Base):
    """The newest analysis of an experiment.

    Attributes:
        content: as ``result.json`` has it (`frontdesk.experiments.analysis`).
        report: the page with its pictures, HTML.
    """

    __tablename__ = "experiment_results"

    name: Mapped[str] = mapped_column(sa.String(NAME), primary_key=True)
    content: Mapped[dict[str, Any]]
    report: Mapped[str] = mapped_column(sa.Text)
    made_at: Mapped[datetime]
