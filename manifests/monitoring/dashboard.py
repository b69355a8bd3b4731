"""The Grafana dashboard, as code: ``python manifests/monitoring/dashboard.py`` writes dashboard.json beside this file."""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, Row
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueColorMode
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold, ThresholdsConfig, ThresholdsMode
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig as Thresholds

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
        .thresholds(Thresholds().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .span(6)
        .height(4)
        .with_target(_query(expression, legend))
    )


def build() -> str:
    """Return the dashboard as JSON."""
    board = Dashboard("Frontdesk").uid("frontdesk").tags(["frontdesk"]).refresh("1m").time("now-6h", "now").readonly()
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"
