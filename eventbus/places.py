"""Places in the journal as people name them: ``earliest``, ``now``, an event's id, or a time."""

import re
from datetime import UTC, datetime

from eventbus.delivery.recent import RecentEvents
from eventbus.errors import NotKnown, Refused
from eventbus.event_id import unix_ms_of
from eventbus.journal.base import Journal

_LIKE_A_TIME = re.compile(r"\d{4}-.{5}[Tt ]", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?(?P<offset>[Zz]|[+-]\d\d:\d\d)?\Z", re.ASCII)


class Places:
    """Turns names of places into numbers of events."""

    def __init__(self, journal: Journal, recent: RecentEvents) -> None:
        self._journal = journal
        self._recent = recent

    def before(self, name: str) -> int:
        """The number after which to start, so that what is named comes first. Raises NotKnown and Refused."""
        if name == "earliest":
            return 0
        if name == "now":
            return self._recent.newest
        if (moment := _moment(name)) is not None:
            return self._journal.place_of(moment)
        return self._of_event(name) - 1

    def after(self, name: str) -> int:
        """The number of the last event up to what is named, that included. Raises NotKnown and Refused."""
        if name == "now":
            return self._recent.newest
        if (moment := _moment(name)) is not None:
            return self._journal.place_of(moment)
        return self._of_event(name)

    def resume(self, event_id: str) -> int:
        """The number to go on after, when this event was the last seen; by its time where it is gone."""
        event = self._journal.event(event_id)
        if event is not None:
            return event.seq
        ms = unix_ms_of(event_id)
        if ms is None:
            raise NotKnown(f"Event {event_id[:80]!r} is not in the journal; start without it.")
        return self._journal.place_of(ms / 1_000)

    def _of_event(self, event_id: str) -> int:
        event = self._journal.event(event_id)
        if event is None:
            raise NotKnown(f"{event_id[:80]!r} is no event in the journal, and no time as RFC 3339 has it.")
        return event.seq


def _moment(text: str) -> float | None:
    """Seconds since 1970 of an RFC 3339 time; None for what is none. Raises Refused without an offset."""
    if not _LIKE_A_TIME.match(text):
        return None
    match = _TIME.match(text)
    if match is None:
        raise Refused(f"{text[:40]!r} is no time as RFC 3339 has it, such as 2026-11-24T06:03:29Z.")
    if match["offset"] is None:
        raise Refused(f"The time {text[:40]!r} says no offset; add Z for UTC.")
    try:
        return datetime.fromisoformat(text.upper().replace(" ", "T")).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        raise Refused(f"There is no such time as {text[:40]!r}.") from None
