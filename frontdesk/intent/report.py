"""The report and the model card of an intent bundle: one page, no request to anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frontdesk import evaluation

if TYPE_CHECKING:
    from frontdesk.intent.opening import IntentBundle

MEASURES = ("HR@1", "HR@6", "HR@10", "MRR@10", "Coverage@10", "ILD@10", "Churn@6")
NAMES = {
    "evgen": "EvGen (the network)",
    "markov": "Markov, last five tokens",
    "markov-intents": "Markov, intents only",
    "toppop": "TopPop, smoothed",
    "toppop-global": "TopPop of the desk",
    "toppop-line": "TopPop of the line",
    "toppop-operator": "TopPop of the operator",
}
_TILES = (
    ("HR@6", "next intent among the six shown"),
    ("HR@1", "next intent shown first"),
    ("MRR@10", "mean reciprocal rank"),
    ("Coverage@10", "of the catalogue is suggested"),
    ("Churn@6", "of a list is replaced"),
)
_LEAST = 30


def render(metrics: Mapping[str, Any]) -> str:
    """Return the page of an evaluation; whatever comes from the data is escaped.

    Args:
        metrics: content of ``metrics.json``.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    folders = [Path(__file__).parent, Path(evaluation.__file__).parent]
    environment = Environment(
        loader=FileSystemLoader(folders), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"figure": _figure, "count": lambda value: f"{value or 0:,}"}
    systems = {"evgen": metrics["test"], **metrics["baselines"]}
    replayed = {name: figures for name, figures in metrics["replay"].items() if figures}
    return environment.get_template("report.html").render(
        metrics=metrics,
        headline=headline(metrics),
        subtitle=_subtitle(metrics),
        tiles=_TILES,
        measures=MEASURES,
        models=[(NAMES.get(name, name), figures) for name, figures in systems.items()],
        slices=_slices(metrics["slices"]),
        least=_LEAST,
        replayed=[(NAMES.get(name, name), figures) for name, figures in replayed.items()],
        replay_names=_numbers(next(iter(replayed.values()), {})),
        damping=[("none", metrics["test"]), *metrics["damping"].items()] if metrics["damping"] else [],
        facts=_facts(metrics),
        pictures={name: Markup(svg) for name, svg in _pictures(metrics, systems).items()},  # noqa: S704 - drawn by us
    )


def headline(metrics: Mapping[str, Any]) -> str:
    """Return the finding in one sentence."""
    own, markov = metrics["test"]["hr@6"], metrics["baselines"]["markov"]["hr@6"]
    if own is None:
        return "No test session has an opened intent."
    words = "more than" if own > markov else "less than" if own < markov else "as often as"
    gap = f"{100 * abs(own - markov):.1f} points {words} the Markov table" if own != markov else f"{words} Markov"
    return f"The next intent stands among the six suggestions in {100 * own:.1f} % of the requests, {gap}."


def _subtitle(metrics: Mapping[str, Any]) -> str:
    rows = metrics["rows"]
    return (
        f"{metrics['test']['n']:,} requests of the test sessions ({rows['test']:,} rows), "
        f"after training on {rows['train']:,} rows."
    )


def _figure(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}" if isinstance(value, float) else str(value)


def _numbers(figures: Mapping[str, Any]) -> list[str]:
    return [name for name, value in figures.items() if isinstance(value, int | float)]


def _slices(slices: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for kind, values in slices["evgen"].items():
        for value, figures in values.items():
            if figures["n"] >= _LEAST:
                row = {"name": f"{kind}: {value}", "n": figures["n"]}
                for system in ("evgen", "markov", "toppop"):
                    row[system] = slices.get(system, {}).get(kind, {}).get(value, {}).get("hr@6")
                rows.append(row)
    return rows


def _facts(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    data, run = metrics["data"], metrics["run"]
    named = {
        name: data[name] for name in ("snapshot", "sources", "split", "span", "sessions", "labels") if name in data
    }
    named |= {"code": run["code"], "parameters": run["parameters"]}
    return [(name, str(value)) for name, value in named.items()]


def _pictures(metrics: Mapping[str, Any], systems: Mapping[str, Any]) -> dict[str, str]:
    from frontdesk.evaluation.plots import BLUE, ORANGE, svg

    names = list(systems)

    def models(figure: Any) -> None:
        axes = figure.subplots()
        for place, (measure, colour) in enumerate((("hr@1", ORANGE), ("hr@6", BLUE))):
            values = [systems[name][measure] or 0 for name in names]
            bars = axes.barh([row + 0.2 - 0.4 * place for row in range(len(names))], values, 0.38, color=colour)
            axes.bar_label(bars, [f"{value:.3f}" for value in values], padding=3, fontsize=8)
            bars.set_label(measure.upper())
        axes.set_yticks(range(len(names)), [NAMES.get(name, name) for name in names])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.08)
        axes.legend(loc="lower right")

    def curve(figure: Any) -> None:
        axes = figure.subplots()
        epochs = [line["epoch"] for line in metrics["history"]]
        for measure, colour in (("hr@6", BLUE), ("hr@1", ORANGE)):
            axes.plot(epochs, [line.get(f"validation_{measure}") for line in metrics["history"]], color=colour)
            axes.annotate(measure.upper(), (epochs[-1], metrics["history"][-1][f"validation_{measure}"]), color=colour)
        axes.set_xlabel("pass")
        axes.grid(True, axis="y")

    drawn = {"models": svg("models", "Hit rates of every model", (7.2, 0.5 * len(names) + 0.8), models), "curve": ""}
    if any("validation_hr@6" in line for line in metrics["history"]):
        drawn["curve"] = svg("curve", "Hit rates after every pass of training", (6.4, 2.6), curve)
    return drawn


def model_card(bundle: IntentBundle, metrics: Mapping[str, Any]) -> str:
    """Write the card in Markdown."""
    tokenizer = bundle.tokenizer
    rows = {
        "EvGen": metrics["test"],
        "Markov": metrics["baselines"]["markov"],
        "TopPop": metrics["baselines"]["toppop"],
    }
    lines = ["| model | " + " | ".join(MEASURES) + " |", "| " + "--- | " * (len(MEASURES) + 1)]
    lines += [
        f"| {name} | " + " | ".join(_figure(figures[measure.lower()]) for measure in MEASURES) + " |"
        for name, figures in rows.items()
    ]
    sections = [
        f"# Model card: {bundle.recipe}",
        "EvGen: causal self-attention over a session's intents and newest events, a Markov table and TopPop behind it. "
        f"Trained on snapshot `{bundle.manifest['snapshot']}`.",
        f"## Inputs\n\n{len(tokenizer.intents):,} intents, {len(tokenizer.events):,} events, "
        f"{len(tokenizer.operators):,} operators, {len(tokenizer.lines):,} lines. An unknown one is a "
        "newcomer.",
        "## Measured\n\n" + "\n".join(lines),
        "## Limits\n\nOffline figures replay what operators did; what they would have done with these lists is not in "
        "them. Watch the share of intents opened from suggestions after a release.",
    ]
    return "\n\n".join(sections) + "\n"
