"""One event that fails, in whatever way, holds back only itself."""

from collections.abc import Callable
from itertools import count

import pytest

from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.raw_server import Peer, RawServer, Talk

TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"


def hang(peer: Peer) -> None:
    """Say nothing until the bus gives up."""
    peer.hang()


def says(answer: bytes) -> Callable[[Peer], None]:
    """Answer with these bytes."""
    return lambda peer: peer.send(answer)


#: What a subscriber does when it is sent the event that fails; then its connection ends.
FAILURES: dict[str, Callable[[Peer], None]] = {
    "no answer": hang,
    "a reset": lambda peer: peer.reset(),
    "an end without an answer": lambda peer: None,
    "no HTTP": says(b"SMTP ready\r\n"),
    "half a head": says(b"HTTP/1.1 200 OK\r\nContent-"),
    "a head that no parser takes": says(b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n"),
    "a pause each time": says(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"),
    "a late 500": lambda peer: (peer.drip(b"HTTP", 0.1), peer.send(b"/1.1 500 No\r\nContent-Length: 0\r\n\r\n")),
}


def fails_for(bad: bytes, failure: Callable[[Peer], None]) -> Talk:
    """Take every event but those with this body."""

    def talk(peer: Peer) -> None:
        while (request := peer.request()) is not None:
            if request.body == bad:
                failure(peer)
                return
            peer.send(TAKEN)

    return talk


@pytest.mark.parametrize("failure", FAILURES)
def test_an_event_that_fails_holds_no_other_up(caller: Caller, failure: str) -> None:
    """While three events fail again and again, each other one is delivered, once, and the subscriber is not down."""
    with RawServer(fails_for(b"bad", FAILURES[failure])) as subscriber:
        caller.register(subscriber.address, timeout=0.5)
        numbers = count()

        def tried(times: int) -> bool:
            caller.publish(b"good %d" % next(numbers))  # as other events do, beside the bad ones
            return sum(request.body == b"bad" for request in subscriber.received) >= times

        for _ in range(3):
            caller.publish(b"bad")
        eventually(lambda: tried(7), 30)
        published = next(numbers)
        eventually(lambda: caller.subscriber(subscriber.address)["delivered"] == published, 30)
        taken = [request.body for request in subscriber.received if request.body != b"bad"]
        assert sorted(taken) == sorted(b"good %d" % number for number in range(published))
        standing = caller.subscriber(subscriber.address)
        assert (standing["pending"], standing["dead"]) == (3, 0)
        assert standing["state"] in ("ok", "failing", "paused")


def test_events_behind_those_that_fail_are_reached(caller: Caller) -> None:
    """Twenty events behind five that get no answer are delivered, while the five are tried on."""
    with RawServer(fails_for(b"bad", FAILURES["a reset"])) as subscriber:
        caller.register(subscriber.address)
        for _ in range(5):
            caller.publish(b"bad")
        eventually(lambda: caller.subscriber(subscriber.address)["state"] == "down", 30)
        for number in range(20):
            caller.publish(b"good %d" % number)
        eventually(lambda: caller.subscriber(subscriber.address)["delivered"] == 20, 60)
        assert caller.subscriber(subscriber.address)["pending"] == 5
