"""The pages of experiments in Chromium: what a tired person reads first, the pictures below, and nothing made up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from frontdesk.database import Database
from frontdesk.database.experiments import keep_result, start_experiment, stop_experiment
from frontdesk.database.keys import create_key
from frontdesk.experiments.analysis import analyse
from frontdesk.experiments.definition import Definition
from frontdesk.experiments.report import render
from frontdesk.experiments.rows import from_columns
from frontdesk.simulation.experiments import experiment, simulate
from tests.gateway.desks.running import model_server, running_gateway
from tests.gateway.test_console import EVIL, Site, browser, keep, log_in, page  # noqa: F401
from tests.unit.test_experiment_definition import declared

BEGIN = date(2026, 1, 5)
NOW = datetime(2026, 2, 2, 9, 30, tzinfo=UTC)
SCREEN = 860


def start(database: Database, definition: Definition) -> None:
    """Register an experiment."""
    content = definition.content()
    start_experiment(database, definition.name, definition.recipe, definition.digest, content, now=NOW)


def fill(database: Database) -> None:
    """Keep an experiment that is decided, one that was stopped, and one that nobody analysed yet."""
    definition = experiment(start=BEGIN, ab_days=14)
    table = simulate(definition, per_day=700, effect=-0.12, seed=3)
    rows = from_columns({name: table[name] for name in table.column_names}, definition)
    result = analyse(definition, rows, today=BEGIN + timedelta(days=18))
    start(database, definition)
    keep_result(database, definition.name, result, render(result), now=NOW)
    start(database, declared(name="mails", recipe="email"))
    old = declared(name="older", recipe="intent", unit="operator", guardrails=[])
    start(database, old)
    stop_experiment(database, old.name, EVIL, now=NOW)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A console with experiments."""
    folder = tmp_path_factory.mktemp("experiments")
    with model_server() as models, running_gateway(folder, {"ticket": models.address}) as gateway:
        fill(gateway.database)
        yield Site(gateway, create_key(gateway.database, "Ada", ("console",)))


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_the_list_says_where_each_one_stands(page: Page, site: Site) -> None:  # noqa: F811
    log_in(page, site)
    page.get_by_role("link", name="Experiments").click()
    decided = page.get_by_role("region", name="ticket-v2 running")
    expect(decided.get_by_text("Ship v2: handle time is")).to_be_visible()
    expect(decided.get_by_text("roll v2 out")).to_be_visible()
    expect(decided.get_by_text("this result is old")).to_be_visible()
    expect(page.get_by_role("region", name="mails running").get_by_text("was not analysed yet")).to_be_visible()
    names = [one.inner_text().split()[0] for one in page.get_by_role("heading", level=2).all()]
    assert names[-1] == "older", "those that run come first"
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    keep(page, "experiments")


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_the_first_screen_says_what_happened_and_what_to_do(page: Page, site: Site) -> None:  # noqa: F811
    log_in(page, site)
    page.goto(f"{site.url}/experiments")
    page.get_by_role("link", name="ticket-v2").click()
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("Ship v2: handle time is")
    parts = [heading, *(page.get_by_text(words).first for words in ("Stop the experiment and roll v2 out", "With v2,"))]
    parts += [page.get_by_text("frontdesk experiment stop ticket-v2").first, page.get_by_text("Data until").first]
    for part in parts:
        box = part.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < SCREEN, f"{part} is below the first screen"
    inside = page.frame_locator("iframe")
    expect(inside.get_by_role("heading", name="Day by day")).to_be_visible()
    expect(inside.locator("figure svg").first).to_be_visible()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    keep(page, "experiment")


def test_what_was_not_analysed_says_so_and_unknown_ones_are_not_there(page: Page, site: Site) -> None:  # noqa: F811
    log_in(page, site)
    page.goto(f"{site.url}/experiments/mails")
    expect(page.get_by_role("heading", name="mails was not analysed yet")).to_be_visible()
    expect(page.get_by_text("frontdesk experiment refresh")).to_be_visible()
    page.goto(f"{site.url}/experiments/older")
    expect(page.get_by_text(EVIL)).to_be_visible()
    assert page.evaluate("window.hacked") is None
    for place in ("experiments/nobody", "experiments/mails/report.html", "experiments/..%2f..%2fx"):
        assert page.goto(f"{site.url}/{place}").status == 404, place
    with httpx.Client(base_url=site.gateway.client.base_url, timeout=10) as client:
        for place in ("experiments", "experiments/ticket-v2", "experiments/ticket-v2/report.html"):
            assert client.get(f"/console/{place}").status_code == 303, "nobody looks without a key"
        client.post("/console/login", data={"key": site.key.text})
        report = client.get("/console/experiments/ticket-v2/report.html")
        assert report.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
