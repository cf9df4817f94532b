"""As much of a journal as one lane needs, in memory: events, rows that wait, dead letters, and the lane's record."""

from collections.abc import Callable, Sequence

from eventbus.core.addresses import Address
from eventbus.core.credentials import NO_CREDENTIALS, Credentials
from eventbus.core.model import Event, Subscriber
from eventbus.core.override import override
from eventbus.core.records import Checkpoint, DeadLetter, Recovered, Retry
from eventbus.delivery.attempts import SubscriberListener
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.outcome import Consent, DeliveryResponse
from eventbus.delivery.transport.base import AddressCheck, Elements, Route, Transport
from eventbus.journal import lane_json
from eventbus.journal.base import FIRST_ROW, EventName, Page, Row


class LaneJournal:
    """Keeps what is checkpointed as text, as a real one does, so that only what is written survives."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.waiting: dict[tuple[int, int], Retry] = {}
        self.dead: list[DeadLetter] = []
        self.record = ""
        self.scanned = 0
        self.before_rows: Callable[[], object] = lambda: None  #: what happens elsewhere while rows are being read
        self.before_commit: Callable[[], object] = lambda: None  #: what happens elsewhere while a checkpoint is saved

    def publish(self, topic: str | None, key: str = "") -> Event:
        """Keep one more event."""
        seq = len(self.events) + 1
        self.events.append(Event(seq, f"id-{seq}", topic, b"", b"", 0.0, key))
        return self.events[-1]

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """See Journal.checkpoint."""
        self.before_commit()
        for record in checkpoint.lanes:
            self.record = lane_json.to_json(record)
        for _, seq, replay_id in checkpoint.settled_retries:
            self.waiting.pop((seq, replay_id), None)
        for row in checkpoint.retries:
            self.waiting[row.seq, row.replay_id] = row
        self.dead += checkpoint.dead
        if checkpoint.cleared:
            self.waiting.clear()
        self.scanned = max(self.scanned, checkpoint.scanned)

    def page(self, after: int, end: int, limit: int, max_bytes: int) -> Page:
        """See Journal.page."""
        events = [event for event in self.events if after < event.seq <= end][:limit]
        return Page(tuple(events), events[-1].seq if len(events) == limit else end)

    def topics(self, after: int, end: int, limit: int) -> list[tuple[int, str | None, float]]:
        """See Journal.topics."""
        return [(e.seq, e.topic, e.accepted_at) for e in self.events if after < e.seq <= end][:limit]

    def names(self, seqs: Sequence[int]) -> dict[int, EventName]:
        """See Journal.names."""
        return {event.seq: EventName(event.id, event.key) for event in self.events if event.seq in seqs}

    def retries(self, key: str, *, by_seq: bool, limit: int, after: Row = FIRST_ROW) -> list[Retry]:
        """See Journal.retries."""
        rows = sorted(self.waiting.values(), key=lambda row: (row.seq, row.replay_id) if by_seq else (row.due_at, 0))
        self.before_rows()
        return [row for row in rows if not by_seq or (row.seq, row.replay_id) > after][:limit]

    def retries_of_key(self, key: str, order_key: str, limit: int) -> list[Retry]:
        """See Journal.retries_of_key."""
        rows = sorted(self.waiting.values(), key=lambda row: (row.seq, row.replay_id))
        self.before_rows()
        return [row for row in rows if row.order_key == order_key][:limit]

    def recovered(self) -> Recovered:
        """What a process that starts now finds."""
        record = lane_json.from_json(self.record)
        waiting = {record.subscriber.key: len(self.waiting)} if self.waiting else {}
        return Recovered(len(self.events), self.scanned, (record,) if record.open else (), waiting)


class NoTransport(Transport, Route):
    """For dispatchers that deliver nothing: leads nowhere."""

    @override
    def route(self, subscriber: Subscriber, credentials: Credentials = NO_CREDENTIALS) -> "NoTransport":
        return self

    @override
    def post(self, event: Event, attempt: int, now: float, wall: float) -> DeliveryResponse:
        raise AssertionError(f"Attempt {attempt} of event {event.seq} was made at {now:g}, {wall:g}")

    @override
    def post_batch(self, batch: Elements, attempt: int, now: float, wall: float) -> DeliveryResponse:
        raise AssertionError(f"Attempt {attempt} of {len(batch)} events was made at {now:g}, {wall:g}")

    @override
    def ask_consent(self) -> Consent:
        raise AssertionError("Consent was asked for.")

    @override
    def check_address(self, address: Address) -> AddressCheck:
        return AddressCheck()

    @override
    def close(self) -> None:
        """Do nothing."""


class NoListener(SubscriberListener):
    """Hears nothing: no subscriber is told to be gone."""

    @override
    def gone(self, lane: Lane) -> None:
        raise AssertionError(lane)
