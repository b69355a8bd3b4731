"""The page of releases in Chromium: what a person sees, decides and ends, and who may not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from frontdesk.database import Database
from frontdesk.database.keys import NewKey, create_key
from frontdesk.database.releases import DEPLOYED, keep_release, release, set_state
from frontdesk.database.rollouts import add_counts, latest_rollout, move, start_rollout
from frontdesk.evidence import Verdict
from frontdesk.rollout import Plan, Progress
from tests.gateway.desks.running import model_server, running_gateway
from tests.gateway.test_console import EVIL, Site, browser, keep, log_in, page  # noqa: F401

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def fill(database: Database) -> None:
    """Keep three versions: deployed before, deployed, and waiting; and a rollout that waits for a person."""
    for version in (1, 2, 3):
        keep_release(
            database,
            recipe="ticket",
            version=version,
            model_id=f"{version}" * 20,
            bundle="nowhere",
            snapshot="s",
            metrics={"contact_type": {"accuracy": 0.8 + version / 100, "macro_f1": 0.6, "top3": 0.9, "n": 1200}},
            gate={"decision": "promote", "reasons": ["contact_type: accuracy +1.2 points against the champion."]},
            card=f"# Card of {version}\n{EVIL}",
            now=NOW,
        )
    for version in (1, 2):
        set_state(database, "ticket", version, DEPLOYED)
    given = {"plan": Plan(), "questions": [], "by": "Ada", "now": NOW}
    stored = start_rollout(database, recipe="email", version=4, candidate="c" * 20, champion="d" * 20, **given)
    words = ("A person must decide.", "60 of 100 calls on each side so far.")
    verdict = Verdict("inconclusive", ("60 of 100 calls on each side so far.",))
    move(database, stored, Progress("paused", 0, NOW, NOW, words), verdict)
    add_counts(database, {(stored.id, 0, arm, "calls", ""): 60 for arm in ("candidate", "control")})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A console with releases."""
    folder = tmp_path_factory.mktemp("releases")
    with (
        model_server() as models,
        running_gateway(folder, {"email": models.address, "ticket": models.address}) as gateway,
    ):
        fill(gateway.database)
        yield Site(gateway, create_key(gateway.database, "Ada", ("admin", "console")))


@pytest.fixture
def visitor(site: Site) -> NewKey:
    """A key that may only look."""
    return create_key(site.gateway.database, "Bob", ("console",))


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_the_page_tells_what_waits_and_why(page: Page, site: Site) -> None:  # noqa: F811
    log_in(page, site)
    page.get_by_role("link", name="Releases").click()
    expect(page.get_by_role("heading", name="Rollout of email version 4 paused")).to_be_visible()
    expect(page.get_by_text("A person must decide.").first).to_be_visible()
    expect(page.get_by_role("row", name="5 % candidate 60 0")).to_be_visible()
    expect(page.get_by_role("heading", name="ticket version 3 waiting")).to_be_visible()
    expect(page.get_by_role("row", name="contact_type 83.0 % 0.600 1,200")).to_be_visible()
    page.get_by_text("Model card").first.click()
    assert page.evaluate("window.hacked") is None
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    keep(page, "releases")


def test_who_may_only_look_has_no_buttons(page: Page, site: Site, visitor: NewKey) -> None:  # noqa: F811
    log_in(page, Site(site.gateway, visitor))
    page.goto(f"{site.url}/releases")
    expect(page.get_by_role("heading", name="ticket version 3 waiting")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    expect(page.get_by_role("button", name="Roll back")).to_have_count(0)


def test_forms_from_elsewhere_and_of_others_decide_nothing(site: Site, visitor: NewKey) -> None:
    wish = {"do": "approve", "recipe": "ticket", "version": "3"}
    with httpx.Client(base_url=site.gateway.client.base_url, timeout=10) as client:
        assert client.post("/console/releases", data=wish).status_code == 303  # to the log-in
        for key, status in ((site.key, 403), (visitor, 403)):
            client.post("/console/login", data={"key": key.text})
            assert client.post("/console/releases", data=wish).status_code == status, "no token of the form"
        shown = client.get("/console/releases").text
        token = shown.partition('name="csrf" value="')[2].partition('"')[0]
        assert token
        assert client.post("/console/releases", data=wish | {"csrf": token}).status_code == 403, "Bob may not"
        client.post("/console/login", data={"key": site.key.text})
        shown = client.get("/console/releases").text
        token = shown.partition('name="csrf" value="')[2].partition('"')[0]
        for change, status in (({"version": "x"}, 400), ({"version": "9"}, 400), ({"do": "explode"}, 400)):
            assert client.post("/console/releases", data=wish | {"csrf": token} | change).status_code == status
    assert release(site.gateway.database, "ticket", 3).decision is None


def test_a_person_decides(page: Page, site: Site) -> None:  # noqa: F811
    database = site.gateway.database
    log_in(page, site)
    page.goto(f"{site.url}/releases")
    page.get_by_role("button", name="Next step email").click()
    expect(page.get_by_role("heading", name="Rollout of email version 4 running")).to_be_visible()
    assert latest_rollout(database, "email").share == 0.25
    page.get_by_role("button", name="Pause email").click()
    expect(page.get_by_text("Ada paused it.").first).to_be_visible()
    page.get_by_role("button", name="Roll back email").click()
    expect(page.get_by_role("heading", name="Rollout of email version 4 aborted")).to_be_visible()
    assert latest_rollout(database, "email").share == 0
    page.get_by_role("button", name="Approve ticket 3").click()
    expect(page.get_by_text("approved by Ada on")).to_be_visible()
    decided = release(database, "ticket", 3)
    assert (decided.decision, decided.decided_by, decided.told) == ("approved", "Ada", False)
    page.get_by_role("button", name="Roll back to this ticket 1").click()
    expect(page.get_by_text("restore is asked for")).to_be_visible()
