"""Do alerts, runbooks and the dashboard speak of things that exist, and do the alerts fire on what they are about?"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "manifests/monitoring"
RUNBOOKS = ROOT / "docs/runbooks"
TESTS = ("alerts_test.yaml", "alerts_weeks_test.yaml")
HEADINGS = ("**What it means.**", "**Look at**", "**Do**")


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


@cache
def exported() -> dict[str, tuple[str, ...]]:
    """Return the labels of every metric that a process of ours exports."""
    from prometheus_client import REGISTRY, CollectorRegistry

    import frontdesk.serving.gateway.metrics
    import frontdesk.serving.metrics  # noqa: F401 - importing registers them
    from frontdesk.serving.gateway.watching import show_verdicts

    shown = CollectorRegistry()
    show_verdicts(shown, (), {})
    metrics = set(REGISTRY._collector_to_names) | set(shown._collector_to_names)
    return {metric._name: tuple(metric._labelnames) for metric in metrics if hasattr(metric, "_labelnames")}


def used(text: str) -> list[tuple[str, str]]:
    """Return each metric of ours in an expression, with what stands in its braces."""
    return re.findall(r"\b(frontdesk_[a-z_]+)(?:\{([^}]*)\})?", text)


def check_metrics(text: str, where: str) -> None:
    for name, selector in used(text):
        base = re.sub(r"_(total|bucket|count|sum)$", "", name)
        assert base in exported(), f"{where}: nothing exports {name}"
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector):
            assert label in {*exported()[base], "le", "job", "instance"}, f"{where}: {name} has no label {label}"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
def test_each_alert_fires_on_its_own_series_and_on_nothing_else() -> None:
    for command in (("check", "rules", "alerts.yaml"), ("test", "rules", *TESTS)):
        done = subprocess.run(["promtool", *command], cwd=MONITORING, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested() -> None:
    tests = [test for name in TESTS for test in yaml.safe_load((MONITORING / name).read_text())["tests"]]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {alert["alert"] for alert in alerts()}


def test_alerts_watch_what_is_exported() -> None:
    check_metrics((MONITORING / "alerts.yaml").read_text(), "alerts.yaml")


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    named: dict[str, set[str]] = {}
    for alert in alerts():
        assert alert["labels"]["severity"] in ("page", "ticket")
        named.setdefault(alert["annotations"]["runbook"], set()).add(alert["alert"])
    pages = {f"docs/runbooks/{page.name}" for page in RUNBOOKS.glob("*.md")} - {"docs/runbooks/README.md"}
    assert set(named) == pages
    for page, names in named.items():
        text = (ROOT / page).read_text()
        assert set(text.splitlines()[0].removeprefix("# ").split(", ")) == names
        places = [text.find(heading) for heading in HEADINGS]
        assert -1 not in places
        assert places == sorted(places), f"{page}: {HEADINGS} in this order"


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_runbooks_speak_of_things_that_exist(page: Path) -> None:
    text = page.read_text()
    check_metrics(text, page.name)
    code = "\n".join(path.read_text() for path in (ROOT / "serving").rglob("*.py"))
    code += "\n".join(path.read_text() for path in (ROOT / "frontdesk").rglob("*.py"))
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert (page.parent / target).is_file(), target
    for word in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text):
        assert word.startswith("frontdesk_") or f'"{word}"' in code, f"nothing says {word}"
    for name in re.findall(r"\bFRONTDESK_[A-Z_]+", text):
        field = name.removeprefix("FRONTDESK_").removeprefix("GATEWAY_").lower()
        assert re.search(rf"^    {field}: ", code, re.MULTILINE), f"there is no setting {name}"


def test_the_dashboard_is_what_its_code_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(MONITORING))
    import dashboard

    try:
        assert (MONITORING / "dashboard.json").read_text() == dashboard.build()
        check_metrics(dashboard.build(), "dashboard.json")
    finally:
        sys.modules.pop("dashboard")
