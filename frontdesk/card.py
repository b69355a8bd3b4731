"""The model card of a bundle: what it is, what it was trained on, how good it is, when it acts alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from frontdesk.decisions import Policy
from frontdesk.preprocessing.spec import Spec

_KINDS = {
    "email-hub": "A pretrained encoder of transformers, fine-tuned, with a decoder for every label set",
    "email-subword": "Grams of subword pieces read by a network and by linear machines, combined for every label set",
    "ticket-network": "v2: word embeddings, parallel convolutions, embedded categories, wide n-grams, two decoders",
    "ticket-classical": "v1: topics, TF-IDF similarity to every label, a pointwise ranker over candidates",
}
_MEASURES = ("accuracy", "macro_f1", "top3", "n")


def model_card(
    *, recipe: str, model_kind: str, snapshot: str, spec: Spec, policy: Policy, metrics: Mapping[str, Any]
) -> str:
    """Write the card in Markdown.

    Args:
        recipe, model_kind, snapshot: of the bundle's manifest.
        spec: the fitted preprocessing.
        policy: the decision thresholds.
        metrics: content of ``metrics.json``; may be empty before evaluation.
    """
    sections = [
        f"# Model card: {recipe}",
        f"{_KINDS.get(model_kind, model_kind)}. Trained on snapshot `{snapshot}`, {spec.documents:,} rows.",
        _inputs(spec, pieces=recipe == "email"),
        _answers(spec),
        _measured(metrics),
        _decisions(policy),
        _limits(),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else "-"


def _inputs(spec: Spec, *, pieces: bool) -> str:
    fitted = "pieces of words" if pieces else f"{len(spec.vocabulary):,} words"
    rows = [["text", ", ".join(spec.text) or "-", f"{fitted}, first {spec.max_tokens} of a text"]]
    for name, levels in spec.categorical.items():
        rows.append(["category", name, f"{len(levels):,} levels"])
    for name, number in spec.numeric.items():
        rows.append(
            ["number", name, f"mean {number.mean:.6g}, scale {number.scale:.6g}, missing becomes {number.fill:.6g}"]
        )
    return "## Inputs\n\n" + _table(["kind", "field", "fitted"], rows)


def _answers(spec: Spec) -> str:
    rows = [
        [
            head,
            f"{len(labels):,}",
            f"{max(spec.label_counts[head], default=0):,}",
            f"{min(spec.label_counts[head], default=0):,}",
        ]
        for head, labels in spec.labels.items()
    ]
    return "## Answers\n\n" + _table(["head", "labels", "rows of the most frequent", "of the rarest"], rows)


def _measured(metrics: Mapping[str, Any]) -> str:
    test: Mapping[str, Any] = metrics.get("test", {})
    if not test:
        return "## Measured\n\nNot evaluated yet."
    baselines: Mapping[str, Any] = metrics.get("baselines", {})
    rows = []
    for head, values in test.items():
        for name, source in (("this model", values), *((name, heads.get(head)) for name, heads in baselines.items())):
            if source is not None:
                rows.append([head, name, *(_number(source.get(measure)) for measure in _MEASURES)])
    text = "## Measured\n\nOn the test rows of the snapshot; a label that training never saw counts as an error.\n\n"
    text += _table(["head", "system", *_MEASURES], rows)
    errors = [[head, _number(values.get("ece"))] for head, values in metrics.get("calibration", {}).items()]
    return text + ("\n\n" + _table(["head", "expected calibration error"], errors) if errors else "")


def _decisions(policy: Policy) -> str:
    rows = []
    for head, thresholds in policy.heads.items():
        shares = {entry["precision"]: entry["share"] for entry in thresholds.coverage}
        share = shares.get(policy.target_precision)
        rows.append(
            [
                head,
                "never" if thresholds.auto is None else f"{thresholds.auto:.4f}",
                "-" if share is None else f"{share:.1%}",
                f"{thresholds.suggest:.4f}",
                f"{thresholds.rows:,}",
            ]
        )
    text = (
        f"## Decisions\n\nThresholds learnt on held-out training rows for {policy.target_precision:.0%} precision.\n\n"
    )
    header = ["head", "automatic from confidence", "share automated", "suggested from top-3 mass", "held-out rows"]
    return text + _table(header, rows)


def _limits() -> str:
    return (
        "## Limits\n\nThe model knows the labels, words and levels of its snapshot. A new label needs a new training; "
        "a text in another language falls back on categories and numbers. Confidence is calibrated on the snapshot's "
        "own time: watch for drift."
    )
