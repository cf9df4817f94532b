"""Several buses that share a Redis server, their load, and what has to hold when all is over."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.caller import JSON, Caller
from tests.support.deadline import eventually
from tests.support.publisher import Publisher
from tests.support.redis_server import RedisServer
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

BODY = b"x" * 512
SUBSCRIBERS = 10
#: Those of the subscribers that want the journal's order.
ORDERED = range(3)
#: Seconds that a lease lasts: longer than any of these tests.
LEASE = 3_600
#: Duplicates that a subscriber may see for each fault.
REPEATED = 1_000


@dataclass(slots=True)
class Cluster:
    """Buses that share a Redis server."""

    redis: RedisServer
    nodes: list[BusServer]

    def callers(self) -> list[Caller]:
        """One for each node."""
        return [Caller(node.port) for node in self.nodes]

    def status(self, address: str) -> dict[str, object] | None:
        """How a subscriber is doing, by the node that has it; None while none tells."""
        for caller in self.callers():
            try:
                return caller.subscriber(address)
            except (OSError, EOFError, KeyError):
                continue
        return None

    def is_at_rest(self, address: str) -> bool:
        """Whether a subscriber has nothing pending, and its account adds up."""
        found = self.status(address)
        if found is None or found["pending"] != 0:
            return False
        settled = [found[name] for name in ("delivered", "dead", "discarded")]
        assert found["accepted"] == sum(settled), found  # type: ignore[arg-type]
        return True

    def load(self, events: int) -> list[Publisher]:
        """Publishers at every node."""
        each = events // len(self.nodes)
        return [
            Publisher(node.port, (BODY for _ in range(each)), connections=4, timeout=240).start() for node in self.nodes
        ]

    def journal_order(self) -> list[str]:
        """The ids of all events, in the journal's order."""
        caller, ids = self.callers()[0], list[str]()
        while True:
            after = f"&after={ids[-1]}" if ids else ""
            page = eventually(lambda after=after: self._page(caller, after), 30)  # a node may have lost Redis just now
            if not page["events"]:
                return ids
            ids += [event["id"] for event in page["events"]]

    @staticmethod
    def _page(caller: Caller, after: str) -> dict[str, Any] | None:
        """A page of the journal; None while it cannot be read."""
        answer = caller.call("GET", f"/events?limit=1000{after}", [JSON])
        return answer.json() if answer.status == 200 else None

    def assert_all_well(
        self, subscribers: Sequence[RecordingSubscriber], publishers: Sequence[Publisher], faults: int
    ) -> None:
        """All that was accepted has arrived, in order where that was asked for; the account holds; all is at rest.

        What was refused, or of which nobody knows whether it is kept, may have arrived, and not be in the journal.
        """
        accepted = [event_id for publisher in publishers for event_id in publisher.join().accepted]
        assert accepted
        for subscriber in subscribers:
            subscriber.wait_for_ids(accepted, 60)
        for subscriber in subscribers:
            eventually(lambda address=subscriber.address: self.is_at_rest(address), 30)
            assert subscriber.counts.total() - len(subscriber.counts) <= faults * REPEATED
        order = {event_id: index for index, event_id in enumerate(self.journal_order())}
        for number in ORDERED:
            first = list(dict.fromkeys(request.id for request in subscribers[number].received))
            indexes = [order[event_id] for event_id in first if event_id in order]
            assert indexes == sorted(indexes)


@contextmanager
def cluster_on(
    folder: Path, redis: RedisServer, urls: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """Buses that find the Redis server at these URLs, one each; ``environment`` is what else they are told."""
    with ExitStack() as stack:
        nodes = []
        for number, url in enumerate(urls):
            own = folder / str(number)
            own.mkdir()
            nodes.append(stack.enter_context(BusServer(own, {"EVENTBUS_JOURNAL": url, **(environment or {})})))
        yield Cluster(redis, nodes)


@contextmanager
def registered(cluster: Cluster) -> Iterator[list[RecordingSubscriber]]:
    """Ten subscribers, registered at one node or another."""
    with ExitStack() as stack:
        found = [stack.enter_context(RecordingSubscriber()) for _ in range(SUBSCRIBERS)]
        callers = cluster.callers()
        for number, subscriber in enumerate(found):
            ordered = {"ordered": True} if number in ORDERED else {}
            callers[number % len(callers)].register(subscriber.address, lease=LEASE, **ordered)
        yield found
