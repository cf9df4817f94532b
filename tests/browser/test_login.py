"""Where tokens are set, the dashboard asks for an administrator's, keeps it in the tab, and sends it along."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver

from tests.browser.axe import violations
from tests.browser.visitor import PATIENCE, Tab, Visitor
from tests.support.caller import JSON, register_target
from tests.support.deadline import eventually
from tests.support.ports import LOOPBACK, free_port
from tests.support.server import BusServer
from tests.support.wire import Response, Wire

ADMIN, PUBLISHER = "administrator-0123456789", "publisher-0123456789"
TOKENS = {"EVENTBUS_ADMIN_TOKENS": ADMIN, "EVENTBUS_PUBLISH_TOKENS": PUBLISHER}


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus with tokens."""
    with BusServer(tmp_path_factory.mktemp("bus"), TOKENS) as server:
        yield server


def ask(bus: BusServer, method: str, target: str) -> Response:
    """Ask as an administrator."""
    with Wire(bus.port) as wire:
        return wire.request(method, target, [JSON, ("Authorization", f"Bearer {ADMIN}")])


@pytest.fixture
def visitor(visitor: Visitor) -> Visitor:
    """Looks at that bus, whose console tells of each page that was asked for without the token."""
    visitor.expect(401)
    return visitor


def enter(visitor: Visitor, token: str, path: str = "/") -> None:
    """Open a page, and answer with this token when one is asked for."""
    visitor.open(path)
    visitor.see("A token is required")
    visitor.fill("#token", token)
    visitor.click("Open")


@pytest.mark.parametrize("path", ["/", "/dashboard/settings", "/dashboard/deadLetters", "/dashboard/event?id=x"])
def test_a_page_asks_for_a_token_and_shows_nothing_before(visitor: Visitor, path: str) -> None:
    """Before a token is given no page shows more than the question for one."""
    visitor.open(path)
    visitor.see("A token is needed: send Authorization: Bearer and the token.")
    assert visitor.count("main table, main .tile, main canvas, main pre") == 0


def test_a_wrong_token_is_told_of_and_forgotten(visitor: Visitor) -> None:
    """A token that is not known opens nothing, is told of, and is not kept."""
    enter(visitor, "wrong-0123456789")
    visitor.see("This token does not grant access to this page.", "#sent")
    assert visitor.run("return sessionStorage.length") == 0
    assert violations(visitor) == []
    assert visitor.count("main .tile") == 0


def test_a_token_for_something_else_opens_nothing(visitor: Visitor) -> None:
    """A publisher's token is no administrator's, and the page says so."""
    visitor.expect(403)
    enter(visitor, PUBLISHER)
    visitor.see("This token may not administer.")
    visitor.see("This token does not grant access to this page.", "#sent")


def test_the_right_token_opens_every_page(visitor: Visitor) -> None:
    """With the token the page opens; it goes along with links, searches and the way back, and is in no address."""
    enter(visitor, ADMIN)
    visitor.see("Needs attention")
    visitor.click("Settings")
    visitor.see("Secrets are not displayed.")
    assert visitor.driver.title == "Settings · eventbus"
    assert visitor.text("nav [aria-current=page]") == "Settings"
    visitor.click("Subscribers")
    visitor.see("No subscribers.")
    visitor.fill("#q", "nobody")
    visitor.click("Find")
    visitor.see("No subscriber matches “nobody”.")
    assert visitor.driver.current_url == f"{visitor.origin}/dashboard/subscribers?q=nobody&sort=address"
    visitor.driver.back()
    visitor.see("No subscribers.")
    visitor.driver.back()
    visitor.see("Secrets are not displayed.")
    visitor.driver.refresh()
    visitor.see("Secrets are not displayed.")
    assert ADMIN not in visitor.run("return document.cookie + document.documentElement.outerHTML + location.href")


def test_pages_are_kept_up_to_date_with_the_token(visitor: Visitor, bus: BusServer) -> None:
    """The charts are drawn, and tables follow, with the token as without one."""
    visitor.hurry()
    enter(visitor, ADMIN)
    eventually(lambda: visitor.count("canvas") == 3, PATIENCE)
    visitor.click("Subscribers")
    visitor.see("No subscribers.")
    address = f"{LOOPBACK}:{free_port()}"
    assert ask(bus, "POST", register_target(address)).status == 200
    visitor.see(address)
    assert ask(bus, "DELETE", f"/deregister?address={address}").status == 200


def test_what_is_done_is_done_with_the_token(visitor: Visitor, bus: BusServer) -> None:
    """A test event is sent with the token, and the link to it is followed with it."""
    enter(visitor, ADMIN, "/dashboard/send")
    visitor.see("Send a test event")
    visitor.click("Send")
    visitor.see("Accepted as ", "#sent")
    event_id = visitor.text("#sent a")
    visitor.click(event_id)
    visitor.see('"order": 42')
    assert ask(bus, "GET", f"/events/{event_id}").status == 200


def test_another_tab_has_to_ask_again(visitor: Visitor, browser: WebDriver) -> None:
    """The token is the tab's: another one does not have it, and a closed one leaves none."""
    enter(visitor, ADMIN)
    visitor.see("Needs attention")
    here = browser.current_window_handle
    browser.switch_to.new_window("tab")
    visitor.open("/")
    visitor.see("A token is required")
    browser.close()
    browser.switch_to.window(here)


def test_a_token_that_is_taken_back_closes_open_pages(tab: Tab, tmp_path: Path) -> None:
    """A page that is open asks for a token again as soon as the one that it has is known no more."""
    with BusServer(tmp_path, TOKENS) as before:
        visitor = Visitor(tab, before.port)
        visitor.expect(401)
        tab.expected.append("net::ERR")
        visitor.hurry()
        enter(visitor, ADMIN)
        visitor.see("Needs attention")
    other = {"EVENTBUS_ADMIN_TOKENS": "another-0123456789"}
    with BusServer(tmp_path, other, port=before.port):
        visitor.see("A token is required")
        visitor.see("This token does not grant access to this page.", "#sent")
        assert visitor.count("main .tile") == 0
