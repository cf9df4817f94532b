"""What an operator does on a subscriber's page: by a dialog, and without scripts by the page's own forms."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.browser.axe import violations
from tests.browser.dashboard_user import PATIENCE, DashboardUser
from tests.support.accounts import settled
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber


@pytest.fixture
def subscriber(bus: BusServer) -> Iterator[RecordingSubscriber]:
    """One that takes its events in order, and cannot take one of them."""
    with RecordingSubscriber(lambda request: (500 if request.body == b"poison" else 200, (), b"")) as found:
        caller = Caller(bus.port)
        caller.register(found.address, ordered=True, lease=600)
        yield found
        caller.deregister(found.address)


def test_a_poison_event_is_skipped(user: DashboardUser, bus: BusServer, subscriber: RecordingSubscriber) -> None:
    """It is listed with why it fails; once it is skipped those behind it come."""
    caller = Caller(bus.port)
    poison, _ = [caller.publish(body) for body in (b"poison", b"1")]
    subscriber.wait_for(lambda found: found.counts[poison] >= 1)
    eventually(lambda: caller.subscriber(subscriber.address)["failed_attempts"], PATIENCE)
    user.open(f"/dashboard/subscriber?address={quote(subscriber.address)}")
    user.see("answered 500", "#retries")
    assert violations(user) == []
    user.find("#retries form[data-act=skip] button").click()
    user.see(f"Skip {poison}?", "dialog")
    user.click("Skip")
    eventually(settled(caller, subscriber.address, delivered=1, dead=1), PATIENCE)
    user.click("Close")
    user.see("skipped", "#letters")


def test_a_pause_is_begun_and_ended(user: DashboardUser, subscriber: RecordingSubscriber) -> None:
    """The page says who has paused it, and what to do about it."""
    user.open(f"/dashboard/subscriber?address={quote(subscriber.address)}")
    user.find("#state form[data-act=pause] button").click()
    user.see(f"Pause {subscriber.address}?", "dialog")
    user.find("#ask-go").click()
    user.see("Paused.", "dialog")
    user.click("Close")
    user.see("Paused by an operator", "#pause")
    assert violations(user) == []
    user.find("#state form[data-act=resume] button").click()
    user.find("#ask-go").click()
    user.see("Resumed.", "dialog")


def test_a_pause_needs_no_script(user: DashboardUser, subscriber: RecordingSubscriber) -> None:
    """Each button is a form, which leads back to the page."""
    user.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        user.open(f"/dashboard/subscriber?address={quote(subscriber.address)}")
        user.find("#state form[data-act=pause] button").click()
        user.see("Paused by an operator", "#pause")
        user.find("#state form[data-act=resume] button").click()
        eventually(lambda: user.count("#pause") == 0, PATIENCE)
    finally:
        user.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
