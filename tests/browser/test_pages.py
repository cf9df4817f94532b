"""Every page in a real browser: it opens without a complaint, in a window and on a telephone, light and dark."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.browser.shop import Shop, shop
from tests.browser.visitor import Visitor
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.server import BusServer

#: The pages as the navigation shows them, and a part of what is to be read on each.
PAGES = {
    "/": ("Overview", "Needs attention"),
    "/dashboard/subscribers": ("Subscribers", "6 subscribers, sorted by address"),
    "/dashboard/journal": ("Journal", "30 events so far"),
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
def test_a_page_opens_without_a_complaint(visitor: Visitor, busy: Shop, path: str) -> None:
    """A page shows what it is for; nothing that it loads or runs is missing, fails or offends its policy."""
    title, text = PAGES[path]
    visitor.open(path)
    visitor.see(text)
    assert visitor.driver.title == f"{title} · eventbus"
    assert visitor.text("nav [aria-current=page]") == title
    assert visitor.tab.complaints() == []


def test_what_is_not_there_is_told_on_a_page(visitor: Visitor, busy: Shop) -> None:
    """An event that is not known, and a subscriber that is none, are told in a sentence, with a way back."""
    visitor.expect(404)
    for path in ("/dashboard/event?id=nothing", "/dashboard/subscriber?address=127.0.0.1:1"):
        visitor.open(path)
        visitor.see("This page cannot be displayed")
        visitor.click("Back to the overview")
        visitor.see("Needs attention")


def test_the_overview_names_who_needs_somebody(visitor: Visitor, busy: Shop) -> None:
    """Who is down or paused is listed, then who fails with dead letters; who takes everything is not."""
    visitor.open("/")
    rows = visitor.text("#attention").splitlines()
    listed = [name for row in rows for name in busy.addresses if busy.addresses[name] in row]
    assert set(listed[:2]) == {"warehouse", "mailer"}
    assert listed[2:] == ["billing"]
    assert "1 down, 1 failing, 1 paused" in visitor.text("#tiles")


def test_subscribers_are_found_and_sorted(visitor: Visitor, busy: Shop) -> None:
    """The table of subscribers can be searched, and sorted by a click on a column's name."""
    visitor.open("/dashboard/subscribers")
    visitor.click("Dead")
    visitor.see("sorted by dead")
    assert busy.addresses["billing"] in visitor.text("tbody tr:first-child")
    visitor.fill("#q", "PAUSED")
    visitor.click("Find")
    visitor.see("1 subscriber found, sorted by dead")
    assert busy.addresses["mailer"] in visitor.text("tbody")


def test_the_journal_leads_to_an_event_and_its_deliveries(visitor: Visitor, busy: Shop) -> None:
    """An event in the journal leads to its body, laid out, and to what became of it for each subscriber."""
    event_id = busy.publish(3)
    visitor.open("/dashboard/journal")
    visitor.click(event_id)
    visitor.see('"order": 4103')
    visitor.see(f"dead {busy.addresses['billing']}", "#deliveries")
    assert f"delivered {busy.addresses['audit']}" in visitor.text("#deliveries")
    assert busy.addresses["orders"] not in visitor.text("#deliveries")
    visitor.click("As bytes")
    assert "00000000  7b 22 6f 72 64 65 72" in visitor.text("details pre")


def test_no_page_is_wider_than_a_telephone(visitor: Visitor, busy: Shop) -> None:
    """At 360 pixels no page has to be moved sideways; wide tables move in themselves."""
    visitor.phone()
    for path in every_page(busy):
        visitor.open(path)
        wide = visitor.run("return [innerWidth, document.documentElement.scrollWidth]")
        assert wide == [360, 360], path


def test_dark_is_dark(visitor: Visitor, busy: Shop) -> None:
    """Where the system prefers dark, every page is light on dark, and the charts are drawn anew when that changes."""
    brightness = "return getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)"
    visitor.open("/")
    assert min(visitor.run(brightness)) > 200
    visitor.run("window.light = document.querySelector('canvas')")
    visitor.dark()
    assert max(visitor.run(brightness)) < 50
    eventually(lambda: visitor.run("return !window.light.isConnected && document.querySelectorAll('canvas').length"), 5)
    for path in every_page(busy):
        visitor.open(path)
        assert max(visitor.run(brightness)) < 50
