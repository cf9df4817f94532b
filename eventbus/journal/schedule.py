"""The contract of a journal's schedule: messages that wait apart until they are due, and are events from then on."""

from dataclasses import dataclass
from typing import Protocol

from eventbus.core.errors import JournalError
from eventbus.core.schedule import DuePosition, ScheduledEvent, ScheduleState

#: Cancelled events that are remembered, at most, and for how many seconds.
MAX_CANCELLED, CANCELLED_SECONDS = 100_000, 86_400


class ScheduleQueries(Protocol):
    """What can be read from a schedule. All methods raise JournalUnavailable."""

    def scheduled(self, after: DuePosition, limit: int, max_bytes: int) -> list[ScheduledEvent]:
        """Return up to ``limit`` scheduled events after a position; more than one only while they fit ``max_bytes``."""

    def scheduled_event(self, event_id: str) -> ScheduledEvent | None:
        """Return a scheduled event by its id; None if it is not scheduled, or not any more."""

    def cancelled_at(self, event_id: str) -> float | None:
        """Return when a scheduled event was cancelled (seconds since 1970); None if it is not one of the last."""


class JournalSchedule(Protocol):
    """What changes a schedule, beside publishes with a due time. All methods raise JournalError.

    Each may be repeated where it raised: what has become an event, or was cancelled, is not in the schedule any more.
    """

    def schedule_state(self) -> ScheduleState:
        """Return how many events are scheduled, and when the next one is due."""

    def move_due(self, now: float, limit: int, max_bytes: int) -> ScheduleState:
        """Append scheduled messages that are due at ``now``, the earliest first, and return what is scheduled then.

        They are events from then on, accepted at ``now``: up to ``limit`` of them, and more than one only while they
        fit ``max_bytes``. Each is appended and leaves the schedule in one commit.
        """

    def cancel(self, event_id: str, at: float) -> float | None:
        """Remove a scheduled event, and return when it was cancelled: ``at``, or earlier by somebody else.

        Return None if it is not scheduled, since it is an event by now, or was never there.
        """


@dataclass(frozen=True, slots=True)
class Move:
    """Make events of what is due at ``now``: up to ``limit``, and ``max_bytes`` of heads and bodies, or one."""

    now: float
    limit: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Remove a scheduled event; ``at`` is when, in seconds since 1970."""

    event_id: str
    at: float


#: What a commit changes in the schedule, beside the messages that it adds.
ScheduleChange = Move | Cancel
#: What is scheduled after a move; when an event was cancelled, or None; or why the change was not made.
ChangeResult = ScheduleState | float | None | JournalError
