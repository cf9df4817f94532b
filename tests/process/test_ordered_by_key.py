"""``ordered=key``: events with the same key come one after another and in order, others beside them."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from gevent.event import Event

from tests.support.accounts import account, settled
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.publisher import Publisher
from tests.support.repair import RepairClient
from tests.support.responders import FailsOnce, Gate
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber, Subscribe

#: Seconds that a subscriber takes, so that two requests with one key would overlap.
WORK_SECONDS = 0.005


def key_of(request: Received) -> str:
    """The event's order key."""
    return request.header("Eventbus-Key") or ""


def firsts_by_key(requests: list[Received]) -> dict[str, list[str]]:
    """The ids of each key's events, each where it came first."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for request in requests:
        found[key_of(request)][request.id] = None
    return {key: list(ids) for key, ids in found.items()}


@dataclass(slots=True)
class OneAtATime(FailsOnce):
    """Fails now and then, takes a moment, and notes keys of which two requests were there at once."""

    under_way: set[str] = field(default_factory=set)
    overlapping: list[str] = field(default_factory=list)

    def __call__(self, request: Received) -> Answer:
        """Answer after a moment."""
        key = key_of(request)
        if key and key in self.under_way:
            self.overlapping.append(request.id)
        self.under_way.add(key)
        Event().wait(WORK_SECONDS)
        self.under_way.discard(key)
        return FailsOnce.__call__(self, request)


@dataclass(slots=True)
class FailsKey:
    """Refuses the events of one key with a status, and takes all others."""

    key: str
    status: int = 500

    def __call__(self, request: Received) -> Answer:
        """Answer by the key."""
        return self.status if key_of(request) == self.key else 200, (), b"no"


def publish(caller: Caller, key: str, body: bytes = b"{}") -> str:
    """Publish one event with a key; its id."""
    return caller.call("POST", f"/sendMessage?key={key}", (), body).header("Webhook-Id") or ""


def test_a_failing_event_holds_back_only_its_key(caller: Caller, subscribe: Subscribe) -> None:
    """While one key's event fails, those behind it wait, and all others come; then they follow in order."""
    responder = FailsKey("bad")
    subscriber = subscribe(responder, ordered="key")
    bad = [publish(caller, "bad") for _ in range(20)]
    good = [publish(caller, f"good-{number % 3}") for number in range(60)] + [caller.publish() for _ in range(5)]
    subscriber.wait_for_ids([bad[0], *good])
    assert set(bad[1:]).isdisjoint(subscriber.counts)
    found = caller.subscriber(subscriber.address)
    held = found["oldest_held_key"]
    assert (found["held_keys"], held["key"], held["event"], held["error"]) == (1, "bad", bad[0], "answered 500")
    assert held["attempts"] >= 1
    for page in ("subscriber?address=", "subscribers?q="):
        assert "eld key" in caller.call("GET", f"/dashboard/{page}{subscriber.address}").text
    responder.status = 200
    eventually(settled(caller, subscriber.address, accepted=85, delivered=85), 60)
    assert caller.subscriber(subscriber.address)["oldest_held_key"] is None
    assert firsts_by_key(subscriber.received)["bad"] == bad


def test_a_dead_letter_frees_its_key(caller: Caller, subscribe: Subscribe) -> None:
    """An event that is rejected is a dead letter, and the next one of its key follows."""
    subscriber = subscribe(FailsKey("bad", 422), ordered="key")
    bad = [publish(caller, "bad") for _ in range(10)]
    eventually(settled(caller, subscriber.address, dead=10), 30)
    assert [request.id for request in subscriber.received] == bad


def test_keys_are_delivered_beside_each_other(caller: Caller, subscribe: Subscribe) -> None:
    """Of each key one event is under way, and of events without a key as many as may be."""
    gate = Gate()
    subscriber = subscribe(gate, ordered="key", max_in_flight=4)
    for number in range(12):
        publish(caller, f"k{number % 3}")
    loose = caller.publish()
    subscriber.wait_for(4)
    assert sorted(map(key_of, subscriber.received)) == ["", "k0", "k1", "k2"]
    assert loose in subscriber.counts
    gate.open()
    eventually(settled(caller, subscriber.address, delivered=13), 30)


def test_order_by_key_outlives_kills(tmp_path: Path) -> None:
    """Over kills under load each key's first attempts come in the journal's order, and none overlaps another."""
    responder = OneAtATime()
    with BusServer(tmp_path) as bus, RecordingSubscriber(responder) as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, ordered="key", lease=600)
        targets = ["/sendMessage", *(f"/sendMessage?key=k{number}" for number in range(8))]
        publishers = [
            Publisher(bus.port, (b"%d" % number for number in range(40)), connections=2, target=target).start()
            for target in targets
        ]
        for kill in (1, 2, 3):
            publishers[0].wait_accepted(8 * kill)
            subscriber.wait_for(60 * kill)
            bus.kill()
            bus.start()
        accepted = [event for publisher in publishers for event in publisher.join().accepted]
        subscriber.wait_for_ids(accepted, 120)
        eventually(lambda: account(caller, subscriber.address)["pending"] == 0, 30)
        journal = RepairClient(bus.port).events(limit=1_000)
    assert set(accepted) <= {event["id"] for event in journal}
    for key, ids in firsts_by_key(subscriber.received).items():
        if key:
            assert ids == [event["id"] for event in journal if event["key"] == key]
    assert responder.overlapping == []


def test_a_replay_is_in_order_by_key_and_live_events_wait_for_it(
    caller: Caller, subscribe: Subscribe, bus: BusServer
) -> None:
    """A replay comes in order by key, and behind it what came meanwhile."""
    responder = FailsOnce()
    subscriber = subscribe(responder, ordered="key")
    ids = [publish(caller, f"k{number % 3}") for number in range(30)]
    eventually(settled(caller, subscriber.address, delivered=30), 60)
    subscriber.down()
    assert RepairClient(bus.port).replay(subscriber.address, ids[0]) == 30
    live = [publish(caller, f"k{number % 3}") for number in range(9)]
    for record in (subscriber.received, responder.seen, responder.taken):
        record.clear()
    subscriber.up()
    caller.register(subscriber.address)
    eventually(settled(caller, subscriber.address, accepted=69, delivered=69), 60)
    for number in range(3):
        assert firsts_by_key(subscriber.received)[f"k{number}"] == ids[number::3] + live[number::3]


def test_a_subscriber_may_change_its_order(caller: Caller, subscribe: Subscribe) -> None:
    """What waits when the order changes is neither lost nor repeated, and comes in the new order."""
    responder = FailsKey("bad")
    subscriber = subscribe(responder)
    bad, loose = [publish(caller, "bad") for _ in range(5)], [caller.publish() for _ in range(5)]
    subscriber.wait_for_ids([*bad, *loose])
    for order in ("key", "false", "true", "key"):
        caller.register(subscriber.address, ordered=order)
        bad.append(publish(caller, "bad"))
    assert set(bad[-2:]).isdisjoint(subscriber.counts)
    responder.status = 200
    caller.register(subscriber.address)
    eventually(settled(caller, subscriber.address, accepted=14, delivered=14), 60)
    assert caller.subscriber(subscriber.address)["ordered"] == "key"
