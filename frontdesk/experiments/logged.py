"""The rows of an experiment from the gateway's own database."""

from __future__ import annotations

import pyarrow as pa

from frontdesk.database import Database
from frontdesk.database.experiments import experiment_cases
from frontdesk.experiments.definition import Definition
from frontdesk.experiments.rows import Rows, from_columns

HEADS = {"email": "topic", "ticket": "contact_type"}
"""The head that counts where the definition names none; lists of intents have none."""


def logged_rows(database: Database, definition: Definition) -> Rows:
    """Return a row per case.

    Raises:
        EmptyTable: nothing was assigned yet.
        BadColumns: no case tells the primary metric.
        StorageError: the database does not answer.
    """
    head = None if definition.recipe == "intent" else definition.head or HEADS[definition.recipe]
    columns: dict[str, list[object]] = {name: [] for name in ("unit", "arm", "day", *definition.metrics)}
    for case in experiment_cases(database, definition.name, head):
        for name, values in columns.items():
            values.append(case.get(name))
    kinds = {"unit": pa.string(), "arm": pa.string(), "day": pa.date32()}
    return from_columns(
        {name: pa.chunked_array([pa.array(values, kinds.get(name, pa.float64()))]) for name, values in columns.items()},
        definition,
    )
