"""Scheduled events on the dashboard: a list by due time, and cancelling by a dialog, and without scripts by a form."""

from collections.abc import Iterator

import pytest

from eventbus.client import Bus
from eventbus.web.dashboard.cluster_views import PAGE_ROWS
from tests.browser.axe import violations
from tests.browser.dashboard_user import PATIENCE, DashboardUser
from tests.support.deadline import eventually
from tests.support.server import BusServer


@pytest.fixture
def client(bus: BusServer) -> Iterator[Bus]:
    """Publishes for later; nothing of it is left afterwards."""
    with Bus(f"http://127.0.0.1:{bus.port}") as client:
        yield client
        for event in client.scheduled():
            client.cancel(event.id)


def test_scheduled_events_are_listed_by_when_they_are_due(user: DashboardUser, client: Bus) -> None:
    """With how long that is, and the time in UTC; what does not fit the page is on the next one."""
    ids = client.publish_many("late", range(PAGE_ROWS), delay=7_200)
    client.publish("soon", b"12345", delay=900, order_by="k-7")
    user.open("/dashboard/scheduled")
    user.see(f"{PAGE_ROWS + 1} scheduled")
    first = user.text("tbody tr:first-child")
    assert "in 15 min" in first
    assert {"soon", "k-7"} <= set(first.split())
    assert user.count("tbody tr") == PAGE_ROWS
    user.click("Next")
    user.see(ids[-1], "tbody")
    assert user.count("tbody tr") == 1
    user.click("First")
    user.see("soon", "tbody")


def test_an_event_is_cancelled_after_a_question(user: DashboardUser, client: Bus) -> None:
    """Who keeps it loses nothing; the answer is yes, and it is gone from the list."""
    kept, cancelled = [client.publish(topic, delay=3_600).id for topic in ("kept", "cancelled")]
    user.open("/dashboard/scheduled")
    button = f"form[data-act=cancel][data-name='{cancelled}'] button"
    user.find(button).click()
    user.see(f"Cancel {cancelled}?", "dialog")
    assert violations(user) == []
    user.click("Keep it")
    eventually(lambda: user.count("dialog[open]") == 0, PATIENCE)
    assert [event.id for event in client.scheduled()] == [kept, cancelled]
    user.find(button).click()
    user.click("Yes, cancel it")
    user.see("Cancelled.", "dialog")
    user.click("Close")
    user.miss(cancelled, "#scheduled")
    assert [event.id for event in client.scheduled()] == [kept]


def test_what_cannot_be_cancelled_is_told(user: DashboardUser, client: Bus) -> None:
    """The dialog says so in the bus's own words, as of an event that has gone meanwhile."""
    client.publish("late", delay=3_600)
    user.open("/dashboard/scheduled")
    user.expect(404)
    user.run("""const form = document.querySelector("form[data-act=cancel]");
        form.dataset.target = "cancel?id=nothing";
        form.querySelector("button").click();""")
    user.click("Yes, cancel it")
    user.see("Failed: Event 'nothing' is not scheduled", "dialog")
    assert len(list(client.scheduled())) == 1


def test_an_events_page_says_when_it_is_due_and_cancels_it(user: DashboardUser, client: Bus) -> None:
    """In place of its deliveries, which it has once it has entered."""
    event = client.publish("late", delay=3_600).id
    user.open(f"/dashboard/event?id={event}")
    user.see("Scheduled for", "#deliveries")
    user.see("in 60 min", "#deliveries")
    user.expect(404)  # the page asks for it again
    user.find("form[data-act=cancel] button").click()
    user.click("Yes, cancel it")
    user.see("Cancelled.", "dialog")
    user.click("Close")
    user.see("was cancelled at")
    entered = client.publish("soon", delay=0.3).id
    user.open(f"/dashboard/event?id={entered}")
    user.see("No subscriber was registered for this event.", "#deliveries")


def test_cancelling_needs_no_script(user: DashboardUser, client: Bus) -> None:
    """The button is a form, which leads back to the list."""
    event = client.publish("late", delay=3_600).id
    user.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        user.open(f"/dashboard/event?id={event}")
        user.find("form[data-act=cancel] button").click()
        user.see("No scheduled events.")
    finally:
        user.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert list(client.scheduled()) == []
