"""Killed at any moments under load: nothing accepted is missing, and little is repeated."""

import os
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.accounts import settled
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.publisher import Publisher
from tests.support.repair import RepairClient
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber

CONNECTIONS = 8
LEASE = 3_600
#: Deliveries under way at once that each subscriber asks for.
IN_FLIGHT = 16
#: Seconds of deliveries that a kill may repeat: places are saved every 0.1 s, by a commit that may have to wait.
UNSAVED_SECONDS = 1.0


@dataclass(slots=True)
class Taker:
    """Fails a share of all requests, and keeps which events it took how often."""

    rng: random.Random
    share: float = 0.0
    taken: Counter[str] = field(default_factory=Counter)

    def __call__(self, request: Received) -> Answer:
        """Take it, or not."""
        if self.share and self.rng.random() < self.share:
            return 500, (), b"try again"
        self.taken[request.id] += 1
        return 200, (), b""


class Crowd:
    """Five subscribers: three that take everything, one that fails half of its requests, one that is ordered."""

    def __init__(self, stack: ExitStack, rng: random.Random) -> None:
        self.takers = [Taker(rng, share) for share in (0.0, 0.0, 0.0, 0.5, 0.0)]
        self.all = [stack.enter_context(RecordingSubscriber(taker)) for taker in self.takers]
        self.ordered = self.all[-1]

    def register(self, caller: Caller) -> None:
        """Register all of them."""
        for subscriber in self.all:
            ordered = subscriber is self.ordered
            caller.register(subscriber.address, lease=LEASE, max_in_flight=IN_FLIGHT, ordered=ordered)

    def heal(self) -> None:
        """Let all of them take everything from now on."""
        for taker in self.takers:
            taker.share = 0.0


def bodies(count: int, rng: random.Random) -> Iterator[bytes]:
    """Bodies that differ, of 0 to 2 KiB of any bytes after a number."""
    return (b"%d " % number + rng.randbytes(rng.randrange(2_048)) for number in range(count))


def publish_through_kills(bus: BusServer, events: int, kills: int, rng: random.Random) -> list[str]:
    """Publish, and kill and start the bus again at random moments; the ids that were accepted."""
    publisher = Publisher(bus.port, bodies(events, rng), connections=CONNECTIONS, timeout=1_200).start()
    for moment in sorted(rng.sample(range(events // 20, events * 9 // 10), kills)):
        publisher.wait_accepted(moment)
        bus.kill()
        bus.start()
    published = publisher.join()
    assert published.refused == 0
    # Twice: who connects anew may still meet the listener of a bus whose worker is dead already.
    assert published.failed <= 2 * kills * CONNECTIONS
    assert len(published.accepted) + published.failed == events
    return published.accepted


def journal_of(repair: RepairClient) -> list[str]:
    """The ids of all events, in the journal's order."""
    ids: list[str] = []
    while page := repair.events(limit=1_000, **({"after": ids[-1]} if ids else {})):
        ids += [event["id"] for event in page]
    return ids


def assert_same_each_time(crowd: Crowd) -> None:
    """Whoever gets an event, and however often, gets the same bytes under the same id."""
    first: dict[str, bytes] = {}
    for subscriber in crowd.all:
        for request in subscriber.received:
            assert first.setdefault(request.id, request.body) == request.body
    assert len({body.split(b" ")[0] for body in first.values()}) == len(first)


def most_in(seconds: float, times: list[float]) -> int:
    """The most requests that came within so many seconds."""
    return max((place + 1 - bisect_left(times, at - seconds) for place, at in enumerate(times)), default=0)


def assert_little_is_repeated(crowd: Crowd, kills: int) -> None:
    """A kill repeats at most what was under way, and what was delivered since places were last saved."""
    for subscriber, taker in zip(crowd.all, crowd.takers, strict=True):
        repeated = taker.taken.total() - len(taker.taken)
        limit = 1 if subscriber is crowd.ordered else IN_FLIGHT
        unsaved = most_in(UNSAVED_SECONDS, [request.at for request in subscriber.received])
        print(f"{subscriber.address}: {repeated} repeated over {kills} kills, {unsaved} in {UNSAVED_SECONDS:g} s")  # noqa: T201 - figures for whoever reads the run
        assert repeated <= kills * (limit + unsaved)


@pytest.mark.parametrize(("events", "kills"), [(1_500, 3), pytest.param(15_000, 50, marks=pytest.mark.soak)])
def test_kills_at_random_moments_lose_nothing(tmp_path: Path, events: int, kills: int) -> None:
    """However often it is killed, each subscriber gets all that was accepted, in order where that counts."""
    seed = int(os.environ.get("TEST_SEED") or random.randrange(2**32))  # noqa: S311 - chooses moments
    print(f"TEST_SEED={seed}")  # noqa: T201 - so that a failure can be repeated
    rng = random.Random(seed)  # noqa: S311 - chooses moments
    with ExitStack() as stack:
        bus = stack.enter_context(BusServer(tmp_path))
        caller, crowd = Caller(bus.port), Crowd(stack, rng)
        crowd.register(caller)
        accepted = publish_through_kills(bus, events, kills, rng)
        crowd.heal()
        journal = journal_of(RepairClient(bus.port))
        assert set(accepted) <= set(journal)
        assert len(journal) <= events
        for subscriber, taker in zip(crowd.all, crowd.takers, strict=True):
            eventually(settled(caller, subscriber.address, dead=0, discarded=0, delivered=len(journal)), 300)
            assert taker.taken.keys() == set(journal)
        assert list(dict.fromkeys(request.id for request in crowd.ordered.received)) == journal
        assert_same_each_time(crowd)
        assert_little_is_repeated(crowd, kills)
