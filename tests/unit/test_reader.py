from collections.abc import Sequence
from typing import Any, cast

import pytest

from eventbus.clock import Clock
from eventbus.delivery.checkpointer import Checkpointer
from eventbus.delivery.deferred import IN_MEMORY, Delivery
from eventbus.delivery.lane import Lane
from eventbus.delivery.reader import Reader
from eventbus.delivery.recent import RecentEvents
from eventbus.errors import JournalUnavailable
from eventbus.model import Deferral
from tests.support.lane_journal import LaneJournal
from tests.support.lanes import EPOCH, lane_with


class CountingJournal(LaneJournal):
    """Counts how often it is read, and cannot be read as long as it fails."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False
        self.reads = 0

    def deferred(self, key: str, *, by_seq: bool, limit: int) -> list[Deferral]:
        """See Journal.deferred."""
        if self.fails:
            raise JournalUnavailable("The journal cannot be read just now.")
        self.reads += 1
        return super().deferred(key, by_seq=by_seq, limit=limit)


def lane_of_many(seqs: Sequence[int], **options: Any) -> tuple[Lane, CountingJournal, Reader]:
    """A lane for which these wait until they are due at zero, more than memory holds."""
    journal, clock = CountingJournal(), Clock(lambda: 0.0, lambda: EPOCH)
    lane = lane_with(**options)
    lane.accepted = len(seqs)
    for seq in seqs:
        lane.deferred.push(Delivery(seq, attempts=1))
    checkpointer = Checkpointer(cast(Any, journal), clock, lambda _: True, lambda: 0)
    lane.changed, lane.dirty = checkpointer.changed, False
    lane.touch()
    checkpointer.save()
    return lane, journal, Reader(cast(Any, journal), RecentEvents(), checkpointer, clock)


@pytest.mark.parametrize("ordered", [True, False])
def test_what_waits_in_the_journal_is_read_back_in_parts(ordered: bool) -> None:
    """More deliveries than memory holds come back part by part, each once, with a read for many of them."""
    everything = list(range(1, 3 * IN_MEMORY))
    lane, journal, reader = lane_of_many(everything, ordered=ordered)
    seen = []
    while lane.backlog and journal.reads < 10:
        if lane.wants_page(0.0):
            reader.read(lane)
        delivery = lane.deferred.pop(0.0)
        assert delivery is not None
        lane.deferred.forget(delivery)
        lane.touch()
        seen.append(delivery.seq)
    assert (len(seen), lane.backlog) == (len(everything), 0)
    assert (seen if ordered else sorted(seen)) == everything


@pytest.mark.parametrize("ordered", [True, False])
def test_a_read_that_failed_is_made_again(ordered: bool) -> None:
    """What waits in the journal only is still wanted after a read of it has failed."""
    lane, journal, reader = lane_of_many(range(1, IN_MEMORY + 2), ordered=ordered)
    for delivery in lane.deferred.take_all():
        lane.deferred.forget(delivery)
    lane.touch()
    assert lane.wants_page(0.0)
    journal.fails = True
    with pytest.raises(JournalUnavailable):
        reader.read(lane)
    assert not lane.reading
    journal.fails = False
    assert lane.wants_page(0.0)
    reader.read(lane)
    assert len(lane.deferred.in_memory()) == 1
