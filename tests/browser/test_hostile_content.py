"""Whatever publishers, subscribers and links write into a page is text in it: nothing of it is run or laid out."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.browser.dashboard_user import DashboardUser
from tests.support.accounts import holds
from tests.support.caller import JSON, Caller
from tests.support.deadline import eventually
from tests.support.raw_server import Peer, RawServer, always
from tests.support.server import BusServer

#: Ends an attribute, a text and an element, and runs itself in three ways; without spaces, as a topic has to be.
PAYLOAD = """'"></title></textarea><svg/onload=alert(1)><img/src=x/onerror=alert(2)><script>alert(3)</script>"""
#: The characters of it that a path may have, and as escapes the others.
PATH = "/'&lt;b&gt;" + quote(PAYLOAD, safe="'")
#: Elements that no page has: all scripts come from files, and there are no pictures but icons.
_INJECTED = "main svg, img, iframe, script:not([src*='dashboard/static/']), [onload], [onerror], main b:not(.tile b)"
EVENT = {"specversion": "1.0", "id": PAYLOAD, "source": "/shop", "type": PAYLOAD, "data": {PAYLOAD: [PAYLOAD]}}


def assert_is_text(user: DashboardUser, *texts: str) -> None:
    """These can be read on the page, as they are; nothing was injected, and the console has nothing to say."""
    for text in texts:
        user.see(text, "body")
    assert user.count(_INJECTED) == 0
    assert user.tab.complaints() == []


def said(status: str, allowed: str) -> bytes:
    """An answer with this status, that allows this origin to send events."""
    return f"HTTP/1.1 {status}\r\nWebHook-Allowed-Origin: {allowed}\r\nContent-Length: 0\r\n\r\n".encode()


def reject(peer: Peer) -> None:
    """Consent to events, and reject each, for a reason that is HTML."""
    while (request := peer.request()) is not None:
        peer.send(said("200 OK", "*") if request.method == "OPTIONS" else said(f"422 {PAYLOAD}", "*"))


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus that asks subscribers for their consent, and tells what they said."""
    with BusServer(tmp_path_factory.mktemp("bus"), {"EVENTBUS_VERIFY": "handshake"}) as server:
        yield server


@pytest.fixture(scope="module")
def hostile(bus: BusServer) -> Iterator[str]:
    """The address of a subscriber that writes HTML where it can, as does who publishes to it."""
    caller = Caller(bus.port)
    with RawServer(always(said("200 OK", PAYLOAD))) as server:
        address = f"{server.address}{PATH}"
        caller.register(address, topic=[PAYLOAD, "x"], lease=3_600)
        body = json.dumps(EVENT).encode()
        caller.publish(body, ("Content-Type", "application/cloudevents+json"))
        eventually(lambda: caller.subscriber(address)["last_error"], 30)
        yield address


@pytest.mark.parametrize("path", ["/", "/dashboard/subscribers?sort=last_error"])
def test_a_subscribers_words_are_text(user: DashboardUser, caller: Caller, hostile: str, path: str) -> None:
    """Its address, its topics and its errors are shown as they are in tables, and when those are renewed."""
    user.hurry()
    user.open(path)
    error = caller.subscriber(hostile)["last_error"]
    assert "<svg" in error
    assert_is_text(user, hostile, error)
    user.run("window.row = document.querySelector('[data-live] tbody tr')")
    caller.publish(topic="x")
    eventually(lambda: user.run("return !window.row.isConnected"), 15)
    assert_is_text(user, hostile, caller.subscriber(hostile)["last_error"])


def test_a_subscribers_page_shows_text(user: DashboardUser, caller: Caller, hostile: str) -> None:
    """Its address is the page's heading, and part of a question; its errors are notes."""
    user.open(f"/dashboard/subscriber?address={quote(hostile)}")
    assert_is_text(user, hostile, PAYLOAD, caller.subscriber(hostile)["last_error"])
    user.click("Deregister")
    user.see("Deregister ", "dialog")
    assert_is_text(user)


def test_an_event_is_text(user: DashboardUser, caller: Caller, hostile: str) -> None:
    """An event's topic, headers and body are text in the journal and on its own page, as its bytes are."""
    found = caller.call("GET", "/events", [JSON]).json()["events"]
    [event_id] = [event["id"] for event in found if event["topic"] == PAYLOAD]
    user.open("/dashboard/journal")
    assert_is_text(user, PAYLOAD)
    user.open(f"/dashboard/event?id={event_id}")
    assert_is_text(user, PAYLOAD, json.dumps(PAYLOAD)[1:-1])
    user.run("document.querySelector('details').open = true")
    assert_is_text(user, "<svg/o")


@pytest.mark.parametrize("kind", ["text/html", PAYLOAD])
def test_a_body_of_html_is_text(user: DashboardUser, caller: Caller, kind: str) -> None:
    """A body is text whatever its publisher calls it, and so are its headers."""
    headers = (("Content-Type", kind), ("ce-subject", PAYLOAD), ("traceparent", PAYLOAD))
    event_id = caller.publish(f"<h1>{PAYLOAD}</h1>".encode(), *headers, topic=quote(PAYLOAD))
    user.open(f"/dashboard/event?id={event_id}")
    assert_is_text(user, f"<h1>{PAYLOAD}</h1>", kind)


def test_a_dead_letter_is_text(user: DashboardUser, caller: Caller, hostile: str) -> None:
    """The list of dead letters shows the event, the subscriber and what it said as text."""
    with RawServer(reject) as server:
        address = f"{server.address}{PATH}"
        caller.register(address, topic="dead.*")
        caller.publish(f"<h1>{PAYLOAD}</h1>".encode(), topic="dead." + quote(PAYLOAD.replace(".", "")))
        eventually(holds(caller, address, dead=1), 30)
        user.open("/dashboard/deadLetters")
        assert_is_text(user, address, PAYLOAD)
        user.click("Discard selected")
        caller.deregister(address)


@pytest.mark.parametrize(
    "path",
    [
        "/?since={}",
        "/dashboard/subscribers?q={}&sort={}",
        "/dashboard/subscriber?address={}",
        "/dashboard/journal?upto={}",
        "/dashboard/event?id={}",
        "/dashboard/deadLetters?address={}&after={}",
        "/dashboard/deadLetters?address=127.0.0.1:1/{}",
        "/{}",
    ],
)
def test_a_link_writes_nothing_into_a_page(user: DashboardUser, hostile: str, path: str) -> None:
    """What a link asks for that cannot be is told of, or searched for, as text."""
    user.expect(400, 404)
    user.open(path.format(quote(PAYLOAD), quote(PAYLOAD)))
    assert user.text("body")
    assert user.count(_INJECTED) == 0
