"""The console in a real Chromium: log-in, playground, coverage simulator, and that everybody can use it.

Screenshots are kept under ``out/console``.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from frontdesk.bundle.folder import save_bundle
from frontdesk.bundle.kinds import KINDS
from frontdesk.database import Database
from frontdesk.database.keys import NewKey, create_key, revoke_key
from frontdesk.database.retrainings import begin
from frontdesk.database.verdicts import keep_verdict
from frontdesk.monitoring.retraining import Decision
from frontdesk.monitoring.retraining import Request as Retraining
from frontdesk.monitoring.verdict import Cause, Verdict
from tests.gateway.desks.running import Running, model_server, running_gateway

SHOTS = Path(__file__).parents[2] / "out" / "console"
PAGES = ("", "/models", "/playground?recipe=ticket", "/coverage?recipe=ticket", "/feedback", "/drift", "/reports")
EVIL = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"

if (found := shutil.which("chromium") or shutil.which("chromium-browser")) is None:
    pytest.skip("there is no Chromium", allow_module_level=True)
CHROMIUM: str = found


@dataclass
class Site:
    """A gateway with a console, and a key for it."""

    gateway: Running
    key: NewKey

    @property
    def url(self) -> str:
        """Address of the console."""
        return f"{self.gateway.client.base_url}".rstrip("/") + "/console"


def small_bundle(folder: Path) -> Path:
    """Write a bundle whose model cannot be loaded, but whose papers can be read; its report stands beside it."""
    head = {"accuracy": 0.81, "macro_f1": 0.62, "top3": 0.95, "n": 100, "majority": 0.2}
    save_bundle(
        folder / "bundle",
        recipe="ticket",
        model_kind="ticket-network",
        files=dict.fromkeys(KINDS["ticket-network"].files, b"x"),
        spec={"text": ["subject", "body"], "categorical": {"channel": ["web"]}, "numeric": {"order_total": {}}},
        policy={"heads": {"contact_type": {"coverage": [{"precision": 0.9, "threshold": 0.7, "share": 0.5}]}}},
        taxonomy={"version": "v1"},
        metrics={
            "rows": {"train": 1200, "test": 300, "refused": 0},
            "test": {"contact_type": head},
            "baselines": {"majority": {"contact_type": head | {"accuracy": 0.2}}},
        },
        golden=pa.table({"x": [1]}),
        card="",
        snapshot="s",
    )
    report = "<!doctype html><title>r</title><h1>The report</h1><script>document.title = 'hacked'</script>"
    (folder / "report.html").write_text(report)
    return folder / "bundle"


def fill(gateway: Running, key: NewKey) -> None:
    """Answer and close a few dozen cases whose confidences mean what they say."""
    draw = random.Random(4)
    headers = {"authorization": f"Bearer {key.text}"}
    events = []
    for case in range(120):
        confidence = draw.uniform(0.3, 0.99)
        ticket = {"id": f"case {case}", "subject": f"c={confidence:.3f}"}
        gateway.client.post("/v1/tickets:suggest", json={"instances": [ticket]}, headers=headers).raise_for_status()
        label = "Billing > Refund" if draw.random() < confidence else "Other"
        closed = {"id": f"e{case}", "kind": "closed", "at": "2026-11-20T10:00:00Z", "recipe": "ticket"}
        events.append(closed | {"case_id": f"case {case}", "labels": {"contact_type": label}})
    gateway.client.post("/v1/feedback", json={"events": events}, headers=headers).raise_for_status()


def fill_drift(database: Database) -> None:
    """Keep the verdicts of six weeks, the last two with drift, and the retraining that followed."""
    cause = Cause("body", "text", "unseen_share", 0.31, 0.12, "a third of the words are new: tariff, bundle", "drift")
    for week, verdict in enumerate(("none", "stable", "stable", "watch", "drift", "drift")):
        end = datetime(2026, 9, 7, tzinfo=UTC) + timedelta(weeks=week)
        causes = (cause,) if verdict == "drift" else (replace(cause, level="watch"),) if verdict == "watch" else ()
        level = "stable" if verdict == "none" else verdict
        content = Verdict(level, causes, (), {"reference": 900, "current": 310}, 0.01)
        started = {"start": True, "answer": "start", "words": "drift of body: started", "key": "k", "reason": "drift"}
        row = {
            "recipe": "ticket",
            "part": "",
            "window_start": end - timedelta(weeks=1),
            "window_end": end,
            "reference_start": end - timedelta(weeks=9),
            "reference_end": end - timedelta(weeks=1),
            "model_id": "m" * 20,
            "verdict": verdict,
            "alarms": [],
            "content": content.as_json() if verdict != "none" else {},
            "figures": {},
            "retraining": started if week == 5 else None,
            "made_at": end,
        }
        keep_verdict(database, row)
        part = "language=pt"
        if verdict == "drift":
            keep_verdict(database, row | {"part": part, "retraining": None})
    asked = Retraining("ticket", "drift", "s", "", datetime(2026, 10, 12, tzinfo=UTC), "drift of body for two weeks")
    begin(database, asked, lambda *_: Decision(True, "start", "started", asked.key, "drift"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A console with a history."""
    folder = tmp_path_factory.mktemp("console")
    bundles = (str(small_bundle(folder)),)
    with (
        model_server() as models,
        running_gateway(folder, {"email": models.address, "ticket": models.address}, bundles=bundles) as gateway,
    ):
        key = create_key(gateway.database, "Ärger & <Co>", ("console", "feedback", "tickets"))
        fill(gateway, key)
        fill_drift(gateway.database)
        yield Site(gateway, key)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the module."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(params=["light"])
def page(browser: Browser, site: Site, request: pytest.FixtureRequest) -> Iterator[Page]:
    """An empty window; a script that fails, and any address but the gateway's, fail the test."""
    context = browser.new_context(color_scheme=request.param, viewport={"width": 1180, "height": 860})
    opened, wrong = context.new_page(), []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
    base = str(site.gateway.client.base_url)
    opened.on("request", lambda asked: None if asked.url.startswith((base, "data:")) else wrong.append(asked.url))
    yield opened
    context.close()
    assert not wrong


def log_in(page: Page, site: Site) -> None:
    """Log in by the form."""
    page.goto(f"{site.url}/login")
    page.get_by_label("API key").fill(site.key.text)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(site.url)


def keep(page: Page, name: str) -> None:
    """Keep a screenshot."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def test_log_in_and_out(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/models")
    page.wait_for_url("**/console/login")
    page.get_by_label("API key").fill("fd_wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("this key opens nothing")
    keep(page, "login")
    log_in(page, site)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.get_by_text("Ärger & <Co>")).to_be_visible()
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/console")
    assert site.key.text.split("_")[-1] not in cookie["value"]
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/console/login")
    assert page.context.cookies() == []
    page.goto(site.url)
    page.wait_for_url("**/console/login")


def test_the_counters_are_alive(page: Page, site: Site) -> None:
    log_in(page, site)
    counter = page.locator("[data-count='ticket-all']")
    before = int(counter.inner_text())
    assert before >= 120
    headers = {"authorization": f"Bearer {site.key.text}"}
    site.gateway.client.post("/v1/tickets:suggest", json={"instances": [{"subject": "x"}]}, headers=headers)
    expect(counter).to_have_text(str(before + 1), timeout=10_000)
    keep(page, "overview")


def test_models_and_reports(page: Page, site: Site) -> None:
    log_in(page, site)
    page.get_by_role("link", name="Models").click()
    expect(page.get_by_role("row", name="contact_type this model 81.0 % 0.620 95.0 %")).to_be_visible()
    page.get_by_role("link", name="Report of ticket").click()
    inside = page.frame_locator("iframe")
    expect(inside.get_by_role("heading", name="The report")).to_be_visible()
    assert page.frames[1].title() == "r"  # its script did not run


def test_the_playground_shows_what_is_read_and_why(page: Page, site: Site) -> None:
    log_in(page, site)
    page.goto(f"{site.url}/playground?recipe=ticket")
    page.get_by_label("subject").fill("<b>REFUND</b> please")
    page.get_by_label("body").fill(f"Hello {EVIL}")
    page.get_by_label("order_total").fill("12.5")
    page.get_by_role("button", name="Ask the model").click()
    expect(page.get_by_role("row", name="Billing > Refund 97.0 %")).to_be_visible()
    expect(page.get_by_role("rowheader", name="Billing > <b>Invoice</b>")).to_be_visible()
    expect(page.locator(".read").first).to_have_text("refund please")
    exact = page.locator(".exact")
    expect(exact.locator("mark.for.s3")).to_have_text("<b>REFUND</b>")
    sum_, rest = (float(page.locator(f".exact-{part}").inner_text()) for part in ("sum", "rest"))
    assert (sum_, rest) == (1.9, 0.5)  # nineteen letters
    expect(page.get_by_text(f"+{sum_ + rest:.2f}, these words give")).to_be_visible()
    marked = page.get_by_role("region", name="Why", exact=True).locator(".words mark.for.s3")
    expect(marked).to_have_count(1)
    expect(marked).to_have_text("<b>REFUND</b>")
    assert page.evaluate("window.hacked") is None
    keep(page, "playground")
    page.get_by_label("order_total").fill("a lot")
    page.get_by_role("button", name="Ask the model").click()
    expect(page.get_by_role("alert")).to_have_text("order_total: must be a number")
    expect(page.get_by_label("subject")).to_have_value("<b>REFUND</b> please")


def test_the_playground_shows_what_cleaning_took_from_a_mail(page: Page, site: Site) -> None:
    log_in(page, site)
    page.goto(f"{site.url}/playground?recipe=email")
    mail = "Bitte um refund auf DE89370400440532013000.\n\nMit freundlichen Grüßen\nMax Muster\n\n"
    page.get_by_label("body").fill(mail + "Am 1.6.2026 um 10:00 schrieb Bank <info@bank.example>:\n> Guten Tag")
    page.get_by_role("button", name="Ask the model").click()
    read = page.locator(".read")
    expect(read).to_contain_text("Bitte um refund")
    expect(read).not_to_contain_text("DE89")
    expect(page.get_by_text("signature removed")).to_be_visible()
    page.get_by_text("quote removed").click()
    expect(page.locator(".gone").filter(has_text="Guten Tag")).to_be_visible()
    keep(page, "playground-mail")


def test_drift_says_what_moved_and_what_to_do_on_the_first_screen(page: Page, site: Site) -> None:
    log_in(page, site)
    page.goto(f"{site.url}/drift")
    shown = page.get_by_role("region", name="ticket").first
    first_screen = ("drift", "Begin with the first cause", "a third of the words are new")
    for words in (*first_screen, "What to do: Read some of the newest records", "started"):
        found = shown.get_by_text(words).first
        box = found.bounding_box()
        assert box is not None, words
        assert box["y"] < 860, f"{words} is below the first screen"
    picture = shown.get_by_role("img")
    assert "none, stable, stable, watch, drift, drift" in (picture.get_attribute("aria-label") or "")
    assert shown.get_by_text("language=pt").count() == 1
    page.get_by_text("Every window").click()
    assert page.get_by_role("region", name="Windows of ticket").get_by_role("row").count() == 7
    assert page.get_by_role("region", name="Retrainings").get_by_text("drift of body for two weeks").is_visible()


def test_the_coverage_simulator_follows_the_slider(page: Page, site: Site) -> None:
    log_in(page, site)
    page.goto(f"{site.url}/coverage?recipe=ticket")
    slider = page.get_by_role("slider")
    expect(slider).to_have_value("95")

    def automatic(percent: str) -> float:
        page.wait_for_url(f"**precision={percent}")
        return float(page.locator("[data-head='contact_type'] [data-share]").inner_text().split(" %")[0])

    slider.focus()
    page.keyboard.press("ArrowLeft")
    strict = automatic("94")
    page.goto(f"{site.url}/coverage?recipe=ticket&precision=70")
    easy = automatic("70")
    assert 0 <= strict < easy <= 100
    expect(page.get_by_text("120 closed cases")).to_be_visible()
    keep(page, "coverage")
    for odd in ("nan", "x", "-5", "1e9"):
        assert page.goto(f"{site.url}/coverage?precision={odd}").status == 200


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_everybody_can_use_every_page(page: Page, site: Site) -> None:
    scheme = "dark" if page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"
    page.goto(f"{site.url}/login")
    seen = [page.title()]
    assert Axe().run(page).violations_count == 0
    log_in(page, site)
    for place in PAGES:
        page.goto(f"{site.url}{place}")
        if "playground" in place:
            page.get_by_label("subject").fill("a refund, please")
            page.get_by_role("button", name="Ask the model").click()
            page.wait_for_selector(".answer")
        found = Axe().run(page)
        assert found.violations_count == 0, f"{place}: {found.generate_report()}"
        keep(page, f"{place.partition('?')[0].strip('/') or 'overview'}-{scheme}")
        seen.append(page.title())
    assert len(set(seen)) == len(seen)


def test_the_keyboard_alone_is_enough(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/login")
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type(site.key.text)
    page.keyboard.press("Enter")
    page.wait_for_url(site.url)
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    assert skip.bounding_box()["y"] >= 0
    assert skip.evaluate("one => getComputedStyle(one).outlineStyle") != "none"
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


@contextmanager
def session_of(site: Site) -> Iterator[httpx.Client]:
    """Return a client that is logged in."""
    with httpx.Client(base_url=str(site.gateway.client.base_url), timeout=10) as client:
        client.post("/console/login", data={"key": site.key.text})
        yield client


def test_forged_and_foreign_requests_are_refused(site: Site) -> None:
    with session_of(site) as client:
        assert client.get("/console").status_code == 200
        assert client.post("/console/logout", data={"csrf": "x"}).status_code == 403
        assert client.post("/console/playground", data={"recipe": "ticket"}).status_code == 403
        assert client.post("/console/playground", json={}).status_code == 415
        good = client.cookies["frontdesk_console"]
        prefix, end, word, mac = good.split(".")
        forged = [
            good[:-1] + ("0" if good[-1] != "0" else "1"),
            f"{prefix}.{int(end) + 9}.{word}.{mac}",
            "a.b.c.d",
            "x",
            "",
        ]
        for cookie in forged:
            answer = httpx.get(site.url, headers={"cookie": f"frontdesk_console={cookie}"})
            assert (answer.status_code, answer.headers["location"]) == (303, "/console/login")
        foreign = client.post("/console/login", data={"key": site.key.text}, headers={"sec-fetch-site": "cross-site"})
        assert foreign.status_code == 403
        assert client.get("/console/report.html?model=../../x").status_code == 404
        assert client.get("/console/static/..%2fsession.py").status_code == 404
        policy = client.get("/console").headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_a_key_without_the_scope_and_a_revoked_one_open_nothing(site: Site) -> None:
    database, base = site.gateway.database, site.gateway.client.base_url
    poor = create_key(database, "poor", ("tickets",))
    assert httpx.post(f"{site.url}/login", data={"key": poor.text}).status_code == 403
    brief = create_key(database, "brief", ("console",))
    with httpx.Client(base_url=base, timeout=10) as client:
        assert client.post("/console/login", data={"key": brief.text}).status_code == 303
        assert client.get("/console").status_code == 200
        revoke_key(database, brief.key.prefix)
        assert client.get("/console").status_code == 303
