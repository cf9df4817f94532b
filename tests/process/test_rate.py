"""``rate=N/S``: at most so many deliveries within so many seconds, whatever waits."""

from pathlib import Path

from tests.support.accounts import settled
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber, Subscribe

#: Seconds by which a request may come later than another one, though it began at the same time.
JITTER = 0.1


def refuse_once(seen: set[str]) -> object:
    """Answers the first attempt at each event with 500."""

    def respond(request: Received) -> Answer:
        first = request.id not in seen
        seen.add(request.id)
        return (500 if first else 200), (), b""

    return respond


def has_kept(subscriber: RecordingSubscriber, space: float, per_request: int = 1) -> bool:
    """Return whether as much time has passed for each request as its events take, but for the last one's."""
    times = [request.at for request in subscriber.received]
    return times[-1] - times[0] >= (len(times) - 1) * per_request * space - JITTER


def test_no_more_than_the_rate_arrives(caller: Caller, subscribe: Subscribe) -> None:
    """Evenly spaced, though all of it waits and dozens might be in flight."""
    subscriber = subscribe(rate="20/1")
    for number in range(30):
        caller.publish(b"%d" % number)
    eventually(settled(caller, subscriber.address, delivered=30), 30)
    assert has_kept(subscriber, 0.05)
    shown = caller.subscriber(subscriber.address)
    assert (shown["rate"], shown["state"]) == ("20/1", "ok")


def test_retries_count_for_the_rate(caller: Caller, subscribe: Subscribe) -> None:
    """Each attempt is one of those that it allows."""
    subscriber = subscribe(refuse_once(set()), rate="20/1", backoff="0.1,0.1")  # type: ignore[arg-type]
    for number in range(8):
        caller.publish(b"%d" % number)
    eventually(settled(caller, subscriber.address, delivered=8), 30)
    assert len(subscriber.received) == 16
    assert has_kept(subscriber, 0.05)


def test_a_batch_counts_as_its_events(caller: Caller, subscribe: Subscribe) -> None:
    """It has no more of them than the rate, and the next one waits for as long as they take."""
    subscriber = subscribe(rate="10/0.5", batch=100)
    subscriber.down()
    for number in range(40):
        caller.publish(b"%d" % number)
    subscriber.up()
    caller.register(subscriber.address)
    eventually(settled(caller, subscriber.address, delivered=40), 30)
    assert len(subscriber.received) >= 4
    assert max(request.body.count(b'"specversion"') for request in subscriber.received) <= 10


def test_a_restart_is_no_burst(tmp_path: Path) -> None:
    """After a kill the rate goes on, from the last delivery before it."""
    with BusServer(tmp_path) as bus, RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, rate="10/1", lease=600)
        for number in range(12):
            caller.publish(b"%d" % number)
        subscriber.wait_for(4)
        bus.kill()
        bus.start()
        eventually(settled(caller, subscriber.address, delivered=12), 30)
        assert has_kept(subscriber, 0.1)
