"""Where tokens are set, the dashboard asks for one that may view, keeps it in the tab, and sends it along."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver

from tests.browser.axe import violations
from tests.browser.dashboard_user import PATIENCE, DashboardUser, Tab
from tests.support.caller import JSON, register_target
from tests.support.deadline import eventually
from tests.support.ports import LOOPBACK, free_port
from tests.support.raw_client import RawConnection, Response
from tests.support.server import BusServer

ADMIN, PUBLISHER, VIEWER = "administrator-0123456789", "publisher-0123456789", "viewer-0123456789"
TOKENS = {"EVENTBUS_ADMIN_TOKENS": ADMIN, "EVENTBUS_PUBLISH_TOKENS": PUBLISHER, "EVENTBUS_VIEW_TOKENS": VIEWER}


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus with tokens."""
    with BusServer(tmp_path_factory.mktemp("bus"), TOKENS) as server:
        yield server


def ask(bus: BusServer, method: str, target: str) -> Response:
    """Ask as an administrator."""
    with RawConnection(bus.port) as connection:
        return connection.request(method, target, [JSON, ("Authorization", f"Bearer {ADMIN}")])


@pytest.fixture
def user(user: DashboardUser) -> DashboardUser:
    """Looks at that bus, whose console tells of each page that was asked for without the token."""
    user.expect(401)
    return user


def enter(user: DashboardUser, token: str, path: str = "/") -> None:
    """Open a page, and answer with this token when one is asked for."""
    user.open(path)
    user.see("A token is required")
    user.fill("#token", token)
    user.click("Open")


@pytest.mark.parametrize("path", ["/", "/dashboard/settings", "/dashboard/deadLetters", "/dashboard/event?id=x"])
def test_a_page_asks_for_a_token_and_shows_nothing_before(user: DashboardUser, path: str) -> None:
    """Before a token is given no page shows more than the question for one."""
    user.open(path)
    user.see("A token is required: send Authorization: Bearer TOKEN.")
    assert user.count("main table, main .tile, main canvas, main pre") == 0


def test_a_wrong_token_is_told_of_and_forgotten(user: DashboardUser) -> None:
    """A token that is not known opens nothing, is told of, and is not kept."""
    enter(user, "wrong-0123456789")
    user.see("This token does not grant access to this page.", "#sent")
    assert user.run("return sessionStorage.length") == 0
    assert violations(user) == []
    assert user.count("main .tile") == 0


def test_a_viewer_sees_pages_without_actions(user: DashboardUser, bus: BusServer) -> None:
    """The figures are there, live, and nothing to press but filters; an administrator has buttons on the same page."""
    address = f"{LOOPBACK}:{free_port()}"
    assert ask(bus, "POST", register_target(address)).status == 200
    page = f"/dashboard/subscriber?address={address}"
    for token, acts in ((VIEWER, False), (ADMIN, True)):
        enter(user, token, page)
        user.see("Recent state changes")
        assert (user.count("main [data-act]") > 0) is acts
        assert violations(user) == []
        user.run("sessionStorage.clear()")
    assert ask(bus, "DELETE", f"/deregister?address={address}").status == 200


def test_a_token_for_something_else_opens_nothing(user: DashboardUser) -> None:
    """A publisher's token may not view, and the page says so."""
    user.expect(403)
    enter(user, PUBLISHER)
    user.see("This token may not view.")
    user.see("This token does not grant access to this page.", "#sent")


def test_the_right_token_opens_every_page(user: DashboardUser) -> None:
    """With the token the page opens; it goes along with links, searches and the way back, and is in no address."""
    enter(user, ADMIN)
    user.see("Needs attention")
    user.click("Settings")
    user.see("Secrets are not displayed.")
    assert user.driver.title == "Settings · eventbus"
    assert user.text("nav [aria-current=page]") == "Settings"
    user.click("Subscribers")
    user.see("No subscribers.")
    user.fill("#q", "nobody")
    user.click("Find")
    user.see("No subscriber matches “nobody”.")
    assert user.driver.current_url == f"{user.origin}/dashboard/subscribers?q=nobody&sort=address"
    user.driver.back()
    user.see("No subscribers.")
    user.driver.back()
    user.see("Secrets are not displayed.")
    user.driver.refresh()
    user.see("Secrets are not displayed.")
    assert ADMIN not in user.run("return document.cookie + document.documentElement.outerHTML + location.href")


def test_pages_are_kept_up_to_date_with_the_token(user: DashboardUser, bus: BusServer) -> None:
    """The charts are drawn, and tables follow, with the token as without one."""
    user.hurry()
    enter(user, ADMIN)
    eventually(lambda: user.count("canvas") == 3, PATIENCE)
    user.click("Subscribers")
    user.see("No subscribers.")
    address = f"{LOOPBACK}:{free_port()}"
    assert ask(bus, "POST", register_target(address)).status == 200
    user.see(address)
    assert ask(bus, "DELETE", f"/deregister?address={address}").status == 200


def test_what_is_done_is_done_with_the_token(user: DashboardUser, bus: BusServer) -> None:
    """A test event is sent with the token, and the link to it is followed with it."""
    enter(user, ADMIN, "/dashboard/send")
    user.see("Send a test event")
    user.click("Send")
    user.see("Accepted as ", "#sent")
    event_id = user.text("#sent a")
    user.click(event_id)
    user.see('"order": 42')
    assert ask(bus, "GET", f"/events/{event_id}").status == 200


def test_another_tab_has_to_ask_again(user: DashboardUser, browser: WebDriver) -> None:
    """The token is the tab's: another one does not have it, and a closed one leaves none."""
    enter(user, ADMIN)
    user.see("Needs attention")
    here = browser.current_window_handle
    browser.switch_to.new_window("tab")
    user.open("/")
    user.see("A token is required")
    browser.close()
    browser.switch_to.window(here)


def test_a_token_that_is_taken_back_closes_open_pages(tab: Tab, tmp_path: Path) -> None:
    """A page that is open asks for a token again as soon as the one that it has is known no more."""
    with BusServer(tmp_path, TOKENS) as before:
        user = DashboardUser(tab, before.port)
        user.expect(401)
        tab.expected.append("net::ERR")
        user.hurry()
        enter(user, ADMIN)
        user.see("Needs attention")
    other = {"EVENTBUS_ADMIN_TOKENS": "another-0123456789"}
    with BusServer(tmp_path, other, port=before.port):
        user.see("A token is required")
        user.see("This token does not grant access to this page.", "#sent")
        assert user.count("main .tile") == 0
