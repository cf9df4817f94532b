"""Events whose publishers wait for what becomes of them: which lanes have one pending, and how others settled it.

Only the first delivery of an event to each subscription counts, and no replay. Where nobody waits, a delivery costs no
more than a look at an empty table.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gevent.event import Event as Signal

from eventbus.core.model import Event, Subscription
from eventbus.core.records import LaneRecord
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.lane import Lane


class DeliveryState(NamedTuple):
    """What became of a delivery so far: its state, its attempts and the last one's status, None where not known."""

    state: str  # pending, delivered, filtered, dead or discarded
    attempts: int | None = None
    status: int | None = None


class _Pending(NamedTuple):
    lane: Lane
    lost: int  # deliveries of the lane that were dead or discarded when this one was known to be pending


class AwaitedEvent:
    """One event that somebody waits for, by its id: nothing is known of it until it is offered to the lanes."""

    def __init__(self, event_id: str) -> None:
        self.id = event_id
        self.event: Event | None = None  #: once it is in the journal
        self.settled: dict[str, DeliveryState] = {}  #: by key
        self.subscriptions: dict[str, Subscription] = {}  #: whose delivery it is, by key
        self.absent = False  #: whether it is neither in the journal nor scheduled: cancelled, or removed since
        self.uncertain = False  #: whether the journal has to be asked about some that are pending
        self.changed = Signal()  #: set when nothing is pending any more, or the journal has to be asked
        self._pending: dict[str, _Pending] = {}
        self._attempted: dict[str, DeliveryState] = {}  # the last attempt at those that are pending
        self.known = False  #: whether it is known who gets it
        self._from_start = False  # whether each attempt has been noted

    @property
    def is_settled(self) -> bool:
        """Whether it is known that nothing is pending."""
        return self.known and not self._pending

    def outcomes(self) -> dict[str, DeliveryState]:
        """Return what is known of each delivery, by key."""
        return {key: self._last(key) for key in self._pending} | self.settled

    def lanes(self) -> list[Lane]:
        """Return the lanes in which it is not known to be settled."""
        return [each.lane for each in self._pending.values()]

    def _last(self, key: str) -> DeliveryState:
        return self._attempted.get(key) or DeliveryState("pending", 0 if self._from_start else None)

    # What happens to it

    def offered(self, event: Event, lanes: Iterable[Lane]) -> None:
        """Note who gets it."""
        self.event, self.known, self._from_start = event, True, True
        for lane in lanes:
            self.expect(lane)
        if not self._pending:
            self.changed.set()

    def expect(self, lane: Lane, attempt: DeliveryState | None = None) -> bool:
        """Note that it is pending in a lane, and the last attempt, if there was one; return whether that was known."""
        key = lane.subscriber.key
        if attempt is not None:
            self._attempted[key] = attempt
        if key in self._pending:
            return True
        self.subscriptions[key] = lane.subscriber
        self._pending[key] = _Pending(lane, lane.dead + lane.discarded)
        return False

    def settle(self, subscription: Subscription, outcome: DeliveryState) -> None:
        """Note how a delivery ended; attempts that are not known are those that were noted before."""
        key = subscription.key
        self.subscriptions[key] = subscription
        if key in self._pending and outcome.attempts is None:
            outcome = self._last(key)._replace(state=outcome.state)
        self._pending.pop(key, None)
        self._attempted.pop(key, None)
        self.settled.setdefault(key, outcome)
        if not self._pending:
            self.changed.set()

    def attempt(self, lane: Lane, outcome: DeliveryState) -> None:
        """Note an attempt that failed, after which the delivery is a dead letter unless it is pending."""
        key = lane.subscriber.key
        if key in self._pending:
            self._attempted[key] = outcome._replace(state="pending")
            if outcome.state == "dead":  # it counts once it is saved
                self._doubt_lane(lane)

    def drop(self, key: str) -> None:
        """Forget a delivery that another node makes."""
        for table in (self._pending, self._attempted, self.subscriptions):
            table.pop(key, None)

    def doubt(self) -> None:
        """Have the journal asked."""
        self.uncertain = True
        self.changed.set()

    def doubt_closed(self) -> None:
        """Have the journal asked where lanes are closed in which it was pending."""
        if any(each.lane.closed for each in self._pending.values()):
            self.doubt()

    def saved(self, keys: Iterable[str]) -> None:
        """Have the journal asked where these lanes have lost deliveries: they are dead or discarded."""
        for key in self._pending.keys() & keys:
            lane, lost = self._pending[key]
            if lane.dead + lane.discarded != lost:
                self._doubt_lane(lane)

    def _doubt_lane(self, lane: Lane) -> None:
        self._pending[lane.subscriber.key] = _Pending(lane, lane.dead + lane.discarded)
        self.doubt()


class AwaitedEvents:
    """The events that somebody waits for on this node."""

    def __init__(self) -> None:
        self.by_seq: dict[int, list[AwaitedEvent]] = {}  #: those that were offered to the lanes
        self.expected: dict[str, list[AwaitedEvent]] = {}  #: those that were not yet, by id
        self._all: dict[AwaitedEvent, None] = {}

    # Who waits

    def add(self, awaited: AwaitedEvent) -> None:
        """Note what becomes of an event from now on; it may be about to be published."""
        self._all[awaited] = None
        self.expected.setdefault(awaited.id, []).append(awaited)

    def follow(self, awaited: AwaitedEvent, event: Event) -> None:
        """Note what becomes of an event that was published before."""
        self._forget(awaited)
        awaited.event = event
        self._all[awaited] = None
        self.by_seq.setdefault(event.seq, []).append(awaited)

    def remove(self, awaited: AwaitedEvent) -> None:
        """Note nothing more of an event."""
        self._all.pop(awaited, None)
        self._forget(awaited)

    def _forget(self, awaited: AwaitedEvent) -> None:
        _take(self.expected, awaited.id, awaited)
        if awaited.event is not None:
            _take(self.by_seq, awaited.event.seq, awaited)

    def wake(self) -> None:
        """Let everybody who waits look again: the bus stops."""
        for awaited in self._all:
            awaited.changed.set()

    def reset(self) -> None:
        """Forget what sequence numbers stand for: the journal is another one. Who waits asks by id."""
        self.by_seq.clear()
        for awaited in self._all:
            awaited.event = None
            awaited.doubt()

    # What happens

    def offered(self, event: Event, lanes: Sequence[Lane]) -> None:
        """Note which lanes get an event, if somebody waits for it."""
        for awaited in self.expected.pop(event.id, ()):
            self.by_seq.setdefault(event.seq, []).append(awaited)
            awaited.offered(event, lanes)

    def delivered(self, lane: Lane, delivery: Delivery, status: int | None) -> None:
        """Note a delivery that the subscriber has accepted."""
        if delivery.replay_id == 0 and not lane.closed:
            for awaited in self.by_seq.get(delivery.seq, ()):
                awaited.settle(lane.subscriber, DeliveryState("delivered", delivery.attempts, status))

    def failed(self, lane: Lane, delivery: Delivery, status: int | None) -> None:
        """Note a delivery whose attempt failed; it waits for a retry, or is a dead letter that is not saved yet."""
        if delivery.replay_id or delivery.seq not in self.by_seq:
            return
        dead = any(letter.seq == delivery.seq and letter.replay_id == 0 for letter in lane.dead_letters)
        for awaited in self.by_seq[delivery.seq]:
            awaited.attempt(lane, DeliveryState("dead" if dead else "pending", delivery.attempts, status))

    def filtered(self, lane: Lane, seq: int) -> None:
        """Note an event that the filter of a lane did not match."""
        for awaited in self.by_seq.get(seq, ()):
            if lane.replays:
                awaited.doubt()  # it may have been the replay's
            else:
                awaited.settle(lane.subscriber, DeliveryState("filtered", 0))

    def saved(self, records: Iterable[LaneRecord]) -> None:
        """Note which lanes have just been saved."""
        if self._all:
            keys = {record.subscriber.key for record in records}
            for awaited in self._all:
                awaited.saved(keys)


def _take(table: dict[int, list[AwaitedEvent]] | dict[str, list[AwaitedEvent]], key: object, one: AwaitedEvent) -> None:
    """Remove one of those that a table has for a key."""
    found = table.get(key)  # type: ignore[call-overload] # of the table's own kind
    if found is not None and one in found:
        found.remove(one)
        if not found:
            del table[key]  # type: ignore[arg-type]
