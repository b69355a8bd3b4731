"""The report: one page, no request to anywhere, that says in words and pictures how good a bundle is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from frontdesk.evaluation import METRICS, PICTURES, REPORT
from frontdesk.storage import write_atomically

SYSTEMS = {
    "majority": "Most frequent label",
    "tfidf-svc": "TF-IDF + linear SVC",
    "v1": "v1 (topics and ranker)",
    "single": "One encoder per label set",
    "multi": "One encoder for all label sets",
}
KINDS = {
    "ticket-network": "v2 network",
    "ticket-classical": "v1 ranker",
    "email-subword": "subword encoder",
    "email-hub": "pretrained encoder",
}
RECORDS = {"email": "mail"}
"""What one row is called, where that is not the recipe's name."""
_FACTS = (
    "taxonomy",
    "split",
    "span",
    "duplicates",
    "labels",
    "unseen_test_labels",
    "snapshot",
    "checks",
    "refused",
    "sources",
)
"""What a snapshot tells of itself; a table that was never a snapshot tells less."""
_MOST_LABELS = 100
_FEW = 30
"""A label with fewer test rows is not listed among the weakest: its figure is mostly chance."""


def write_report(folder: Path, verdict: Mapping[str, Any] | None = None) -> Path:
    """Write ``report.html`` of an evaluation; again, in no time, when the gate has spoken.

    Args:
        folder: holds ``metrics.json`` and ``pictures.json``.
        verdict: the gate's, as plain values.
    """
    metrics = orjson.loads((folder / METRICS).read_bytes())
    pictures = orjson.loads((folder / PICTURES).read_bytes())
    write_atomically(folder / REPORT, render(metrics, pictures, verdict).encode("utf-8", "replace"))
    return folder / REPORT


def render(metrics: Mapping[str, Any], pictures: Mapping[str, str], verdict: Mapping[str, Any] | None = None) -> str:
    """Return the page. Whatever comes from the data is escaped, in the pictures by who drew them.

    Args:
        metrics: content of ``metrics.json``.
        pictures: ``{name: svg}`` from `frontdesk.evaluation.pictures`.
        verdict: the gate's.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "points": points, "count": count, "head": head_name, "figure": figure}
    return environment.get_template(REPORT).render(
        metrics=metrics,
        verdict=verdict,
        kind=KINDS.get(metrics["run"]["model_kind"], metrics["run"]["model_kind"]),
        record=record(metrics),
        headline=headline(metrics),
        subtitle=subtitle(metrics),
        heads=[_head(metrics, head) for head in metrics["test"] if metrics["test"][head]["n"]],
        empty_heads=[head for head, figures in metrics["test"].items() if not figures["n"]],
        pictures={name: Markup(drawn) for name, drawn in pictures.items()},  # noqa: S704  our own drawings
        learnt=any(name in pictures for name in ("learning", "map-words", "map-labels")),
        data=dict.fromkeys(_FACTS) | metrics["data"],
        run=metrics["run"],
    )


def percent(value: float | None) -> str:
    """Return a share as a percentage with one decimal."""
    return "–" if value is None else f"{100 * value:.1f}\N{NO-BREAK SPACE}%"


def points(value: float | None) -> str:
    """Return a difference of shares in points, with its sign."""
    return "–" if value is None else f"{100 * value:+.1f}".replace("-", "−")


def count(value: int | None) -> str:
    """Return a whole number with thousands apart."""
    return "–" if value is None else f"{value:,}"


def figure(value: float | None) -> str:
    """Return a figure with three decimals."""
    return "–" if value is None else f"{value:.3f}"


def head_name(head: str) -> str:
    """Return the name of a head as words."""
    return head.replace("_", " ")


def record(metrics: Mapping[str, Any]) -> str:
    """Return what a row is called."""
    return RECORDS.get(metrics["recipe"], str(metrics["recipe"]))


def headline(metrics: Mapping[str, Any]) -> str:
    """Say in one sentence how good the model is."""
    said = [
        f"the right {head_name(head)} in {percent(figures['accuracy'])}"
        for head, figures in metrics["test"].items()
        if figures["n"]
    ]
    rows = count(metrics["rows"]["test"])
    if not said:
        return f"No label stands in the {rows} test rows, so nothing could be measured"
    listed = " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)
    return f"Of {rows} {record(metrics)}s that it never saw, this model names {listed}"


def subtitle(metrics: Mapping[str, Any]) -> str:
    """Say in one sentence how that compares with the best baseline of each head; empty without one."""
    against = []
    for head, figures in metrics["test"].items():
        best = _best_baseline(metrics, head) if figures["n"] else None
        if best is not None:
            name, value = best
            difference = figures["accuracy"] - value
            words = "more" if difference >= 0 else "less"
            against.append(
                f"for {head_name(head)} {100 * abs(difference):.1f} points {words} than {SYSTEMS.get(name, name)}"
            )
    return f"Against the best baseline on the same rows: {'; '.join(against)}." if against else ""


def _best_baseline(metrics: Mapping[str, Any], head: str) -> tuple[str, float] | None:
    found = [(heads[head]["accuracy"], name) for name, heads in metrics["baselines"].items() if head in heads]
    found = [(value, name) for value, name in found if value is not None]
    return (max(found)[1], max(found)[0]) if found else None


def _head(metrics: Mapping[str, Any], head: str) -> dict[str, Any]:
    figures = metrics["test"][head]
    return {
        "name": head,
        "figures": figures,
        "systems": systems(metrics, head),
        "calibration": metrics["calibration"][head],
        "automation": metrics["automation"][head],
        "tree": metrics["tree"].get(head),
        "drift": metrics["label_drift"].get(head),
        "pairs": metrics["confusion"][head]["pairs"],
        "labels": metrics["labels"][head][:_MOST_LABELS],
        "all_labels": len(metrics["labels"][head]),
        "weakest": sorted(
            (label for label in metrics["labels"][head] if label["seen"] and label["n"] >= _FEW),
            key=lambda label: label["f1"],
        )[:5],
    }


def systems(metrics: Mapping[str, Any], head: str) -> list[dict[str, Any]]:
    """Return the systems of one head, ours first, then the baselines from the best down."""
    name = KINDS.get(metrics["run"]["model_kind"], "this model")
    ours = {"name": name, "figures": metrics["test"][head], "gain": None}
    others = [
        {"name": SYSTEMS.get(name, name), "figures": heads[head], "gain": metrics["comparison"][name].get(head)}
        for name, heads in metrics["baselines"].items()
        if head in heads
    ]
    return [ours, *sorted(others, key=lambda system: -system["figures"]["accuracy"])]
