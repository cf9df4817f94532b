"""All that can be done with a mouse can be done with the keys alone."""

from urllib.parse import quote

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.visitor import PATIENCE, Visitor
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.ports import LOOPBACK, free_port

NAVIGATION = ["Overview", "Subscribers", "Journal", "Dead letters", "Send", "Settings"]


@pytest.fixture
def address(caller: Caller) -> str:
    """A subscriber's address."""
    address = f"{LOOPBACK}:{free_port()}"
    caller.register(address, lease=3_600)
    return address


def tabbed(visitor: Visitor, count: int) -> list[str]:
    """What has the focus after each of so many presses of the tab key."""
    found = []
    for _ in range(count):
        visitor.press(Keys.TAB)
        found.append(visitor.focused())
    return found


def test_the_tab_key_reaches_the_navigation_in_its_order(visitor: Visitor) -> None:
    """First comes the way past the navigation, then the name, then each page, then what is on the page."""
    visitor.open("/dashboard/send")
    expected = ["Skip to the content", "eventbus", *NAVIGATION, "topic", "type", "body", "Send", "API"]
    assert tabbed(visitor, len(expected)) == expected


def test_the_first_link_leads_past_the_navigation(visitor: Visitor) -> None:
    """It shows itself when it has the focus; after it the tab key goes on within the page."""
    visitor.open("/dashboard/send")
    place = "return document.querySelector('.skip').getBoundingClientRect().left"
    assert visitor.run(place) < 0
    visitor.press(Keys.TAB)
    assert visitor.run(place) >= 0
    visitor.press(Keys.ENTER)
    eventually(lambda: visitor.focused() == "main", PATIENCE)
    assert tabbed(visitor, 1) == ["topic"]


def test_what_has_the_focus_can_be_seen(visitor: Visitor, address: str) -> None:
    """Links, fields and buttons have an outline while the keys are on them."""
    outline = "const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);"
    visitor.open(f"/dashboard/subscriber?address={quote(address)}")
    for _ in range(len(NAVIGATION) + 5):
        visitor.press(Keys.TAB)
        assert visitor.run(outline + "return [outlineStyle, outlineWidth]") == ["solid", "3px"], visitor.focused()


def test_a_question_keeps_the_focus_and_escape_ends_it(visitor: Visitor, address: str) -> None:
    """A question begins at Cancel, holds the tab key to its buttons, and is ended by Escape, back where it began."""
    visitor.open(f"/dashboard/subscriber?address={quote(address)}")
    visitor.run("document.querySelector('[data-act=deregister]').focus()")
    visitor.press(Keys.ENTER)
    visitor.see(f"Deregister {address}?", "dialog")
    assert visitor.focused() == "ask-cancel"
    reached = set(tabbed(visitor, 8))
    assert {"ask-cancel", "ask-go"} <= reached
    assert not reached & {"Skip to the content", "eventbus", *NAVIGATION, "from"}
    visitor.press(Keys.ESCAPE)
    eventually(lambda: visitor.count("dialog[open]") == 0, PATIENCE)
    assert visitor.focused() == "Deregister"


def test_a_subscriber_is_deregistered_by_keys(visitor: Visitor, caller: Caller, address: str) -> None:
    """The whole way, both questions included, goes by the keys."""
    visitor.expect(404)
    visitor.open(f"/dashboard/subscriber?address={quote(address)}")
    visitor.run("document.querySelector('[data-act=deregister]').focus()")
    visitor.press(Keys.ENTER)
    visitor.see(f"Deregister {address}?", "dialog")
    visitor.press(Keys.TAB, Keys.ENTER)
    visitor.see("Are you sure?", "dialog")
    assert visitor.focused() == "ask-cancel"
    eventually(lambda: visitor.find("#ask-go").is_enabled(), PATIENCE)
    visitor.press(Keys.TAB, Keys.ENTER)
    visitor.see("Deregistered.", "dialog")
    assert visitor.focused() == "ask-cancel"
    assert not caller.listed(address)
    visitor.press(Keys.ENTER)
    visitor.see("This page cannot be displayed")


def test_tables_are_moved_by_keys(visitor: Visitor, address: str) -> None:
    """A table that is too wide takes the focus and is moved by the arrows, while it is kept up to date."""
    visitor.hurry()
    visitor.phone()
    visitor.open("/dashboard/subscribers")
    visitor.run("document.querySelector('.scroll').focus(); window.row = document.querySelector('tbody tr')")
    visitor.press(Keys.ARROW_RIGHT)
    eventually(lambda: visitor.run("return document.querySelector('.scroll').scrollLeft > 0"), PATIENCE)
    eventually(lambda: visitor.run("return !window.row.isConnected"), PATIENCE)
    assert visitor.run("return document.activeElement.className") == "scroll"
