"""One browser for all of these tests, a tab for each test, and a bus for each module."""

from collections.abc import Iterator

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver

from tests.browser.chromium import PLAIN_HOST, chromium, why_not
from tests.browser.dashboard_user import DashboardUser, Tab
from tests.support.caller import Caller
from tests.support.server import BusServer


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """The browser; where there is none the tests skip."""
    missing = why_not()
    if missing is not None:
        pytest.skip(missing)
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def tab(browser: WebDriver) -> Iterator[Tab]:
    """A new tab, with nothing stored, in whose console nothing is complained of but what a test has expected."""
    before = browser.current_window_handle
    browser.switch_to.new_window("tab")
    tab = Tab(browser)
    yield tab
    DashboardUser(tab, 0).usual()
    complaints = tab.complaints()
    browser.close()
    browser.switch_to.window(before)
    assert complaints == []


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus for the tests of one module, which browsers know by a name of its own, too."""
    with BusServer(tmp_path_factory.mktemp("bus"), {"EVENTBUS_HOSTS": PLAIN_HOST}) as server:
        yield server


@pytest.fixture
def caller(bus: BusServer) -> Caller:
    """Calls that bus."""
    return Caller(bus.port)


@pytest.fixture
def user(tab: Tab, bus: BusServer) -> DashboardUser:
    """Looks at that bus."""
    return DashboardUser(tab, bus.port)
