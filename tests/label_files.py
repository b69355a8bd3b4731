"""Label files made by chance: any order of changes that can be."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

START = date(2024, 1, 1)


@st.composite
def label_files(draw: st.DrawFn, most_changes: int = 8, lossless: bool = False) -> dict[str, Any]:
    """Draw a file of one head ``h``; a ``lossless`` one has only renames and merges."""
    count = draw(st.integers(2, 5))
    live = {f"L{number}": f"name {number}" for number in range(count)}
    labels = [{"id": label, "name": name} for label, name in live.items()]
    changes: list[dict[str, Any]] = []
    fresh, day = count, START

    def new() -> dict[str, str]:
        nonlocal fresh
        fresh += 1
        return {"id": f"L{fresh}", "name": f"name {fresh}"}

    for _ in range(draw(st.integers(0, most_changes))):
        day += timedelta(days=draw(st.integers(0, 2)))
        kinds = ["rename", "merge"] if lossless else ["add", "rename", "merge", "split", "split_rule", "retire"]
        kind = draw(st.sampled_from(kinds))
        label = draw(st.sampled_from(sorted(live)))
        change: dict[str, Any] = {"date": day.isoformat(), "head": "h"}
        if kind == "add":
            added = new()
            change["add"] = added
            live[added["id"]] = added["name"]
        elif kind == "rename":
            fresh += 1
            change["rename"] = {"label": label, "name": f"name {fresh}"}
            live[label] = f"name {fresh}"
        elif kind == "merge":
            sources = sorted(draw(st.sets(st.sampled_from(sorted(live)), min_size=1)) | {label})
            into: Any = new() if draw(st.booleans()) else draw(st.sampled_from(sorted(live)))
            target = into if isinstance(into, str) else into["id"]
            if sources == [target]:
                continue
            change["merge"] = {"labels": sources, "into": into}
            live = {one: name for one, name in live.items() if one == target or one not in sources}
            if not isinstance(into, str):
                live[target] = into["name"]
        elif kind == "retire":
            if len(live) == 1:
                continue
            change["retire"] = {"label": label}
            del live[label]
        else:
            parts: list[Any] = [new(), draw(st.sampled_from(sorted(live))) if draw(st.booleans()) else new()]
            ids = [part if isinstance(part, str) else part["id"] for part in parts]
            change["split"] = {"label": label, "into": parts}
            if kind == "split_rule":
                change["split"] |= {"rules": [{"when": {"bank": "A"}, "to": ids[0]}], "otherwise": ids[1]}
            if label not in ids:
                del live[label]
            live |= {part["id"]: part["name"] for part in parts if not isinstance(part, str)}
        changes.append(change)
    return {"format": 1, "start": START.isoformat(), "heads": {"h": {"labels": labels}}, "changes": changes}
