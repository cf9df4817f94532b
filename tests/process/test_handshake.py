"""A subscriber is asked before its first delivery, and what it allows is obeyed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from eventbus import __version__
from tests.support.accounts import settled
from tests.support.caller import Caller, cleaning_caller
from tests.support.deadline import eventually
from tests.support.repair import RepairClient
from tests.support.server import BusServer, refusal
from tests.support.subscriber import Answer, Received, RecordingSubscriber, Subscribe, accept

ORIGIN = "bus.example.com"
SETTINGS = {"EVENTBUS_VERIFY": "handshake", "EVENTBUS_ORIGIN": ORIGIN}


@dataclass(slots=True)
class Door:
    """Answers when it is asked for its consent as it is set to, and takes every event."""

    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200

    def __call__(self, request: Received) -> Answer:
        """Answer as things are."""
        if request.method == "OPTIONS":
            return self.status, tuple(self.headers.items()), b""
        return accept(request)


def allows(origin: str, **headers: str) -> Door:
    """One that allows this origin."""
    return Door({"WebHook-Allowed-Origin": origin, **{name.replace("_", "-"): v for name, v in headers.items()}})


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus that asks first."""
    with BusServer(tmp_path_factory.mktemp("asking"), SETTINGS) as bus:
        yield bus


@pytest.fixture
def caller(asking: BusServer) -> Iterator[Caller]:
    """Calls that bus, and leaves it without subscribers."""
    with cleaning_caller(asking.port) as found:
        yield found


def of_kind(subscriber: RecordingSubscriber, method: str) -> list[Received]:
    """The requests with this method, in their order."""
    return [request for request in subscriber.received if request.method == method]


def refused(caller: Caller, address: str) -> dict[str, Any]:
    """How a subscriber is doing that was asked and has not consented."""
    return eventually(lambda: standing if (standing := caller.subscriber(address))["last_error"] else None, 30)


def test_a_subscriber_is_asked_before_its_first_delivery(caller: Caller, subscribe: Subscribe) -> None:
    """OPTIONS with the bus's origin comes first, to where the events will go; with consent they follow."""
    subscriber = subscribe(allows(ORIGIN), prefix="/orders")
    ids = [caller.publish(b"%d" % number) for number in range(20)]
    subscriber.wait_for_ids(ids)
    first, *rest = subscriber.received
    assert (first.method, first.path, first.body) == ("OPTIONS", "/orders/event", b"")
    assert first.header("WebHook-Request-Origin") == ORIGIN
    assert first.header("Host") == subscriber.address
    assert first.header("User-Agent") == f"eventbus/{__version__}"
    assert {(request.method, request.header("Eventbus-Attempt")) for request in rest} == {("POST", "1")}
    assert {request.header("WebHook-Request-Origin") for request in rest} == {ORIGIN}
    assert first.header("WebHook-Request-Callback") is None


def test_a_subscriber_is_asked_once(caller: Caller, subscribe: Subscribe) -> None:
    """Who has consented is not asked again, however often it renews and whatever it changes."""
    subscriber = subscribe(allows("*"))
    subscriber.wait_for_ids([caller.publish()])
    caller.register(subscriber.address, timeout=5, max_in_flight=3)
    subscriber.wait_for_ids([caller.publish() for _ in range(10)])
    assert len(of_kind(subscriber, "OPTIONS")) == 1


@pytest.mark.parametrize("status", [200, 202, 204])
@pytest.mark.parametrize("origin", [ORIGIN, ORIGIN.upper(), "*"])
def test_the_origin_or_anybody_is_consent(caller: Caller, subscribe: Subscribe, status: int, origin: str) -> None:
    """A success that allows exactly this origin, or all of them, is consent."""
    door = allows(origin)
    door.status = status
    subscriber = subscribe(door)
    subscriber.wait_for_ids([caller.publish()])


@pytest.mark.parametrize(
    ("door", "why"),
    [
        (accept, f"allows nobody and not the origin {ORIGIN}"),
        (allows(""), "allows nobody"),
        (allows("other.example"), f"allows 'other.example' and not the origin {ORIGIN}"),
        (allows("bus.example"), "allows 'bus.example'"),
        (allows(f"{ORIGIN}.evil.example"), "evil.example'"),
        (allows(f"http://{ORIGIN}"), f"allows 'http://{ORIGIN}'"),
        (allows(f"{ORIGIN}, other.example"), "other.example'"),
        (allows("*.example.com"), "allows '*.example.com'"),
        (Door({"Access-Control-Allow-Origin": "*", "Allow": "POST"}), "allows nobody"),
        (Door({"WebHook-Allowed-Origin": "*"}, 301), "answered 301"),
        (Door({"WebHook-Allowed-Origin": "*"}, 405), "answered 405"),
        (Door({"WebHook-Allowed-Origin": "*"}, 410), "answered 410"),
        (Door({"WebHook-Allowed-Origin": "*"}, 503), "answered 503"),
        (allows("*", WebHook_Allowed_Rate="0"), "allows a rate that is no number: '0'"),
        (allows("*", WebHook_Allowed_Rate="many"), "allows a rate that is no number: 'many'"),
    ],
)
def test_without_consent_nothing_is_posted(caller: Caller, subscribe: Subscribe, door: Any, why: str) -> None:
    """Who does not consent is asked at each keep-alive and gets no POST; its events wait, and its account says why."""
    subscriber = subscribe(door)
    for number in range(5):
        caller.publish(b"%d" % number)
    standing = refused(caller, subscriber.address)
    assert why in standing["last_error"]
    assert (standing["state"], standing["pending"]) == ("down", 5)
    assert (standing["delivered"], standing["dead"], standing["discarded"]) == (0, 0, 0)
    asked = len(of_kind(subscriber, "OPTIONS"))
    caller.register(subscriber.address)
    subscriber.wait_for(lambda seen: len(seen.received) > asked)
    assert of_kind(subscriber, "POST") == []
    assert caller.subscriber(subscriber.address)["pending"] == 5


def test_a_subscriber_that_cannot_be_asked_is_down(caller: Caller, subscribe: Subscribe) -> None:
    """Where nobody listens nobody consents: the events wait, and arrive when somebody does."""
    subscriber = subscribe(allows("*"))
    subscriber.down()
    event = caller.publish()
    assert "could not be asked for its consent" in refused(caller, subscriber.address)["last_error"]
    subscriber.up()
    caller.register(subscriber.address)
    subscriber.wait_for_ids([event])


def test_a_subscriber_that_does_not_answer_has_not_consented(caller: Caller, subscribe: Subscribe) -> None:
    """The question has the subscriber's own timeout, and an answer that comes too late is none."""
    subscriber = subscribe(timeout=0.2)
    gate = [True]

    def respond(request: Received) -> Answer:
        if request.method == "OPTIONS" and gate:
            subscriber.wait_for(lambda _: not gate)
        return allows("*")(request)

    subscriber.respond = respond
    event = caller.publish()
    assert "timed out when it was asked" in refused(caller, subscriber.address)["last_error"]
    assert of_kind(subscriber, "POST") == []
    gate.clear()
    caller.register(subscriber.address)
    subscriber.wait_for_ids([event])


def test_consent_at_the_next_keep_alive_lets_everything_through(caller: Caller, subscribe: Subscribe) -> None:
    """Once a subscriber consents, what has waited arrives when it renews, each event once and as its first attempt."""
    door = Door()
    subscriber = subscribe(door)
    ids = [caller.publish(b"%d" % number) for number in range(30)]
    refused(caller, subscriber.address)
    subscriber.wait_for(lambda seen: len(seen.received) >= 2)
    door.headers = {"WebHook-Allowed-Origin": ORIGIN}
    caller.register(subscriber.address)
    subscriber.wait_for_ids(ids)
    eventually(settled(caller, subscriber.address, delivered=30, dead=0), 30)
    posted = of_kind(subscriber, "POST")
    assert sorted(request.id for request in posted) == sorted(ids)
    assert {request.header("Eventbus-Attempt") for request in posted} == {"1"}
    assert caller.subscriber(subscriber.address)["state"] == "ok"


def test_an_ordered_subscriber_is_asked_too_and_gets_its_order(caller: Caller, subscribe: Subscribe) -> None:
    """After consent an ordered subscriber gets what has waited in its order."""
    door = Door()
    subscriber = subscribe(door, ordered=True)
    ids = [caller.publish(b"%d" % number) for number in range(20)]
    refused(caller, subscriber.address)
    door.headers = {"WebHook-Allowed-Origin": "*"}
    caller.register(subscriber.address)
    subscriber.wait_for_ids(ids)
    assert [request.id for request in of_kind(subscriber, "POST")] == ids


def test_a_rate_is_obeyed(caller: Caller, subscribe: Subscribe) -> None:
    """With 60 deliveries a minute allowed, their starts are a second apart, from the first one on."""
    subscriber = subscribe(allows(ORIGIN, WebHook_Allowed_Rate="60"))
    ids = [caller.publish(b"%d" % number) for number in range(4)]
    subscriber.wait_for_ids(ids)
    starts = [request.at for request in of_kind(subscriber, "POST")]
    assert len(starts) == 4
    assert all(later - earlier >= 0.9 for earlier, later in pairwise(starts))


def test_a_rate_holds_for_replays_as_well(caller: Caller, subscribe: Subscribe) -> None:
    """What is delivered again is counted with what is delivered first."""
    subscriber = subscribe(allows("*", WebHook_Allowed_Rate="240"))
    ids = [caller.publish(b"%d" % number) for number in range(3)]
    subscriber.wait_for_ids(ids)
    RepairClient(caller.port).replay(subscriber.address, ids[0])
    live = caller.publish(b"live")
    subscriber.wait_for(lambda seen: all(seen.counts[event] == 2 for event in ids) and seen.counts[live] == 1)
    starts = [request.at for request in of_kind(subscriber, "POST")]
    assert all(later - earlier >= 0.2 for earlier, later in pairwise(starts))


def test_a_rate_holds_nobody_else_up(caller: Caller, subscribe: Subscribe) -> None:
    """Others get their events while one waits for its next second; what waits is pending and late by choice."""
    slow, fast = subscribe(allows("*", WebHook_Allowed_Rate="1")), subscribe(allows("*"))
    ids = [caller.publish(b"%d" % number) for number in range(50)]
    fast.wait_for_ids(ids)
    slow.wait_for(lambda seen: len(of_kind(seen, "POST")) == 1)
    standing = caller.subscriber(slow.address)
    assert (standing["pending"], standing["state"]) == (49, "ok")


def test_after_a_restart_a_subscriber_is_asked_again(tmp_path: Path) -> None:
    """Consent is not kept: a bus that starts anew asks before it delivers what has waited."""
    door = allows(ORIGIN)
    with BusServer(tmp_path, SETTINGS) as bus, RecordingSubscriber(door) as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, lease=600)
        subscriber.wait_for_ids([caller.publish()])
        bus.terminate()
        door.headers = {}
        bus.start()
        event = caller.publish()
        refused(caller, subscriber.address)
        assert subscriber.counts[event] == 0
        door.headers = {"WebHook-Allowed-Origin": ORIGIN}
        caller.register(subscriber.address)
        subscriber.wait_for_ids([event])


def test_nobody_is_asked_unless_it_is_set(tmp_path: Path) -> None:
    """Without the setting the first request is the first delivery."""
    with BusServer(tmp_path) as bus, RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address)
        subscriber.wait_for_ids([caller.publish()])
        assert [request.method for request in subscriber.received] == ["POST"]


@pytest.mark.parametrize(
    ("name", "value"), [("EVENTBUS_VERIFY", "always"), ("EVENTBUS_ORIGIN", "http://bus"), ("EVENTBUS_ORIGIN", "a b")]
)
def test_a_wrong_setting_stops_the_start(tmp_path: Path, name: str, value: str) -> None:
    """What cannot be is named with its value."""
    assert repr(value) in refusal(BusServer(tmp_path, {name: value}), f"eventbus cannot start: {name} must be")
