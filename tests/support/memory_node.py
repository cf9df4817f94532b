"""A node for tests of the services' rules: a journal in memory, a clock that the test sets, and no transport."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from eventbus.cluster.base import Cluster
from eventbus.cluster.single_node import SingleNode
from eventbus.core.addresses import parse_address
from eventbus.core.clock import Clock
from eventbus.core.errors import JournalError
from eventbus.core.model import Event, Options, Subscriber
from eventbus.core.records import Checkpoint, FailedDelivery, LaneRecord, Recovered
from eventbus.delivery.dispatcher import Dispatcher
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of, new_record
from eventbus.journal.base import EventName, Page
from eventbus.services.node import Node
from eventbus.services.timing import ServiceTiming
from eventbus.telemetry.counters import Counters
from tests.support.lane_journal import NoListener, NoTransport
from tests.support.lanes import EPOCH

A, B, C = (f"127.0.0.1:{port}" for port in (8001, 8002, 8003))


class MemoryJournal:
    """Events, and the records of lanes as they were saved last; what else a service reads a test sets."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.records: dict[str, LaneRecord] = {}
        self.checkpoints: list[Checkpoint] = []
        self.failures: list[JournalError] = []  #: errors with which the next checkpoints end
        self.failed: dict[int, list[FailedDelivery]] = {}  #: by sequence number: what was not delivered for good

    def publish(self, *topics: str | None, body: bytes = b"") -> list[Event]:
        """Keep events with these topics, accepted a second after each other."""
        first = len(self.events) + 1
        new = [Event(seq, f"id-{seq}", topic, b"", body, EPOCH + seq) for seq, topic in enumerate(topics, first)]
        self.events += new
        return new

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep the records, or fail as the test says."""
        if self.failures:
            raise self.failures.pop(0)
        self.checkpoints.append(checkpoint)
        self.records.update({record.subscriber.key: record for record in checkpoint.lanes})

    def wait_durable(self) -> None:
        """Return at once."""

    def lane(self, key: str) -> LaneRecord | None:
        """Return the record of a lane."""
        return self.records.get(key)

    def closed_lanes(self, before: float, limit: int) -> list[LaneRecord]:
        """Return the records of closed lanes."""
        closed = [record for record in self.records.values() if not record.open]
        return [record for record in closed if record.ended_at is not None and record.ended_at < before][:limit]

    def topics(self, after: int, end: int, limit: int) -> list[tuple[int, str | None, float]]:
        """Return numbers, topics and times of events."""
        return [(one.seq, one.topic, one.accepted_at) for one in self.events if after < one.seq <= end][:limit]

    def page(self, after: int, end: int, limit: int, _max_bytes: int) -> Page:
        """Return events, and where the next page begins."""
        events = [event for event in self.events if after < event.seq <= end][:limit]
        return Page(tuple(events), events[-1].seq if len(events) == limit else end)

    def event(self, event_id: str) -> Event | None:
        """Return an event by its id."""
        return next((event for event in self.events if event.id == event_id), None)

    def names(self, seqs: Sequence[int]) -> dict[int, EventName]:
        """Return ids and order keys of events."""
        return {event.seq: EventName(event.id, event.key) for event in self.events if event.seq in seqs}

    def position_at(self, moment: float) -> int:
        """Return the number after which all events were accepted at a moment or later."""
        return sum(event.accepted_at < moment for event in self.events)

    def retries(self, _key: str, **_: Any) -> list[Any]:
        """Return none: no retry has left the memory."""
        return []

    def retries_of_event(self, _seq: int) -> list[Any]:
        """Return none: no retry has left the memory."""
        return []

    def failed_deliveries(self, seq: int) -> list[FailedDelivery]:
        """Return what the test has set."""
        return self.failed.get(seq, [])


class MemoryNode:
    """A node whose dispatcher has not started: lanes are offered events, and no attempt is made."""

    def __init__(self, cluster: Cluster | None = None) -> None:
        self.now = 0.0
        self.clock = Clock(lambda: self.now, lambda: EPOCH + self.now)
        self.journal = MemoryJournal()
        journal = cast(Any, self.journal)
        self.counters = Counters()
        self.dispatcher = Dispatcher(journal, NoTransport(), self.clock, 16, self.counters, NoListener())
        self.dispatcher.deliver_until(-1.0)  # no attempt starts
        self.rules = Rules(86_400, lambda: 1.0)
        timing = ServiceTiming(retry_delay_seconds=0.01)
        self.node = Node(journal, self.dispatcher, cluster or SingleNode(), self.rules, timing)

    def publish(self, *topics: str | None) -> list[Event]:
        """Keep events, and offer them to the lanes."""
        events = self.journal.publish(*topics)
        self.dispatcher.committed(events)
        return events

    def record(self, address: str, **options: Any) -> LaneRecord:
        """Return a new registration's record, which is not saved."""
        subscriber = Subscriber(parse_address(address), Options(**options))
        return new_record(subscriber, EPOCH + self.now, self.dispatcher.recent.newest)

    def lane(self, address: str, **options: Any) -> Lane:
        """Return a lane that has registered, and is saved."""
        record = self.record(address, **options)
        lane = lane_of(record, self.rules, retries=0, ends=self.now, now=self.now, wall=EPOCH + self.now)
        self.dispatcher.registry.add(lane)
        lease = self.node.leases.renew(lane.subscriber, self.now, EPOCH + self.now)
        lane.renew(lease, self.dispatcher.recent.newest, self.now)
        self.dispatcher.checkpointer.save()
        return lane

    def recovered(self, *records: LaneRecord, scanned: int) -> Recovered:
        """Return what a process finds that starts now, after one that had offered events up to ``scanned``."""
        return Recovered(len(self.journal.events), scanned, records, {})


def ended(record: LaneRecord, at: float) -> LaneRecord:
    """Return the record of a lane whose lease has ended."""
    return replace(record, ended_at=at)


def backlogs(lanes: Sequence[Lane]) -> dict[str, int]:
    """Return how much is pending, by address."""
    return {lane.subscriber.key: lane.backlog for lane in lanes}
