"""Retries as rows of the journal, and back. Pure.

Lanes count on the monotonic clock, rows in seconds since 1970; the functions here translate.
"""

from collections.abc import Callable, Iterable, Mapping

from eventbus.core import backoff
from eventbus.core.records import BLOCKED_UNTIL, Retry
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.lane import Lane


def retry_rows_of(lane: Lane, now: float, wall: float) -> tuple[Retry, ...]:
    """Return the rows of the retries that have changed since the last checkpoint."""
    return tuple(
        Retry(
            lane.subscriber.key, d.seq, d.replay_id, d.attempts,
            wall - (now - d.first), min(BLOCKED_UNTIL, wall + (d.due - now)), d.status, d.error, d.past, d.order_key,
        )
        for d in lane.retries.unsaved_rows.values()
    )  # fmt: skip


def merge_unsaved(
    rows: Iterable[Retry], unsaved: Mapping[tuple[int, int], Retry | None], *, by_seq: bool, more: bool
) -> list[Retry]:
    """Return rows as they would be if the unsaved changes were saved; None stands for a row that is removed.

    If there are ``more`` rows than were read, no unsaved one that comes after the last of those is added.
    """
    order: Callable[[Retry], tuple[float, int]] = (
        (lambda row: (row.seq, row.replay_id)) if by_seq else (lambda row: (row.due_at, 0))
    )
    read = list(rows)
    last = max(map(order, read), default=None) if more else None
    found = [row for row in read if (row.seq, row.replay_id) not in unsaved]
    found += [row for row in unsaved.values() if row is not None and (last is None or order(row) <= last)]
    return sorted(found, key=order)


def deliveries_of(
    rows: Iterable[Retry], now: float, wall: float, longest: float = backoff.MAX_DELAY_SECONDS
) -> list[Delivery]:
    """Return the deliveries of rows that were read back; none waits for more than the ``longest`` delay."""
    return [_delivery_of(row, now, wall, longest) for row in rows]


def _delivery_of(row: Retry, now: float, wall: float, longest: float) -> Delivery:
    return Delivery(
        row.seq,
        row.replay_id,
        row.attempts,
        first=now - max(0.0, wall - row.first_at),
        due=now if row.blocked else now + min(longest, row.due_at - wall),
        status=row.status,
        error=row.error,
        kept=True,
        past=row.past,
        order_key=row.order_key,
    )
