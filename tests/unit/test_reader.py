from collections.abc import Sequence
from typing import Any, cast

import pytest

from eventbus.core.clock import Clock
from eventbus.core.errors import JournalUnavailable
from eventbus.core.records import Checkpoint, Retry
from eventbus.delivery.checkpointer import Checkpointer
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.limits import DEFAULT_LIMITS, LaneLimits
from eventbus.delivery.reader import LaneReader
from eventbus.delivery.recent_events import RecentEvents
from eventbus.journal.base import FIRST_ROW, Row
from tests.support.lane_journal import LaneJournal
from tests.support.lanes import EPOCH, lane_with

IN_MEMORY = DEFAULT_LIMITS.retries


class CountingJournal(LaneJournal):
    """Counts how often it is read, and cannot be read as long as it fails."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False
        self.full = False  # nothing can be saved
        self.reads = 0

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """See Journal.checkpoint."""
        if self.full:
            raise JournalUnavailable("The journal cannot be written just now.")
        super().checkpoint(checkpoint)

    def retries(self, key: str, *, by_seq: bool, limit: int, after: Row = FIRST_ROW) -> list[Retry]:
        """See Journal.retries."""
        if self.fails:
            raise JournalUnavailable("The journal cannot be read just now.")
        self.reads += 1
        return super().retries(key, by_seq=by_seq, limit=limit, after=after)


def lane_of_many(
    seqs: Sequence[int], limits: LaneLimits = DEFAULT_LIMITS, **options: Any
) -> tuple[Lane, CountingJournal, LaneReader]:
    """A lane for which these wait until they are due at zero, more than memory holds."""
    journal, clock = CountingJournal(), Clock(lambda: 0.0, lambda: EPOCH)
    lane = lane_with(limits=limits, **options)
    lane.accepted = len(seqs)
    for seq in seqs:
        lane.retries.push(Delivery(seq, attempts=1))
    checkpointer = Checkpointer(cast(Any, journal), clock, lambda: 0)
    checkpointer.watch(lane)
    checkpointer.save()
    return lane, journal, LaneReader(cast(Any, journal), RecentEvents(), checkpointer, clock)


def deliver_next(lane: Lane, reader: LaneReader, now: float = 0.0) -> Delivery:
    """Read on where the lane wants that, and deliver what is due first."""
    if lane.wants_page(now):
        reader.read(lane)
    delivery = lane.retries.pop(now)
    assert delivery is not None
    lane.retries.forget(delivery)
    lane.touch()
    return delivery


def test_an_event_that_was_read_for_one_delivery_is_there_for_others() -> None:
    """Two reads of an event at once give the same one, which memory has from then on."""
    lane, journal, reader = lane_of_many([1, 2])
    event = journal.publish(None)
    journal.find = lambda seqs: [event._replace() for seq in seqs]  # type: ignore[attr-defined] # a copy each time
    found = [reader.fetch(lane, Delivery(1, attempts=1)) for _ in range(2)]
    assert found[0] is found[1]
    assert reader.recent.get(1) is found[0]


def test_what_has_left_memory_is_read_as_a_page() -> None:
    """Of events that have left memory one is read by itself, and all that follow it together; none is lost."""
    lane, journal, reader = lane_of_many([])
    events = [journal.publish(None) for _ in range(300)]
    reader.recent.start(300)
    journal.find = lambda seqs: [events[seq - 1] for seq in seqs]  # type: ignore[attr-defined]
    lane.offer([event.seq for event in events])
    delivered, found_singly = [], 0
    while (delivery := lane.take(1.0)) is not None:
        if (event := reader.recent.get(delivery.seq)) is None:
            found_singly += 1
            event = reader.fetch(lane, delivery)
        assert event is events[delivery.seq - 1]
        delivered.append(delivery.seq)
        lane.deliver(delivery, 1.0)
        if lane.wants_page(1.0):
            reader.read(lane)
    assert delivered == [event.seq for event in events]
    assert found_singly == 2


@pytest.mark.parametrize("ordered", [True, False])
def test_what_waits_in_the_journal_is_read_back_in_parts(ordered: bool) -> None:
    """More deliveries than memory holds come back part by part, each once, with a read for many of them."""
    everything = list(range(1, 3 * IN_MEMORY))
    lane, journal, reader = lane_of_many(everything, ordered=ordered)
    seen = []
    while lane.backlog and journal.reads < 10:
        seen.append(deliver_next(lane, reader).seq)
    assert (len(seen), lane.backlog) == (len(everything), 0)
    assert (seen if ordered else sorted(seen)) == everything


@pytest.mark.parametrize("ordered", [True, False])
def test_a_read_that_failed_is_made_again(ordered: bool) -> None:
    """What waits in the journal only is still wanted after a read of it has failed."""
    lane, journal, reader = lane_of_many(range(1, IN_MEMORY + 2), ordered=ordered)
    for delivery in lane.retries.take_all():
        lane.retries.forget(delivery)
    lane.touch()
    assert lane.wants_page(0.0)
    journal.fails = True
    with pytest.raises(JournalUnavailable):
        reader.read(lane)
    assert not reader.is_reading(lane)
    journal.fails = False
    assert lane.wants_page(0.0)
    reader.read(lane)
    assert len(lane.retries.in_memory()) == 1


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("saved", [0, 100])
def test_what_waits_is_read_though_nothing_can_be_saved(ordered: bool, saved: int) -> None:
    """While the journal cannot be written all that waits is taken once, and gone from it when it can be written."""
    everything = list(range(1, 5 * IN_MEMORY))
    lane, journal, reader = lane_of_many(everything, ordered=ordered)
    checkpointer = reader._checkpointer  # noqa: SLF001
    journal.full = True
    seen: list[int] = []
    while lane.backlog:
        seen.append(deliver_next(lane, reader).seq)
        if len(seen) == saved:
            with pytest.raises(JournalUnavailable):
                checkpointer.save()  # which takes what has changed out of the lane
    assert (seen if ordered else sorted(seen)) == everything
    journal.full = False
    checkpointer.save()
    assert journal.waiting == {}


def test_what_was_tried_again_meanwhile_is_read_as_it_is_now() -> None:
    """A retry that could not be saved is read back with its attempts and when it is due, not as it was before."""
    everything = list(range(1, 3 * IN_MEMORY))
    lane, journal, reader = lane_of_many(everything)
    journal.full = True
    first = lane.retries.pop(0.0)
    assert first is not None
    first.attempts, first.due = 7, 5.0
    lane.retries.push(first)
    seen: dict[int, int] = {}
    while lane.backlog:
        delivery = deliver_next(lane, reader, 9.0)
        assert delivery.seq not in seen
        seen[delivery.seq] = delivery.attempts
    assert seen == {seq: 7 if seq == first.seq else 1 for seq in everything}


def test_no_more_is_read_when_too_much_is_unsaved() -> None:
    """What is remembered of rows that could not be saved has a bound, past which deliveries wait."""
    lane, journal, reader = lane_of_many(range(1, 4 * IN_MEMORY), LaneLimits(unsaved_rows=IN_MEMORY))
    journal.full = True
    with pytest.raises(JournalUnavailable):
        for _ in range(3 * IN_MEMORY):
            deliver_next(lane, reader)
