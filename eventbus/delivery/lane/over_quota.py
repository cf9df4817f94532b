"""What a lane over its quota of the journal gives up: its oldest deliveries, but for those in flight. Pure.

They become dead letters as long as there is room for these, and are discarded beyond that.
"""

from collections.abc import Iterable, Sequence

from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.ranges import Range

#: Why a delivery is dead whose event the journal had no room for any longer.
JOURNAL_QUOTA = "journal quota"


class LetterRoom:
    """How many more dead letters there may be: ``left``, below zero where there are too many."""

    def __init__(self, left: int) -> None:
        self.left = left

    @property
    def lacking(self) -> int:
        """How many dead letters there are too many."""
        return max(0, -self.left)

    def take(self, count: int) -> bool:
        """Take room for so many dead letters, and return true; take none and return false where there is less."""
        if count > self.left:
            return False
        self.left -= count
        return True


def give_up_buffered(lane: Lane, end: int, room: LetterRoom, wall: float) -> None:
    """Give up what waits in memory for its first attempt, up to a sequence number."""
    for part in lane.ranges():
        first, seqs = part.span().cursor + 1, list[int]()
        while part.buffered and part.buffered[0] <= end:
            seqs.append(part.buffered.popleft())
        if seqs and room.take(len(seqs)):
            _dead_letter(lane, part, seqs, wall)
        elif seqs:
            lane.discard(first, seqs[-1], len(seqs))


def give_up_page(lane: Lane, part: Range, seqs: Sequence[int], cursor: int, room: LetterRoom, wall: float) -> None:
    """Give up the matching events of a page of the journal that ended at ``cursor``."""
    first = part.cursor + 1
    part.remaining -= len(seqs)
    part.cursor = cursor
    lane.touch()
    if seqs and room.take(len(seqs)):
        _dead_letter(lane, part, seqs, wall)
    elif seqs:
        lane.discard(first, cursor, len(seqs))


def give_up_retries(lane: Lane, retries: Iterable[Delivery], room: LetterRoom, now: float, wall: float) -> None:
    """Give up deliveries that were attempted before, and that the lane's retries do not have any more."""
    for delivery in retries:
        if room.take(1):
            lane.dead_letter(delivery, JOURNAL_QUOTA, b"", now, wall)
        else:
            lane.retries.forget(delivery)
            lane.discard(delivery.seq, delivery.seq, 1)


def unread_part(lane: Lane, end: int) -> Range | None:
    """Return a range with deliveries up to a sequence number that are only in the journal."""
    return next((part for part in lane.ranges() if part.remaining and not part.buffered and part.cursor < end), None)


def _dead_letter(lane: Lane, part: Range, seqs: Sequence[int], wall: float) -> None:
    for seq in seqs:
        lane.dead_letter(Delivery(seq, part.replay_id), JOURNAL_QUOTA, b"", 0.0, wall)
