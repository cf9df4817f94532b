"""What becomes of pending deliveries: discarded at once, or dead letters part by part. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from eventbus.core.records import Checkpoint, Discard, Span
from eventbus.delivery.lane import interests
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import record_of
from eventbus.delivery.lane.ranges import Range

#: Why a delivery is dead when its subscriber did not renew.
LEASE_ENDED = "lease ended"


def discard_checkpoint(lane: Lane, scanned: int, now: float, wall: float) -> Checkpoint:
    """Return what has to be saved to close a lane and discard all that is pending; change nothing."""
    key = lane.subscriber.key
    record = record_of(lane, scanned, now, wall)
    numbers = {d.seq for d in (*lane.in_flight, *lane.retries.in_memory(), *lane.retries.unsaved_rows.values())}
    numbers |= {seq for seq, _ in record.waiting}
    discards = [*lane.discards, *(Discard(key, seq, seq) for seq in sorted(numbers))]
    discards += [
        Discard(key, part.span().cursor + 1, scanned if part.end is None else part.end)
        for part in lane.ranges()
        if part.left
    ]
    closed = replace(
        record,
        ended_at=wall,
        expired=False,
        spans=(Span(0, scanned, None, 0),),
        in_flight=(),
        waiting=(),
        account=replace(record.account, discarded=record.account.discarded + lane.backlog),
        interests=interests.ended(record.interests, scanned),
    )
    gone = tuple((key, seq, replay_id) for seq, replay_id in lane.retries.removed_rows)
    return Checkpoint(
        at=wall,
        scanned=scanned,
        lanes=(closed,),
        settled_retries=gone,
        filtered_retries=tuple((key, seq, replay_id) for seq, replay_id in lane.filtered_rows),
        cleared=(key,),
        dead=tuple(lane.dead_letters),
        discards=tuple(discards),
    )


def discard_pending(lane: Lane, scanned: int, wall: float) -> None:
    """Count all that is pending in a lane as discarded, once that is saved; the caller closes the lane then."""
    lane.unsubscribe(scanned)
    lane.discarded += lane.backlog
    lane.ended_at = wall
    lane.in_flight.clear()
    lane.retries.clear()
    lane.dead_letters.clear()
    lane.discards.clear()
    lane.filtered_rows.clear()
    lane.replays.clear()
    lane.live.empty()


def dead_letter_memory(lane: Lane, now: float, wall: float) -> None:
    """Dead-letter all that waits in memory, but for what is in flight."""
    for delivery in lane.retries.take_all():
        lane.dead_letter(delivery, LEASE_ENDED, b"", now, wall)
    for part in lane.ranges():
        while part.buffered:
            lane.dead_letter(Delivery(part.buffered.popleft(), part.replay_id), LEASE_ENDED, b"", now, wall)


def dead_letter_page(lane: Lane, part: Range, page: Sequence[tuple[int, str | None]], cursor: int, wall: float) -> None:
    """Dead-letter the matching events of a page that ended at ``cursor``."""
    mine = [seq for seq, topic in page if lane.covers(part, seq, topic)]
    for seq in mine:
        lane.dead_letter(Delivery(seq, part.replay_id), LEASE_ENDED, b"", 0.0, wall)
    part.remaining -= len(mine)
    part.cursor = cursor
    lane.touch()
