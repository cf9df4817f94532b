"""Every page can be used by everybody, as far as axe-core can tell: it finds nothing wrong."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from eventbus.client import Bus
from tests.browser.axe import violations
from tests.browser.dashboard_user import DashboardUser
from tests.browser.shop import shop
from tests.support.caller import Caller
from tests.support.server import BusServer

PAGES = {
    "overview": "/",
    "subscribers": "/dashboard/subscribers",
    "no subscribers": "/dashboard/subscribers?q=nobody",
    "subscriber": "/dashboard/subscriber?address={billing}",
    "subscriber that is down": "/dashboard/subscriber?address={warehouse}",
    "journal": "/dashboard/journal",
    "event": "/dashboard/event?id={event}",
    "scheduled": "/dashboard/scheduled",
    "scheduled event": "/dashboard/event?id={scheduled}",
    "dead letters": "/dashboard/deadLetters?address={billing}",
    "no dead letters": "/dashboard/deadLetters?address={audit}",
    "send": "/dashboard/send",
    "settings": "/dashboard/settings",
    "not there": "/dashboard/event?id=nothing",
}


@pytest.fixture(scope="module")
def places(bus: BusServer) -> Iterator[dict[str, str]]:
    """Addresses by their services' names, and an event's id, as they stand in links."""
    with shop(Caller(bus.port)) as found:
        later = Bus(f"http://127.0.0.1:{bus.port}").publish("later", b"1", delay=3_600).id
        yield {"event": found.publish(3), "scheduled": later} | {
            name: quote(address) for name, address in found.addresses.items()
        }


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_fault_light_or_dark(user: DashboardUser, places: dict[str, str], page: str) -> None:
    """Names, roles, order and contrast are as they should be, in both colour schemes."""
    user.expect(*[404] * (page == "not there"))
    user.open(PAGES[page].format(**places))
    assert violations(user) == []
    user.dark()
    assert violations(user, "color-contrast") == []


@pytest.mark.parametrize("name", ["Discard selected", "Redeliver selected"])
def test_a_question_has_no_fault_light_or_dark(user: DashboardUser, places: dict[str, str], name: str) -> None:
    """A question is as accessible as the pages are, before it is answered and after it."""
    user.open(PAGES["dead letters"].format(**places))
    user.find("tbody input").click()
    user.click(name)
    assert violations(user) == []
    user.dark()
    assert violations(user, "color-contrast") == []
    if name == "Redeliver selected":
        user.click("Redeliver")
        user.see("redelivered", "dialog")
        assert violations(user) == []


def test_a_telephone_has_no_fault(user: DashboardUser, places: dict[str, str]) -> None:
    """On a telephone, where tables move in themselves, there is none either."""
    user.phone()
    user.open(PAGES["dead letters"].format(**places))
    assert violations(user) == []


def test_a_fault_would_be_found(user: DashboardUser, bus: BusServer) -> None:
    """A field without a label, and a text that can hardly be read, are found."""
    user.open("/dashboard/send")
    user.run("document.querySelector('[for=body]').remove(); document.querySelector('h1').style.color = '#ccc'")
    assert {found.partition(":")[0] for found in violations(user)} == {"color-contrast", "label"}
