"""Scheduled events, as clients ask for them: a page of them, one of them, and cancelling one."""

from dataclasses import dataclass

from eventbus.core.clock import rfc3339
from eventbus.core.errors import Conflict, NotFound
from eventbus.core.schedule import FIRST_DUE, DuePosition, ScheduledEvent
from eventbus.services.node import Node

#: Characters of an id that an error repeats.
QUOTED_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Cancellation:
    """When an event was cancelled, in seconds since 1970; ``repeated`` where that was before."""

    at: float
    repeated: bool


class Schedule:
    """Reads and changes what is scheduled, on any node."""

    def __init__(self, node: Node) -> None:
        self._journal = node.journal
        self._clock = node.clock

    def page(self, after: str | None, limit: int, max_bytes: int) -> list[ScheduledEvent]:
        """Return up to ``limit`` events after a position, the one that is due first first.

        More than one only while they fit ``max_bytes``. Raises BadRequest and JournalError.
        """
        position = FIRST_DUE if after is None else DuePosition.parse(after)
        return self._journal.scheduled(position, limit, max_bytes)

    def has_more(self, event: ScheduledEvent) -> bool:
        """Return whether a page goes on after an event."""
        return bool(self._journal.scheduled(event.position, 1, 1))

    def find(self, event_id: str) -> ScheduledEvent | None:
        """Return a scheduled event; None where it is not scheduled. Raises NotFound if it was cancelled."""
        found = self._journal.scheduled_event(event_id)
        if found is None and (at := self._journal.cancelled_at(event_id)) is not None:
            raise NotFound(f"Event {event_id[:QUOTED_CHARACTERS]!r} was cancelled at {rfc3339(at)}.")
        return found

    def cancel(self, event_id: str) -> Cancellation:
        """Cancel a scheduled event. Raises Conflict if it is in the journal, NotFound, and JournalError."""
        now = self._clock.wall()
        at = self._journal.cancel(event_id, now)
        if at is None:
            raise self._not_scheduled(event_id)
        self._journal.wait_durable()
        return Cancellation(at, repeated=at != now)

    def _not_scheduled(self, event_id: str) -> Conflict | NotFound:
        name = repr(event_id[:QUOTED_CHARACTERS])
        if self._journal.event(event_id) is None:
            return NotFound(f"Event {name} is not scheduled, and not in the journal.")
        return Conflict(f"Event {name} is in the journal and cannot be cancelled.")
