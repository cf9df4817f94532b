"""Every page in a real browser: it opens without a complaint, in a window and on a telephone, light and dark."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.browser.dashboard_user import DashboardUser
from tests.browser.shop import Shop, shop
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.server import BusServer

#: The pages as the navigation shows them, and a part of what is to be read on each.
PAGES = {
    "/": ("Overview", "Needs attention"),
    "/dashboard/subscribers": ("Subscribers", "6 subscribers, sorted by address"),
    "/dashboard/journal": ("Journal", "30 events so far"),
    "/dashboard/scheduled": ("Scheduled", "No scheduled events."),
    "/dashboard/deadLetters": ("Dead letters", "Redeliver selected"),
    "/dashboard/send": ("Send", "Send a test event"),
    "/dashboard/settings": ("Settings", "Secrets are not displayed."),
}


@pytest.fixture(scope="module")
def busy(bus: BusServer) -> Iterator[Shop]:
    """Services on that bus, some of them in trouble."""
    with shop(Caller(bus.port)) as found:
        yield found


def every_page(busy: Shop) -> list[str]:
    """The paths of all pages: those in the navigation, of an event and a subscriber, and of what is not there."""
    event = f"/dashboard/event?id={busy.publish(0)}"
    subscriber = [f"/dashboard/subscriber?address={quote(busy.addresses[name])}" for name in ("billing", "warehouse")]
    return [*PAGES, event, *subscriber, "/dashboard/subscribers?q=nobody", "/dashboard/journal?upto=20"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_opens_without_a_complaint(user: DashboardUser, busy: Shop, path: str) -> None:
    """A page shows what it is for; nothing that it loads or runs is missing, fails or offends its policy."""
    title, text = PAGES[path]
    user.open(path)
    user.see(text)
    assert user.driver.title == f"{title} · eventbus"
    assert user.text("nav [aria-current=page]") == title
    assert user.tab.complaints() == []


def test_what_is_not_there_is_told_on_a_page(user: DashboardUser, busy: Shop) -> None:
    """An event that is not known, and a subscriber that is none, are told in a sentence, with a way back."""
    user.expect(404)
    for path in ("/dashboard/event?id=nothing", "/dashboard/subscriber?address=127.0.0.1:1"):
        user.open(path)
        user.see("This page cannot be displayed")
        user.click("Back to the overview")
        user.see("Needs attention")


def test_the_overview_names_who_needs_somebody(user: DashboardUser, busy: Shop) -> None:
    """Who is down or paused is listed, then who fails with dead letters; who takes everything is not."""
    user.open("/")
    rows = user.text("#attention").splitlines()
    listed = [name for row in rows for name in busy.addresses if busy.addresses[name] in row]
    assert set(listed[:2]) == {"warehouse", "mailer"}
    assert listed[2:] == ["billing"]
    assert "1 down, 1 failing, 1 paused" in user.text("#tiles")


def test_subscribers_are_found_and_sorted(user: DashboardUser, busy: Shop) -> None:
    """The table of subscribers can be searched, and sorted by a click on a column's name."""
    user.open("/dashboard/subscribers")
    user.click("Dead")
    user.see("sorted by dead")
    assert busy.addresses["billing"] in user.text("tbody tr:first-child")
    user.fill("#q", "PAUSED")
    user.click("Find")
    user.see("1 subscriber found, sorted by dead")
    assert busy.addresses["mailer"] in user.text("tbody")


def test_the_journal_leads_to_an_event_and_its_deliveries(user: DashboardUser, busy: Shop) -> None:
    """An event in the journal leads to its body, laid out, and to what became of it for each subscriber."""
    event_id = busy.publish(3)
    user.open("/dashboard/journal")
    user.click(event_id)
    user.see('"order": 4103')
    user.see(f"dead {busy.addresses['billing']}", "#deliveries")
    assert f"delivered {busy.addresses['audit']}" in user.text("#deliveries")
    assert busy.addresses["orders"] not in user.text("#deliveries")
    user.click("As bytes")
    assert "00000000  7b 22 6f 72 64 65 72" in user.text("details pre")


def test_no_page_is_wider_than_a_telephone(user: DashboardUser, busy: Shop) -> None:
    """At 360 pixels no page has to be moved sideways; wide tables move in themselves."""
    user.phone()
    for path in every_page(busy):
        user.open(path)
        wide = user.run("return [innerWidth, document.documentElement.scrollWidth]")
        assert wide == [360, 360], path


def test_dark_is_dark(user: DashboardUser, busy: Shop) -> None:
    """Where the system prefers dark, every page is light on dark, and the charts are drawn anew when that changes."""
    brightness = "return getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)"
    user.open("/")
    assert min(user.run(brightness)) > 200
    user.run("window.light = document.querySelector('canvas')")
    user.dark()
    assert max(user.run(brightness)) < 50
    eventually(lambda: user.run("return !window.light.isConnected && document.querySelectorAll('canvas').length"), 5)
    for path in every_page(busy):
        user.open(path)
        assert max(user.run(brightness)) < 50
