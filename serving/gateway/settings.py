"""Settings of the gateway, from the environment (prefix ``FRONTDESK_GATEWAY_``)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from frontdesk.records.ticket import DEFAULT_TICKET_COLUMNS


class GatewaySettings(BaseSettings):
    """Settings of one gateway process. Where the database and the models are stands in `frontdesk.settings`."""

    model_config = SettingsConfigDict(env_prefix="FRONTDESK_GATEWAY_", frozen=True, extra="ignore")

    body_bytes: int = Field(default=8 * 1024 * 1024, ge=1_024)
    """Largest request body; 413 above."""
    concurrent: int = Field(default=64, ge=1)
    """Requests that are worked on at a time; 429 above."""
    requests_per_second: float = Field(default=200.0, gt=0)
    """Of one client, on average; 429 above."""
    burst: int = Field(default=400, ge=1)
    """Requests of one client that may come at once after a pause."""
    suggest_seconds: float = Field(default=2.0, gt=0)
    """For the model server to answer a suggestion; then the answer degrades."""
    batch_seconds: float = Field(default=30.0, gt=0)
    """For the model server to answer a batch of mails."""
    part_size: int = Field(default=50, ge=1, le=500)
    """Mails in one request to the model server."""
    parts_at_once: int = Field(default=2, ge=1)
    """Parts of one batch that are asked for together."""
    without_model: Literal["abstain", "refuse"] = "abstain"
    """What tickets and mails get while their model server does not answer: an abstention that is marked, or 503."""
    key_seconds: float = Field(default=2.0, ge=0)
    """How long a checked key is trusted: a revoked one ends that much later."""
    experiment_seconds: float = Field(default=2.0, gt=0)
    """How often experiments that start or stop are looked for."""
    idempotency_hours: float = Field(default=24.0, gt=0)
    """How long an answer is kept for its idempotency key."""
    lines: str | None = None
    """File of the lines' configuration (YAML or JSON), read again when it changes. Default: the built-in defaults."""
    desks: str | None = None
    """File of the desks whose webhooks are taken (YAML, see ``docs/desks.md``). Default: none are."""
    agents: str | None = None
    """File of the agents and what they know (YAML); with it, answers to tickets name who should take them."""
    bundles: tuple[str, ...] = ()
    """Bundles that the console shows, folders or ``s3://`` addresses. What is served, the model servers decide."""
    console_secret_file: str | None = None
    """File of the key that signs the console's cookies; several gateways need the same. Default: a new one at start."""
    holdout_share: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the cases that get no suggestion, so that some labels are nobody's echo."""
    log_fields: dict[str, tuple[str, ...]] = {
        "email": ("custodian_bank",),
        "ticket": DEFAULT_TICKET_COLUMNS.categorical,
    }
    """Fields of each recipe that are no customer text and go to the log as they are. Numbers always do."""
    log_text: Literal["none", "masked"] = "none"
    """Whether the log keeps the texts of mails and tickets, with personal data masked, to train from."""
    log_days: float | None = Field(default=None, gt=0)
    """How long the log keeps a prediction, and the feedback on its case; see `frontdesk.database.retention`. Default:
    for ever."""
    log_keep_labelled: bool = False
    """Whether cases with labels are kept all the same."""
    jwks: str | None = None
    """File or ``https://`` address of the public keys of JWTs. Default: no JWT is accepted."""
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
