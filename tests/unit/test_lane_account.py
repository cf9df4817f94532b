"""Nothing vanishes: whatever happens to a lane, what was accepted is pending, delivered, dead or discarded."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from eventbus.core.clock import Clock
from eventbus.core.errors import TooMany
from eventbus.core.leases import Lease
from eventbus.core.model import Event
from eventbus.core.ordering import BY_KEY
from eventbus.core.topics import matches
from eventbus.delivery.decision import Decision
from eventbus.delivery.dispatcher import Dispatcher
from eventbus.delivery.lane import ranges
from eventbus.delivery.lane.batch import DeliveryBatch, Failure
from eventbus.delivery.lane.closing import discard_checkpoint, discard_pending
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.keyed_range import KeyedRange
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of, new_record
from eventbus.delivery.lane.limits import LaneLimits
from eventbus.delivery.lane.outcome import REJECTED, RETRY, DeliveryResponse
from eventbus.delivery.lane.phase import CloseReason
from eventbus.services.recovery import restore
from eventbus.telemetry.counters import Counters
from tests.support.lane_batches import answer_batch, answer_each, take_batch
from tests.support.lane_journal import LaneJournal, NoListener, NoTransport
from tests.support.lanes import BUSY, ENOUGH, EPOCH, REFUSED, TAKEN, UNWANTED, answer, subscriber_with, wait_please

FAILURES = st.sampled_from([None, None, Failure(RETRY), Failure(REJECTED, b"no")])
ANSWERS = st.sampled_from([TAKEN, TAKEN, TAKEN, BUSY, BUSY, REFUSED, UNWANTED, ENOUGH, wait_please(7)])
TOPICS = st.sampled_from([None, "a", "b"])
CHOICES = st.sampled_from([(), ("a",), ("b",)])
#: Seconds that one delivery is tried: few, so that deliveries die of it.
RETRY_SECONDS = 90

KEYS = st.sampled_from(["", "k", "l", "m", "n"])
#: Memory for a few deliveries, so that a short history already fills it.
LIMITS = LaneLimits(
    buffered_events=6,
    low_water=2,
    retries=3,
    page_events=3,
    retry_rows=12,
    order_keys=3,
    waiting_events=2,
    ready_events=2,
    key_rows=2,
)

#: An event's number and the run it is delivered in.
Ticket = tuple[int, int]


class LaneAccount(RuleBasedStateMachine):
    """One lane through any history, beside a model that knows where each delivery has to be."""

    #: How it is ordered at first.
    ordered: bool | str = False

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.clock = Clock(lambda: self.now, lambda: EPOCH + self.now)
        self.journal = LaneJournal()
        self.forgets = False  # whether events are not in memory any more when a lane asks for them
        self.rules = Rules(RETRY_SECONDS, lambda: 0.5, limits=LIMITS, find=self._find)
        self.dispatcher = self._dispatcher()
        record = new_record(subscriber_with(max_in_flight=3, ordered=self.ordered), EPOCH, 0)
        self.lane: Lane = lane_of(record, self.rules, retries=0, ends=1e9, now=0, wall=EPOCH)
        self.lane.touch()
        self.dispatcher.registry.add(self.lane)
        self.topics: tuple[str, ...] = ()
        self.accepted: set[Ticket] = set()
        self.settled: Counter[Ticket] = Counter()  # how often each was delivered, or became a dead letter
        self.discarded: set[Ticket] = set()
        self.batches: list[DeliveryBatch] = []  # in flight
        self._save()

    def _dispatcher(self) -> Dispatcher:
        return Dispatcher(cast(Any, self.journal), NoTransport(), self.clock, 512, Counters(), NoListener())

    def _find(self, seq: int) -> Event | None:
        return None if self.forgets else self.dispatcher.recent.get(seq)

    def _save(self) -> None:
        self.dispatcher.checkpointer.save()

    # What happens to it

    @precondition(lambda self: not self.lane.closed)
    @rule(count=st.integers(1, 8), topic=TOPICS, key=KEYS)
    def publish(self, count: int, topic: str | None, key: str) -> None:
        for _ in range(count):
            event = self.journal.publish(topic, key)
            self.dispatcher.recent.add([event])
            if matches(self.topics, topic):
                self.accepted.add((event.seq, 0))
                self.lane.offer([event.seq])

    @rule(count=st.integers(1, 3), response=ANSWERS)
    def attempt(self, count: int, response: DeliveryResponse) -> None:
        for _ in range(count):
            self._read()
            if (delivery := self.lane.take(self.now)) is not None:
                self._settle(delivery, response)

    @rule()
    def begin(self) -> None:
        self._read()
        self.lane.take(self.now)

    @rule(most=st.integers(2, 5))
    def begin_batch(self, most: int) -> None:
        self._read()
        if (batch := take_batch(self.lane, self.now, most)) is not None:
            self.batches.append(batch)

    @precondition(lambda self: self.batches)
    @rule(response=ANSWERS, data=st.data())
    def end_batch(self, response: DeliveryResponse, data: st.DataObject) -> None:
        self._settle_batch(self._one_batch(data), lambda batch: answer_batch(batch, response, self.now, self.now))

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), failures=st.lists(FAILURES, min_size=5, max_size=5))
    def fail_some(self, data: st.DataObject, failures: list[Failure | None]) -> None:
        """Some events of a batch fail by themselves; what waits for one that is to be retried fails, too."""
        batch = self._one_batch(data)
        failed = {index: one for index in range(len(batch.deliveries)) if (one := failures[index])}
        for index in range(len(batch.deliveries)):
            if self._is_stopped(batch, index, failed):
                failed[index] = Failure(RETRY)
        self._settle_batch(batch, lambda batch: answer_each(batch, failed, self.now, self.now))

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def release_batch(self, data: st.DataObject) -> None:
        self._settle_batch(self._one_batch(data), lambda batch: batch.release(self.now))

    @precondition(lambda self: self._alone())
    @rule(response=ANSWERS, data=st.data())
    def end(self, response: DeliveryResponse, data: st.DataObject) -> None:
        self._settle(self._one_under_way(data), response)

    @precondition(lambda self: self._alone())
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.lane.release(self._one_under_way(data), self.now)

    @precondition(lambda self: self._alone())
    @rule(data=st.data())
    def drop_missing(self, data: st.DataObject) -> None:
        delivery = self._one_under_way(data)
        self.discarded.add((delivery.seq, delivery.replay_id))
        self.lane.drop_missing(delivery)

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self._alone() and not self.lane.closed)
    @rule(response=ANSWERS, data=st.data())
    def read_while_an_attempt_ends(self, response: DeliveryResponse, data: st.DataObject) -> None:
        delivery = self._one_under_way(data)
        self.journal.before_rows = lambda: delivery in self.lane.in_flight and self._settle(delivery, response)
        self._read()
        self.journal.before_rows = lambda: None

    @precondition(lambda self: self._alone() and not self.lane.closed)
    @rule(response=ANSWERS, data=st.data())
    def save_and_read_while_an_attempt_ends(self, response: DeliveryResponse, data: st.DataObject) -> None:
        delivery = self._one_under_way(data)
        self.journal.before_commit = lambda: delivery in self.lane.in_flight and self._settle(delivery, response)
        self._read()
        self.journal.before_commit = lambda: None

    @rule()
    def save(self) -> None:
        self._save()
        by_key = self.lane.subscriber.options.by_key  # such a lane looks at further events then, which may get rows
        assert by_key or self.lane.unsaved() == 0

    @rule()
    def the_tail_is_forgotten(self) -> None:
        self.dispatcher.recent.start(len(self.journal.events))

    @rule(forgets=st.booleans())
    def forget(self, forgets: bool) -> None:
        self.forgets = forgets

    @precondition(lambda self: not self.lane.closed)
    @rule(topics=CHOICES, ordered=st.sampled_from([False, True, BY_KEY]))
    def renew(self, topics: tuple[str, ...], ordered: bool | str) -> None:
        options = replace(self.lane.subscriber.options, topics=topics, ordered=ordered)
        subscriber = replace(self.lane.subscriber, options=options)
        try:
            self.lane.renew(Lease(subscriber, EPOCH, EPOCH + self.now, 1e9), len(self.journal.events), self.now)
        except TooMany:
            return
        self.topics = topics
        self.dispatcher.registry.index(self.lane)
        self._save()

    @precondition(lambda self: not self.lane.closed and self.journal.events and len(self.lane.replays) < 3)
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        end = data.draw(st.integers(1, len(self.journal.events)))
        after = data.draw(st.integers(0, end - 1))
        mine = [e.seq for e in self.journal.events if after < e.seq <= end and matches(self.topics, e.topic)]
        self.lane.add_replay(after, end, len(mine))
        self.accepted |= {(seq, self.lane.runs) for seq in mine}
        self._save()

    @precondition(lambda self: not self.lane.closed)
    @rule(remaining=st.integers(0, 5))
    def crash(self, remaining: int) -> None:
        """The process ends without a word, and another starts from what was saved.

        A lane's record may be newer than what a checkpoint says was offered to all lanes.
        """
        self.dispatcher, self.batches = self._dispatcher(), []
        recovered = self.journal.recovered()
        recovered = replace(recovered, scanned=max(0, recovered.scanned - remaining))
        (self.lane,) = restore(recovered, cast(Any, self.journal), self.dispatcher, self.rules, self.clock)
        self.lane.lease = replace(self.lane.lease, ends=1e9)
        self.settled = Counter(dict.fromkeys(self._known_settled(), 1))

    @precondition(lambda self: not self.lane.closed and self.lane.accepted > 20)
    @rule()
    def deregister(self) -> None:
        self.discarded |= self._pending()
        count = len(self.journal.events)
        self.dispatcher.checkpointer.decide(
            Decision(
                lambda: discard_checkpoint(self.lane, count, self.now, EPOCH + self.now),
                lambda: [
                    discard_pending(self.lane, count, EPOCH + self.now),
                    self.dispatcher.registry.remove(self.lane, CloseReason.DISCARDED),
                ],
                [self.lane],
            )
        )
        assert not self.journal.waiting

    # What holds after each step

    @invariant()
    def the_account_adds_up(self) -> None:
        """Accepted = pending + delivered + dead + discarded, where pending is counted part by part."""
        lane = self.lane
        assert lane.accepted == lane.backlog + lane.delivered + lane.dead + lane.discarded
        assert lane.accepted == len(self.accepted)

    @invariant()
    def every_delivery_is_somewhere(self) -> None:
        """Each accepted delivery is pending once, or was settled."""
        pending = self._pending()
        assert len(pending) == self.lane.backlog
        assert self.accepted == pending | set(self.settled) | self.discarded
        assert not pending & (set(self.settled) | self.discarded)

    @invariant()
    def nothing_is_settled_twice(self) -> None:
        """Without a crash in between no delivery is made, or given up, twice."""
        assert all(times == 1 for times in self.settled.values())

    @invariant()
    def order_is_kept(self) -> None:
        """Where order counts, one delivery is under way at once, but for those that were before it did."""
        if self.lane.subscriber.options.one_at_a_time and len(self.lane.in_flight) > 1:
            assert not self.lane.sendable(self.now)

    @invariant()
    def memory_is_bounded(self) -> None:
        """Memory holds a window of numbers and a few deferred deliveries, however many wait."""
        assert all(len(ranges.buffered) <= 12 for ranges in self.lane.ranges())
        by_key = self.lane.subscriber.options.by_key
        assert len(self.lane.retries.in_memory()) <= 3 + (len(self.journal.events) if by_key else 0)

    @invariant()
    def what_is_pending_is_attempted_at_a_known_time(self) -> None:
        """A lane with something pending has something to do, or something in flight, or a moment at which to wake."""
        lane, now = self.lane, self.now
        if lane.closed or not lane.backlog or lane.in_flight or lane.sendable(now) or lane.wants_page(now):
            return
        assert lane.retries.count or not lane.works
        assert lane.next_moment() > now

    def teardown(self) -> None:
        """In the end, with a subscriber that takes everything, everything is settled."""
        for batch in list(self.batches):
            self._settle_batch(batch, lambda batch: answer_batch(batch, TAKEN, self.now))
        for _ in range(3 * len(self.accepted) + 10):
            if not self.lane.backlog:
                break
            for delivery in list(self.lane.in_flight):
                self._settle(delivery, TAKEN)
            self._read()
            while (delivery := self.lane.take(self.now)) is not None:
                self._settle(delivery, TAKEN)
            self.now += 60
        assert (self.lane.backlog, self.lane.companions) == (0, 0)
        self.every_delivery_is_somewhere()
        self.nothing_is_settled_twice()

    # Where things are

    def _read(self) -> None:
        if self.lane.wants_page(self.now):
            self.dispatcher.reader.read(self.lane)

    def _settle(self, delivery: Delivery, response: DeliveryResponse) -> None:
        ticket = delivery.seq, delivery.replay_id
        closed, before = self.lane.closed, self.lane.delivered + self.lane.dead
        answer(self.lane, delivery, response, self.now, waited=self.now)
        if not closed and self.lane.delivered + self.lane.dead > before:
            self._count_settled({ticket})

    def _settle_batch(self, batch: DeliveryBatch, settle: Callable[[DeliveryBatch], None]) -> None:
        self.batches.remove(batch)
        closed = self.lane.closed
        settle(batch)
        if not closed:
            self._count_settled({(one.seq, one.replay_id) for one in batch.deliveries} - self._pending())

    def _count_settled(self, tickets: set[Ticket]) -> None:
        self.settled.update(tickets)

    def _is_stopped(self, batch: DeliveryBatch, index: int, failed: dict[int, Failure]) -> bool:
        """Whether an event waits for one before it in the same batch, which is to be retried."""
        earlier = [batch.deliveries[at] for at in range(index) if at in failed and failed[at].result is RETRY]
        options, key = self.lane.subscriber.options, self._key_of(batch.deliveries[index].seq)
        return bool(earlier) and (
            options.one_at_a_time or (options.by_key and key in {self._key_of(one.seq) for one in earlier if key})
        )

    def _key_of(self, seq: int) -> str:
        return self.journal.events[seq - 1].key

    def _one_batch(self, data: st.DataObject) -> DeliveryBatch:
        return data.draw(st.sampled_from(self.batches))

    def _alone(self) -> list[Delivery]:
        """What is in flight, but for batches."""
        in_batches = {delivery for batch in self.batches for delivery in batch.deliveries}
        return sorted(self.lane.in_flight - in_batches, key=lambda delivery: (delivery.seq, delivery.replay_id))

    def _one_under_way(self, data: st.DataObject) -> Delivery:
        return data.draw(st.sampled_from(self._alone()))

    def _pending(self) -> set[Ticket]:
        """All deliveries that are not settled, looked up where each has to be."""
        lane, waits = self.lane, self.lane.retries
        if lane.closed:
            return set()
        found = {(d.seq, d.replay_id) for d in lane.in_flight}
        found |= (set(self.journal.waiting) | set(waits.unsaved_rows)) - waits.removed_rows
        for part in lane.ranges():
            found |= {(seq, part.replay_id) for seq in part.buffered}
            found |= {(seq, part.replay_id) for seq in self._behind(part)}
            if isinstance(part, KeyedRange):
                found |= {(seq, part.replay_id) for seq, _ in part.unsorted}
        return found | set(waits.unattempted())

    def _behind(self, part: ranges.Range) -> list[int]:
        end = len(self.journal.events) if part.end is None else part.end
        span = [event for event in self.journal.events if part.cursor < event.seq <= end]
        return [event.seq for event in span if part.remaining and self.lane.covers(part, event.seq, event.topic)]

    def _known_settled(self) -> set[Ticket]:
        """What was settled as far as the new process knows: all that is neither pending nor discarded."""
        pending = self._pending()
        self.discarded = {ticket for ticket in self.discarded if ticket not in pending}
        known = self.accepted - pending - self.discarded
        assert known <= set(self.settled)
        assert len(known) == self.lane.delivered + self.lane.dead
        return known


def test_nothing_that_was_accepted_vanishes() -> None:
    """Through any history a lane's deliveries add up, and none is lost or, without a crash, made twice."""
    run_state_machine_as_test(LaneAccount, settings=settings(max_examples=150, stateful_step_count=60))
