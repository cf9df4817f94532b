"""All that can be done with a mouse can be done with the keys alone."""

from urllib.parse import quote

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.dashboard_user import PATIENCE, DashboardUser
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.ports import LOOPBACK, free_port

NAVIGATION = ["Overview", "Subscribers", "Journal", "Scheduled", "Dead letters", "Send", "Settings"]


@pytest.fixture
def address(caller: Caller) -> str:
    """A subscriber's address."""
    address = f"{LOOPBACK}:{free_port()}"
    caller.register(address, lease=3_600)
    return address


def tabbed(user: DashboardUser, count: int) -> list[str]:
    """What has the focus after each of so many presses of the tab key."""
    found = []
    for _ in range(count):
        user.press(Keys.TAB)
        found.append(user.focused())
    return found


def test_the_tab_key_reaches_the_navigation_in_its_order(user: DashboardUser) -> None:
    """First comes the way past the navigation, then the name, then each page, then what is on the page."""
    user.open("/dashboard/send")
    expected = ["Skip to the content", "eventbus", *NAVIGATION, "topic", "type", "body", "Send", "API"]
    assert tabbed(user, len(expected)) == expected


def test_the_first_link_leads_past_the_navigation(user: DashboardUser) -> None:
    """It shows itself when it has the focus; after it the tab key goes on within the page."""
    user.open("/dashboard/send")
    place = "return document.querySelector('.skip').getBoundingClientRect().left"
    assert user.run(place) < 0
    user.press(Keys.TAB)
    assert user.run(place) >= 0
    user.press(Keys.ENTER)
    eventually(lambda: user.focused() == "main", PATIENCE)
    assert tabbed(user, 1) == ["topic"]


def test_what_has_the_focus_can_be_seen(user: DashboardUser, address: str) -> None:
    """Links, fields and buttons have an outline while the keys are on them."""
    outline = "const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);"
    user.open(f"/dashboard/subscriber?address={quote(address)}")
    for _ in range(len(NAVIGATION) + 5):
        user.press(Keys.TAB)
        assert user.run(outline + "return [outlineStyle, outlineWidth]") == ["solid", "3px"], user.focused()


def test_a_question_keeps_the_focus_and_escape_ends_it(user: DashboardUser, address: str) -> None:
    """A question begins at Cancel, holds the tab key to its buttons, and is ended by Escape, back where it began."""
    user.open(f"/dashboard/subscriber?address={quote(address)}")
    user.run("document.querySelector('[data-act=deregister]').focus()")
    user.press(Keys.ENTER)
    user.see(f"Deregister {address}?", "dialog")
    assert user.focused() == "ask-cancel"
    reached = set(tabbed(user, 8))
    assert {"ask-cancel", "ask-go"} <= reached
    assert not reached & {"Skip to the content", "eventbus", *NAVIGATION, "from"}
    user.press(Keys.ESCAPE)
    eventually(lambda: user.count("dialog[open]") == 0, PATIENCE)
    assert user.focused() == "Deregister"


def test_a_subscriber_is_deregistered_by_keys(user: DashboardUser, caller: Caller, address: str) -> None:
    """The whole way, both questions included, goes by the keys."""
    user.expect(404)
    user.open(f"/dashboard/subscriber?address={quote(address)}")
    user.run("document.querySelector('[data-act=deregister]').focus()")
    user.press(Keys.ENTER)
    user.see(f"Deregister {address}?", "dialog")
    user.press(Keys.TAB, Keys.ENTER)
    user.see("Are you sure?", "dialog")
    assert user.focused() == "ask-cancel"
    eventually(lambda: user.find("#ask-go").is_enabled(), PATIENCE)
    user.press(Keys.TAB, Keys.ENTER)
    user.see("Deregistered.", "dialog")
    assert user.focused() == "ask-cancel"
    assert not caller.listed(address)
    user.press(Keys.ENTER)
    user.see("This page cannot be displayed")


def test_tables_are_moved_by_keys(user: DashboardUser, address: str) -> None:
    """A table that is too wide takes the focus and is moved by the arrows, while it is kept up to date."""
    user.hurry()
    user.phone()
    user.open("/dashboard/subscribers")
    user.run("document.querySelector('.scroll').focus(); window.row = document.querySelector('tbody tr')")
    user.press(Keys.ARROW_RIGHT)
    eventually(lambda: user.run("return document.querySelector('.scroll').scrollLeft > 0"), PATIENCE)
    eventually(lambda: user.run("return !window.row.isConnected"), PATIENCE)
    assert user.run("return document.activeElement.className") == "scroll"
