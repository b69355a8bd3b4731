"""What is asked of each recipe, and whether an answer of the cluster is the bundle's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from frontdesk.bundle import Bundle
from frontdesk.simulation import emails, sessions, tickets


def questions(recipe: str, count: int = 12) -> list[dict[str, Any]]:
    """Return instances of a recipe as its applications send them, from the simulator."""
    if recipe == "intent":
        return _screens(count)
    table = emails.simulate(count, seed=5) if recipe == "email" else tickets.simulate(count, seed=5)
    others = ("business_line", "queue", "topic", "contact_type", "reply", "id", "received_at")
    rows = table.drop_columns([name for name in others if name in table.schema.names]).to_pylist()
    plain: list[dict[str, Any]] = orjson.loads(orjson.dumps(rows))
    return plain


def _screens(count: int) -> list[dict[str, Any]]:
    """Return sessions as far as a screen knows them after their first rows."""
    begun: dict[str, list[dict[str, Any]]] = {}
    for row in sessions.simulate(count * 30, seed=5).to_pylist():
        begun.setdefault(row["session_id"], []).append(row)
    asked = []
    for session, rows in list(begun.items())[:count]:
        events = [
            {
                "timestamp": row["timestamp"].isoformat(),
                "kind": row["kind"],
                "name": row["name"],
                "fields": {name: row[name] for name in ("element", "text")},
            }
            for row in rows[:4]
        ]
        last = rows[:4][-1]
        about = {"session": session, "operator": last["operator"], "line": last["line"]}
        asked.append(about | {"events": events, "now": last["timestamp"].isoformat()})
    return asked


def assert_same(answers: list[dict[str, Any]], bundle: Path, instances: list[dict[str, Any]]) -> None:
    """Assert that answers over HTTP are those of the bundle in this process; another engine may round otherwise."""
    opened = Bundle.load(str(bundle))
    expected = [orjson.loads(one.model_dump_json(exclude_none=True)) for one in opened.predict(instances)]
    assert len(answers) == len(expected) == len(instances)
    for answer, right in zip(answers, expected, strict=True):
        assert answer["model_id"] == opened.model_id
        if "intents" in right:
            assert (answer["source"], answer["degraded"]) == (right["source"], False)
            assert [one["id"] for one in answer["intents"]] == [one["id"] for one in right["intents"]]
            scores = [one["score"] for one in right["intents"]]
            assert [one["score"] for one in answer["intents"]] == pytest.approx(scores, rel=1e-4)
            continue
        assert answer["labels"].keys() == right["labels"].keys()
        for head, said in right["labels"].items():
            found = answer["labels"][head]
            assert found["confidence"] == pytest.approx(said["confidence"], abs=1e-5), head
            for key in ("label", "decision", "reason"):
                assert found[key] == said[key], head
