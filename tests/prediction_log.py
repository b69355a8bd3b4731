"""A prediction log of tickets with known changes, week after week, in a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from frontdesk.database import Database
from frontdesk.database.feedback import apply_all
from frontdesk.database.predictions import insert_predictions
from frontdesk.feedback import Event

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
LABELS = ("cards", "loans", "accounts", "fees")
SHARES = (0.4, 0.3, 0.2, 0.1)


def fill_tickets(
    database: Database,
    weeks: int,
    *,
    rows: int = 300,
    since: datetime = MONDAY,
    model_id: str = "model-1",
    drift_from: int | None = None,
    wrong_from: int | None = None,
    orphans_from: int | None = None,
    closed: bool = True,
    seed: int = 0,
) -> None:
    """Write weeks of predictions, and the closing of each case a day after.

    Args:
        drift_from: week from which the channel ``app`` brings half of the tickets, and nine in ten ask about fees.
        wrong_from: week from which every other answer is wrong.
        orphans_from: week from which a third of the cases close with a label that no model knows.
    """
    draw = np.random.default_rng(seed)
    for week in range(weeks):
        drifted = drift_from is not None and week >= drift_from
        shares = (0.05, 0.03, 0.02, 0.9) if drifted else SHARES
        made: list[dict[str, Any]] = []
        events = []
        for place in range(rows):
            at = since + week * WEEK + WEEK * (place + float(draw.random())) / rows
            label = str(draw.choice(LABELS, p=shares))
            right = draw.random() < (0.5 if wrong_from is not None and week >= wrong_from else 0.9)
            truth = label if right else str(draw.choice([one for one in LABELS if one != label]))
            if orphans_from is not None and week >= orphans_from and draw.random() < 1 / 3:
                truth = "pensions"
            name = f"{since:%y%m%d}-{week:03d}-{place:05d}"
            channel = "app" if drifted and draw.random() < 0.5 else str(draw.choice(["mail", "phone"], p=[0.7, 0.3]))
            made.append(
                {
                    "id": name,
                    "at": at,
                    "request_id": "r",
                    "place": 0,
                    "recipe": "ticket",
                    "client": "desk",
                    "case_id": f"case-{name}",
                    "model_id": model_id,
                    "labels": {
                        "contact_type": {
                            "label": label,
                            "confidence": float(draw.beta(8, 2)),
                            "decision": "auto" if draw.random() < 0.6 else "suggest",
                            "reason": "confident",
                        }
                    },
                    "intents": None,
                    "source": None,
                    "degraded": False,
                    "holdout": False,
                    "experiment": None,
                    "arm": None,
                    "line": None,
                    "features": {"channel": channel, "open_tickets": int(draw.poisson(2))},
                    "inputs": None,
                    "characters": int(draw.lognormal(5, 0.5)),
                    "milliseconds": 3.0,
                    "idempotency_key": None,
                }
            )
            if closed:
                moment = at + timedelta(days=1)
                case = made[-1]["case_id"]
                events.append(
                    Event("desk", f"closed-{name}", "ticket", case, "closed", moment, {"contact_type": truth})
                )
        with database.writing() as connection:
            insert_predictions(connection, made)
        apply_all(database, events)
