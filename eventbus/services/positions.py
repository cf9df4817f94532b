"""Positions in the journal as people name them: ``earliest``, ``now``, an event's id, or a time."""

import re
from dataclasses import dataclass

from eventbus.core.clock import seconds_of
from eventbus.core.errors import NotFound
from eventbus.core.event_ids import unix_ms_of
from eventbus.core.model import Event
from eventbus.core.moments import moment_of
from eventbus.delivery.recent_events import RecentEvents
from eventbus.journal.base import Journal

#: Between an event's id and its number, and that number.
_NUMBERED, _NUMBER = "@", re.compile(r"[0-9]{1,18}\Z")


def name_of(event: Event) -> str:
    """Return the position after an event as a name: its id, with its sequence number where ids may repeat.

    The ids that the bus gives are an event's own. A journal of before may have two events with one CloudEvents id.
    """
    return event.id if unix_ms_of(event.id) is not None else f"{event.id}{_NUMBERED}{event.seq}"


@dataclass(frozen=True, slots=True)
class Resumed:
    """The sequence number to continue after; ``instead`` says what was used where the named event is not there."""

    cursor: int
    instead: str | None = None  # "time" or "earliest"


class Positions:
    """Turns names of positions into sequence numbers."""

    def __init__(self, journal: Journal, recent: RecentEvents) -> None:
        self._journal = journal
        self._recent = recent

    def before(self, name: str) -> int:
        """Return the number to start after, so that what is named comes first. Raises NotFound and BadRequest."""
        if name == "earliest":
            return 0
        if name == "now":
            return self._recent.newest
        if (moment := moment_of(name)) is not None:
            return self._journal.position_at(moment)
        return self._of_event(name) - 1

    def after(self, name: str) -> int:
        """Return the number of the last event up to what is named, that included. Raises NotFound and BadRequest."""
        if name == "now":
            return self._recent.newest
        if (moment := moment_of(name)) is not None:
            return self._journal.position_at(moment)
        return self._of_event(name)

    def resume(self, name: str) -> Resumed:
        """Return where a reader continues after what it saw last. No name is refused: a reader cannot correct it.

        An id that is not in the journal counts by the time in it, and one that holds no time as ``earliest``.
        """
        if name in ("earliest", "now"):
            return Resumed(0 if name == "earliest" else self._recent.newest)
        event = self._numbered(name) or self._journal.event(name)
        if event is not None:
            return Resumed(event.seq)
        seconds = seconds_of(name)
        if seconds is not None:
            return Resumed(self._journal.position_at(seconds))
        ms = unix_ms_of(name)
        if ms is None:
            return Resumed(0, "earliest")
        return Resumed(self._journal.position_at(ms / 1_000), "time")

    def _numbered(self, name: str) -> Event | None:
        """Return the event that ``name_of`` named with its number; None where another event has that number by now."""
        event_id, _, number = name.rpartition(_NUMBERED)
        found = self._journal.find([int(number)]) if event_id and _NUMBER.match(number) else []
        return next((event for event in found if event.id == event_id), None)

    def _of_event(self, event_id: str) -> int:
        event = self._journal.event(event_id)
        if event is None:
            raise NotFound(f"{event_id[:80]!r} is neither an event in the journal nor an RFC 3339 time.")
        return event.seq
