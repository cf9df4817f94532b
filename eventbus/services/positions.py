"""Places in the journal as people name them: ``earliest``, ``now``, an event's id, or a time."""

import re
from dataclasses import dataclass

from eventbus.core.clock import seconds_of
from eventbus.core.errors import BadRequest, NotFound
from eventbus.core.event_ids import unix_ms_of
from eventbus.core.model import Event
from eventbus.delivery.recent_events import RecentEvents
from eventbus.journal.base import Journal

_LIKE_A_TIME = re.compile(r"\d{4}-.{5}[Tt ]", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?(?P<offset>[Zz]|[+-]\d\d:\d\d)?\Z", re.ASCII)

#: Between an event's id and its number, and that number.
_NUMBERED, _NUMBER = "@", re.compile(r"[0-9]{1,18}\Z")


def name_of(event: Event) -> str:
    """Return by what to go on after an event: its id, and its number where others may have the id, too.

    The ids that the bus gives are an event's own. A journal of before may have two events with one CloudEvents id.
    """
    return event.id if unix_ms_of(event.id) is not None else f"{event.id}{_NUMBERED}{event.seq}"


@dataclass(frozen=True, slots=True)
class Resumed:
    """The number to go on after; ``instead`` says by what, where the event that was named is not there."""

    cursor: int
    instead: str | None = None  # "time" or "earliest"


class Positions:
    """Turns names of places into numbers of events."""

    def __init__(self, journal: Journal, recent: RecentEvents) -> None:
        self._journal = journal
        self._recent = recent

    def before(self, name: str) -> int:
        """The number after which to start, so that what is named comes first. Raises NotFound and BadRequest."""
        if name == "earliest":
            return 0
        if name == "now":
            return self._recent.newest
        if (moment := _moment(name)) is not None:
            return self._journal.position_at(moment)
        return self._of_event(name) - 1

    def after(self, name: str) -> int:
        """The number of the last event up to what is named, that included. Raises NotFound and BadRequest."""
        if name == "now":
            return self._recent.newest
        if (moment := _moment(name)) is not None:
            return self._journal.position_at(moment)
        return self._of_event(name)

    def resume(self, name: str) -> Resumed:
        """Where to go on after what was seen last. Never fails for a name: a reader has no way to mend it.

        An id that is gone, or of another bus, counts by the time in it, and one that holds none as before everything.
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
        """The event that ``name_of`` has given a number; None where that number is another event's by now."""
        event_id, _, number = name.rpartition(_NUMBERED)
        found = self._journal.find([int(number)]) if event_id and _NUMBER.match(number) else []
        return next((event for event in found if event.id == event_id), None)

    def _of_event(self, event_id: str) -> int:
        event = self._journal.event(event_id)
        if event is None:
            raise NotFound(f"{event_id[:80]!r} is no event in the journal, and no time as RFC 3339 has it.")
        return event.seq


def _moment(text: str) -> float | None:
    """Seconds since 1970 of an RFC 3339 time; None for what is none. Raises BadRequest without an offset."""
    if not _LIKE_A_TIME.match(text):
        return None
    match = _TIME.match(text)
    if match is None:
        raise BadRequest(f"{text[:40]!r} is no time as RFC 3339 has it, such as 2026-11-24T06:03:29Z.")
    if match["offset"] is None:
        raise BadRequest(f"The time {text[:40]!r} says no offset; add Z for UTC.")
    seconds = seconds_of(text)
    if seconds is None:
        raise BadRequest(f"There is no such time as {text[:40]!r}.")
    return seconds
