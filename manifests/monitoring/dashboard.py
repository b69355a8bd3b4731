"""The Grafana dashboard, as code: run as a script, this file writes dashboard.json beside it."""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.builders.common import ReduceDataOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, Row
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig as Thresholds
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueColorMode
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold, ThresholdsMode

FILE = Path(__file__).with_name("dashboard.json")
_SOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")


def _query(expression: str, legend: str) -> Dataquery:
    return Dataquery().datasource(_SOURCE).expr(expression).legend_format(legend)


def _series(title: str, words: str, unit: str, *queries: tuple[str, str]) -> Timeseries:
    panel = Timeseries().title(title).description(words).unit(unit).min(0).datasource(_SOURCE).span(8).height(7)
    for expression, legend in queries:
        panel = panel.with_target(_query(expression, legend))
    return panel


def _number(title: str, words: str, unit: str, expression: str, legend: str, watch: float, alarm: float) -> Stat:
    steps = [
        Threshold(value=None, color="green"),
        Threshold(value=watch, color="orange"),
        Threshold(value=alarm, color="red"),
    ]
    return (
        Stat()
        .title(title)
        .description(words)
        .unit(unit)
        .datasource(_SOURCE)
        .color_mode(BigValueColorMode.BACKGROUND)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(Thresholds().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .span(6)
        .height(4)
        .with_target(_query(expression, legend))
    )


_NUMBERS = (
    _number(
        "Requests that fail",
        "Share of answers with 5xx, 5 minutes.",
        "percentunit",
        'sum(rate(frontdesk_gateway_requests_total{status=~"5.."}[5m]))'
        " / sum(rate(frontdesk_gateway_requests_total[5m]))",
        "",
        0.001,
        0.01,
    ),
    _number(
        "Answers without their model",
        "Share of predictions that a simpler model, or none, answered, 5 minutes.",
        "percentunit",
        'sum(rate(frontdesk_gateway_predictions_total{outcome="degraded"}[5m]))'
        " / sum(rate(frontdesk_gateway_predictions_total[5m]))",
        "",
        0.001,
        0.01,
    ),
    _number(
        "Suggestions: p95",
        "Of tickets and intents, at the gateway, 5 minutes.",
        "s",
        'histogram_quantile(0.95, sum by (le) (rate(frontdesk_gateway_seconds_bucket{route=~".*:suggest"}[5m])))',
        "",
        0.05,
        0.2,
    ),
    _number(
        "Turned away",
        "Share of requests with 429, 5 minutes.",
        "percentunit",
        'sum(rate(frontdesk_gateway_requests_total{status="429"}[5m]))'
        " / sum(rate(frontdesk_gateway_requests_total[5m]))",
        "",
        0.01,
        0.05,
    ),
)
"""What a tired person looks at first."""

_ROWS = {
    "What callers get": (
        _series(
            "Requests",
            "By status.",
            "reqps",
            ("sum by (status) (rate(frontdesk_gateway_requests_total[5m]))", "{{status}}"),
        ),
        _series(
            "Slowest twentieth",
            "p95 by route.",
            "s",
            (
                "histogram_quantile(0.95, sum by (route, le) (rate(frontdesk_gateway_seconds_bucket[5m])))",
                "{{route}}",
            ),
        ),
        _series(
            "Where the gateway's time goes",
            "p95 of its stages: waiting for a model, writing the log.",
            "s",
            (
                "histogram_quantile(0.95, sum by (stage, le) (rate(frontdesk_gateway_stage_seconds_bucket[5m])))",
                "{{stage}}",
            ),
        ),
    ),
    "Models": (
        _series(
            "Model servers: slowest twentieth",
            "p95 of whole requests, by model.",
            "s",
            (
                "histogram_quantile(0.95, sum by (model, le)"
                ' (rate(frontdesk_stage_seconds_bucket{stage="total"}[5m])))',
                "{{model}}",
            ),
        ),
        _series(
            "Versions that answer",
            "Servers by model and version; two lines of one model while it is rolled out.",
            "short",
            ("sum by (model, model_id) (frontdesk_served)", "{{model}} {{model_id}}"),
        ),
        _series(
            "Failures behind the gateway",
            "Model servers that did not answer, and features that were not there.",
            "reqps",
            ("sum by (recipe, cause) (rate(frontdesk_gateway_model_failures_total[5m]))", "{{recipe}} {{cause}}"),
            ("sum by (model, reason) (rate(frontdesk_missing_features_total[5m]))", "{{model}} features {{reason}}"),
        ),
    ),
    "Quality": (
        _series(
            "Left to a person",
            "Share of abstentions by head, a day.",
            "percentunit",
            ("frontdesk:abstained:share1d", "{{recipe}} {{head}}"),
        ),
        _series(
            "What became of suggestions",
            "Feedback by kind, an hour.",
            "short",
            (
                'sum by (recipe, kind) (increase(frontdesk_gateway_feedback_total{effect="applied"}[1h]))',
                "{{recipe}} {{kind}}",
            ),
        ),
        _series(
            "Webhooks",
            "By desk and what became of them, an hour.",
            "short",
            ("sum by (desk, effect) (increase(frontdesk_gateway_deliveries_total[1h]))", "{{desk}} {{effect}}"),
        ),
    ),
    "Drift and releases": (
        _series(
            "Drift",
            "Statistics of the newest window over their thresholds; at 1 a column drifts.",
            "short",
            (
                'max by (recipe, column, method) (frontdesk_drift_score{part=""} / frontdesk_drift_threshold{part=""})',
                "{{recipe}} {{column}} {{method}}",
            ),
        ),
        _series(
            "Share of the candidate",
            "Of the cases, while a rollout goes on.",
            "percentunit",
            ("max by (recipe) (frontdesk_rollout_share)", "{{recipe}}"),
        ),
        _series(
            "Candidate beside champion",
            "Share of calls that fail, by side.",
            "percentunit",
            (
                'sum by (recipe, side) (rate(frontdesk_rollout_calls_total{outcome="error"}[5m]))'
                " / sum by (recipe, side) (rate(frontdesk_rollout_calls_total[5m]))",
                "{{recipe}} {{side}}",
            ),
        ),
    ),
}


def build() -> str:
    """Return the dashboard as JSON."""
    board = (
        Dashboard("Frontdesk")
        .uid("frontdesk")
        .tags(["frontdesk"])
        .refresh("1m")
        .time("now-6h", "now")
        .with_variable(DatasourceVariable("datasource").type("prometheus").label("Data source"))
    )
    for number in _NUMBERS:
        board = board.with_panel(number)
    for title, panels in _ROWS.items():
        board = board.with_row(Row(title))
        for panel in panels:
            board = board.with_panel(panel)
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"


if __name__ == "__main__":
    FILE.write_text(build())
