"""The events of one subscription that have failed and wait for a retry, as table rows."""

from contextlib import suppress
from typing import Any

from eventbus.core.clock import rfc3339
from eventbus.core.errors import JournalError
from eventbus.delivery.lane.lane import Lane
from eventbus.services.bus import Bus

#: Rows on the page of a subscriber: the oldest events.
MAX_ROWS = 10


def waiting_rows(bus: Bus, lane: Lane) -> list[dict[str, Any]]:
    """Return a row for each of the oldest events that have failed, as far as memory knows, in flight or not."""
    failed = [one for one in (*lane.in_flight, *lane.retries.in_memory()) if one.error]
    oldest = sorted(failed, key=lambda one: (one.seq, one.replay_id))[:MAX_ROWS]
    ids: dict[int, str] = {}
    with suppress(JournalError):
        ids = {seq: name.id for seq, name in bus.journal.names([one.seq for one in oldest]).items()}
    now, wall = bus.clock.monotonic(), bus.clock.wall()
    return [
        {
            "event": ids[one.seq],
            "attempts": one.attempts,
            "in_flight": one in lane.in_flight,
            "due": rfc3339(wall + max(0.0, one.due - now)),
            "error": one.error,
        }
        for one in oldest
        if one.seq in ids
    ]
