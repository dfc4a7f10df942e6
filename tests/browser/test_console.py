"""The console in a real browser, with a real broker, plant and daemon: what it shows, what it does, and what it says when it cannot."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from facility.console.access import add_user
from tests.browser.looking import CONTRAST
from tests.browser.served import Served, serve
from tests.processes import CAPS, POOL, ROOT, House, highest_w, needs_mosquitto, patience, until

pytestmark = [pytest.mark.xdist_group("browser"), needs_mosquitto]

OUTSIDE = """() => [...document.querySelectorAll("main *, header *, .q-dialog *")].filter(node => node.checkVisibility()
  && !node.closest("svg, .q-tabs, .cells") && node.getBoundingClientRect().right > innerWidth + 1).map(node => node.outerHTML.slice(0, 120))"""
"""Whatever stands beyond the right edge."""
expect.set_options(timeout=60_000)
METERED = re.compile(r"(\d+) kW of \d+ kW")
"""What the meter measured, beside its limit."""
OLD_S = 5
"""Within so many seconds what is old must be seen to be."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path_factory.mktemp("console-house"), stack)


@pytest.fixture(scope="module")
def served(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A console on loopback without users."""
    found = serve(tmp_path_factory.mktemp("console"), house.url, "--history", str(house.folder / "demo.history.sqlite"))
    yield found
    assert found.elsewhere() == []
    assert [line for line in found.complained if "WebSocket" not in line] == []
    found.stop()


@pytest.fixture(scope="module")
def page(served: Served, browser: Browser) -> Iterator[Page]:
    found = served.open(browser)
    yield found
    found.context.close()


@pytest.fixture
def fresh(page: Page) -> Page:
    """The same page, without what a test left open."""
    page.reload()
    expect(page.locator("#tile-power .big")).to_contain_text(METERED)
    expect(page.locator("#lists")).to_contain_text("h1-b")
    return page


def fill(page: Page, target: str, kind: str | None, value: str | None, *, minutes: str | None = None, by: str | None = "ann") -> None:
    """Open the dialog and fill in an override."""
    page.get_by_role("button", name="Override …").first.click()
    dialog = page.get_by_role("dialog", name="Override")
    dialog.get_by_label("On what").fill(target)
    page.get_by_role("option", name=target).first.click()
    if kind is not None:
        dialog.get_by_label("What to do").click()
        page.get_by_role("option", name=kind, exact=True).click()
    if value is not None:
        dialog.get_by_label(re.compile("^Value")).fill(value)
    if minutes is not None:
        dialog.get_by_label("For how many minutes").fill(minutes)
    dialog.get_by_label("Why", exact=True).fill("a test")
    if by is not None:
        dialog.get_by_label("Your name").fill(by)


def order(page: Page, target: str, kind: str | None = None, value: str | None = None, **more: str | None) -> None:
    """Set an override by hand: fill in, look at the preview, confirm."""
    fill(page, target, kind, value, **more)
    dialog = page.get_by_role("dialog", name="Override")
    dialog.get_by_role("button", name="Preview").click()
    dialog.get_by_role("button", name=re.compile("^Set ")).click()


def close(page: Page) -> None:
    page.get_by_role("button", name="Close").last.click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def overrides(page: Page) -> None:
    page.get_by_role("tab", name="Overrides").click()


def test_the_site_is_seen_at_a_glance(house: House, fresh: Page) -> None:
    tiles = {name: fresh.locator(f"#tile-{name}") for name in ("power", "price", "cost", "jobs", "battery", "alarms", "caps", "halls")}
    assert all((box := tile.bounding_box()) is not None and box["y"] + box["height"] <= 900 for tile in tiles.values())
    shown = int(METERED.search(tiles["power"].inner_text())[1])
    metered = house.metered(0)
    assert min(metered[-40:]) - 1 <= shown <= max(metered[-40:]) + 1
    expect(tiles["price"]).to_contain_text("EUR/MWh")
    expect(tiles["cost"]).to_contain_text("than without control")
    expect(tiles["jobs"]).to_contain_text("running")
    expect(tiles["battery"]).to_contain_text("of 400 kWh")
    expect(tiles["caps"]).to_contain_text("h2-a")
    expect(tiles["halls"]).to_contain_text("°C")
    expect(fresh.get_by_label("mode and why")).to_contain_text("NORMAL")
    expect(fresh.locator(".chart").first).to_contain_text("now")


def test_an_override_is_previewed_set_seen_and_cleared(house: House, served: Served, fresh: Page) -> None:
    fill(fresh, "pool h1-b", "cap", "250")
    dialog = fresh.get_by_role("dialog", name="Override")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.locator(".told")).to_contain_text("a cap of 250 W on pool/h1/h1-b")
    rows = dict(re.findall(r"(cost of the plan, EUR|peak, kW|highest cap of h1-b in the next hour, W)\s+(\S+\s+\S+)", dialog.inner_text()))
    assert rows["highest cap of h1-b in the next hour, W"].split()[1] == "250"
    assert len({*rows["cost of the plan, EUR"].split()}) == 2
    assert house.ear.told(f"{ROOT}/override/{POOL}/state") is None  # nothing is set yet
    dialog.get_by_role("button", name="Set cap 250 W").click()
    expect(dialog).to_contain_text("accepted")
    assert until(lambda: highest_w(house.ear.told(CAPS)) <= 250, 5)
    close(fresh)
    overrides(fresh)
    row = fresh.locator("tr:visible", has_text=POOL)
    expect(row).to_contain_text("cap 250 W")
    row.get_by_role("button", name="Clear").click()
    ask = fresh.get_by_role("dialog", name="Clear this override?")
    ask.get_by_label("Why", exact=True).fill("over")
    ask.get_by_role("button", name="Clear it").click()
    expect(ask).to_contain_text("cleared")
    close(fresh)
    expect(row).to_have_count(0)
    assert house.ear.told(f"{ROOT}/override/{POOL}/state") is None
    fresh.get_by_role("tab", name="Shift log").click()
    expect(fresh.locator(".log")).to_contain_text("cap 250 W for 60 min")
    with sqlite3.connect(served.shift_log) as log:
        lines = log.execute("SELECT by, what, outcome FROM line ORDER BY n").fetchall()
        assert [(by, what.split(" for")[0], outcome.split(":")[0]) for by, what, outcome in lines][-4:] == [
            ("ann", "cap 250 W", ""), ("ann", "cap 250 W", "accepted"), ("ann", "clear", ""), ("ann", "clear", "cleared"),
        ]  # fmt: skip
        with pytest.raises(sqlite3.IntegrityError, match="never deleted"):
            log.execute("DELETE FROM line")


def test_a_cap_a_held_job_a_broken_limit_and_the_power_are_explained(house: House, fresh: Page) -> None:
    def why(words: str) -> None:
        dialog = fresh.get_by_role("dialog")
        dialog.get_by_role("button", name="Why?").click()
        expect(dialog.locator(".told")).to_contain_text(re.compile(words))
        assert "no" not in (dialog.locator(".told").get_attribute("class") or "").split()
        close(fresh)

    fresh.locator("#tile-caps [data-pool=h1-a]").click()
    why("pool h1-a: .*(keeps caps low|speed)")
    fresh.get_by_role("button", name="Why? Power from the grid").click()
    why("import limit")
    fresh.get_by_role("tab", name="Jobs").click()
    fresh.locator("tr:visible", has=fresh.locator(".state.held")).first.locator("button").click()
    why("job .*(waits until|cannot finish)")
    too_much = {"submit": f"{house.now():%FT%TZ}", "deadline": f"{house.now() + timedelta(hours=4):%FT%TZ}", "gpus": 64, "work_gpu_h": 640}
    house.publish(f"{ROOT}/job/too-much/spec", json.dumps(too_much | {"pool": "h1-a"}), "-r")
    fresh.locator("#breaches button.link:visible", has_text="too-much").click()
    why("job too-much: .*64 GPUs for")


def test_what_is_clamped_is_told_and_nothing_goes_out_unnamed_or_without_a_reason(house: House, fresh: Page) -> None:
    fill(fresh, "pool h1-b", "cap", "20", by="")
    dialog = fresh.get_by_role("dialog", name="Override")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog).to_contain_text("Still missing: your name.")
    dialog.get_by_label("Your name").fill("ann")
    dialog.get_by_role("button", name="Preview").click()
    dialog.get_by_role("button", name=re.compile("^Set ")).click()
    expect(dialog).to_contain_text("clamped")
    close(fresh)
    expect(fresh.locator("#tile-caps")).to_contain_text("by hand")
    fresh.get_by_role("button", name="Back to automatic").click()
    back = fresh.get_by_role("dialog")
    expect(back).to_contain_text("on pool/h1/h1-b, by ann")
    back.get_by_role("button", name="Back to automatic").click()
    expect(back).to_contain_text("cleared")
    assert until(lambda: house.ear.told(f"{ROOT}/override/{POOL}/state") is None, 5)


def test_an_override_goes_at_its_end(fresh: Page) -> None:
    order(fresh, "pool h2-a", "cap", "200", minutes="2")  # six seconds of ours
    expect(fresh.get_by_role("dialog", name="Override")).to_contain_text("accepted")
    close(fresh)
    overrides(fresh)
    row = fresh.locator("tr:visible", has_text="pool/h2/h2-a")
    expect(row).to_be_visible()
    expect(row).to_have_count(0)


def test_manual_is_asked_about_twice_and_one_button_leads_back(house: House, fresh: Page) -> None:
    order(fresh, "the whole site", "MANUAL")
    sure = fresh.get_by_role("alertdialog")
    expect(sure).to_contain_text("nothing is planned")
    sure.get_by_role("button", name="No").click()
    assert house.ear.told(f"{ROOT}/override/site/state") is None
    fresh.get_by_role("button", name=re.compile("^Set ")).click()
    fresh.get_by_role("alertdialog").get_by_role("button", name="Yes, MANUAL").click()
    expect(fresh.get_by_label("mode and why")).to_contain_text("MANUAL")
    close(fresh)
    fresh.get_by_role("button", name="Back to automatic").click()
    fresh.get_by_role("dialog").get_by_role("button", name="Back to automatic").click()
    expect(fresh.get_by_label("mode and why")).to_contain_text("NORMAL")


def test_what_is_old_is_seen_to_be(house: House, fresh: Page) -> None:
    fresh.wait_for_timeout(1500)
    house.daemon.send_signal(signal.SIGSTOP)
    expect(fresh.get_by_role("alert")).to_contain_text("The daemon has not been heard", timeout=1000 * OLD_S * patience())
    assert float(fresh.locator(".tiles").evaluate("node => getComputedStyle(node).opacity")) < 0.6
    house.daemon.send_signal(signal.SIGCONT)
    expect(fresh.get_by_role("alert")).to_have_count(0)


def test_the_page_goes_on_while_the_broker_is_away_and_says_so(house: House, fresh: Page) -> None:
    house.broker.stop()
    expect(fresh.get_by_role("alert")).to_contain_text("The broker has not answered", timeout=1000 * OLD_S * patience())
    fresh.get_by_role("tab", name="Feeders").click()
    expect(fresh.locator("#lists")).to_contain_text("busway-1a")
    order(fresh, "pool h1-b", "cap", "250")
    expect(fresh.get_by_role("dialog", name="Override")).to_contain_text("the broker is away; nothing is sent now")
    house.broker.start()
    expect(fresh.get_by_role("alert")).to_have_count(0, timeout=20_000)
    house.until(lambda: house.mode() == "NORMAL", 30, "a daemon that is back")
    assert house.ear.told(f"{ROOT}/override/{POOL}/state") is None


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_readable_light_and_dark(served: Served, browser: Browser, dark: bool) -> None:
    page = served.open(browser, dark=dark)
    expect(page.locator(".chart").first).to_contain_text("now")
    assert page.evaluate("document.body.classList.contains('body--dark')") is dark
    found = page.evaluate(CONTRAST)
    assert len(found) > 80
    assert [said for said in found if said[0] < 4.5] == []
    page.context.close()


def test_nothing_is_wider_than_a_phone(served: Served, browser: Browser) -> None:
    page = served.open(browser, 390)
    expect(page.locator(".chart").first).to_contain_text("now")
    for name in ("Pools", "Jobs", "Tenants", "Feeders", "Overrides", "Alarms", "History", "Shift log"):
        tab = page.get_by_role("tab", name=name)
        tab.evaluate("node => node.click()")
        page.wait_for_timeout(250)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
        assert page.evaluate(OUTSIDE) == [], name
    page.get_by_role("button", name="Override …").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.wait_for_timeout(300)
    assert page.evaluate(OUTSIDE) == []
    page.context.close()


def test_it_is_used_by_keyboard(fresh: Page) -> None:
    for _ in range(4):
        fresh.keyboard.press("Tab")
        if fresh.evaluate("document.activeElement.textContent") == "Override …":
            break
    fresh.keyboard.press("Enter")
    expect(fresh.get_by_role("dialog", name="Override")).to_be_visible()
    fresh.keyboard.press("Escape")
    expect(fresh.get_by_role("dialog")).to_have_count(0)
    fresh.get_by_role("button", name="h1-b").focus()
    fresh.wait_for_timeout(2500)
    assert fresh.evaluate("document.activeElement.textContent").strip() == "h1-b"  # what is new does not take it away
    fresh.keyboard.press("Enter")
    expect(fresh.get_by_role("dialog", name=POOL)).to_contain_text("GPUs")


def test_the_past_is_drawn_from_the_history(fresh: Page) -> None:
    fresh.get_by_role("tab", name="History").click()
    expect(fresh.locator("#lists")).to_contain_text(re.compile(r"means of 30 s, from \d"))
    fresh.get_by_role("button", name="day").click()
    expect(fresh.locator("#lists")).to_contain_text(re.compile(r"means of 5 min, from \d"))


def test_who_may_only_look_cannot_act_and_who_is_no_user_any_more_sees_nothing(house: House, browser: Browser, tmp_path: Path) -> None:
    users = tmp_path / "users"
    add_user(users, "vera", "viewer", "a password")
    add_user(users, "otto", "operator", "another password")
    served = serve(tmp_path, house.url, "--users", str(users))
    try:
        page = served.open(browser)
        assert page.url.endswith("/login")
        log_in(page, "vera", "not the password")
        expect(page.get_by_role("alert")).to_contain_text("do not fit")
        log_in(page, "vera", "a password")
        expect(page.locator("#tile-power .big")).to_contain_text("kW")
        expect(page.locator("header")).to_contain_text("you may look")
        assert page.get_by_role("button", name="Override …").count() == 0
        page.get_by_role("button", name="h1-b").click()
        expect(page.get_by_role("dialog")).to_contain_text("Why?")
        assert page.get_by_role("dialog").get_by_role("button", name="Override …").count() == 0
        cookies = page.context.cookies()
        assert [(cookie["httpOnly"], cookie["sameSite"]) for cookie in cookies] == [(True, "Strict")]

        operator = served.open(browser)
        log_in(operator, "otto", "another password")
        order(operator, "pool h1-b", "cap", "300", by=None)
        expect(operator.get_by_role("dialog", name="Override")).to_contain_text("accepted")
        assert until(lambda: (house.ear.told(f"{ROOT}/override/{POOL}/state") or {"overrides": [{}]})["overrides"][0].get("by") == "otto", 5)
        close(operator)
        operator.get_by_role("button", name="Back to automatic").click()
        operator.get_by_role("dialog").get_by_role("button", name="Back to automatic").click()
        expect(operator.get_by_role("dialog")).to_contain_text("cleared")
        users.write_text("".join(line for line in users.read_text().splitlines(keepends=True) if "vera" not in line))
        page.wait_for_url("**/login")  # who is no user any more has no session
        assert served.elsewhere() == []
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(10 * patience()) == 0
    finally:
        served.stop()


def log_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
