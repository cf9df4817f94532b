"""A bus with nothing in it shows how to begin; an event can be sent by hand."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.browser.dashboard_user import DashboardUser
from tests.support.caller import Caller
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber


@pytest.fixture
def service(caller: Caller) -> Iterator[RecordingSubscriber]:
    """A service that nobody has registered; it is gone afterwards."""
    with RecordingSubscriber() as subscriber:
        yield subscriber
        caller.deregister(subscriber.address)


def test_who_comes_first_is_shown_how_to_begin(user: DashboardUser, service: RecordingSubscriber) -> None:
    """The calls that an empty bus shows work as they stand; once they are made they are shown no more."""
    user.hurry()
    user.open("/")
    user.see("No subscriber: every one accepts its deliveries.")
    calls = user.text("#first-steps pre").replace("localhost:8001", service.address)
    said = subprocess.run(["sh", "-ec", calls.replace("curl", "curl -sS")], capture_output=True, check=True, text=True)
    assert said.stdout.startswith(f"successsuccess{service.address}  :  ")
    service.wait_for(1)
    assert service.received[0].body == b'{"order": 42}'
    user.miss("Getting started")
    user.see("1\nSubscribers", "#tiles")


def test_a_test_event_is_sent(user: DashboardUser, caller: Caller, service: RecordingSubscriber) -> None:
    """The form publishes what was typed, tells the event's id and for how many it is, and leads to it."""
    caller.register(service.address, topic="greetings.*")
    user.open("/dashboard/send")
    user.fill("#topic", "greetings.morning")
    user.fill("#type", "text/plain; charset=utf-8")
    user.fill("#body", "Grüße 東京 <b>&amp;</b>")
    user.click("Send")
    user.see("for 1 subscriber.", "#sent")
    service.wait_for(1)
    (event,) = service.received
    assert event.body.decode() == "Grüße 東京 <b>&amp;</b>"
    assert (event.header("Eventbus-Topic"), event.header("Content-Type")) == (
        "greetings.morning", "text/plain; charset=utf-8",
    )  # fmt: skip
    user.click(event.id)
    user.see("Grüße 東京 <b>&amp;</b>", "pre")
    user.see(f"delivered {service.address}", "#deliveries")


def test_what_cannot_be_sent_is_told(user: DashboardUser) -> None:
    """A topic that cannot be is told of in the bus's own words, and what was typed stays."""
    user.expect(400)
    user.open("/dashboard/send")
    user.fill("#topic", "a..b")
    user.click("Send")
    user.see("Failed: A topic must be words separated by dots, none of them empty: 'a..b'", "#sent")
    assert user.run("return document.querySelector('#topic').value") == "a..b"


def test_an_empty_bus_says_so_on_every_page(user: DashboardUser, bus: BusServer) -> None:
    """Where there is nothing to list, a page says what would be there, and how it comes there."""
    for path, text in {
        "/dashboard/subscribers?q=nobody": "No subscriber matches “nobody”.",
        "/dashboard/subscribers": "POST /registerAndKeepAlive?address=host:port",
        "/dashboard/deadLetters": "No dead letters. A delivery that a subscriber rejects",
    }.items():
        user.open(path)
        user.see(text)
