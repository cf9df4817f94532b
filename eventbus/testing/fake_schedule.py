"""The schedule of a fake bus: nothing in it enters by itself, however late it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from eventbus.client.errors import Conflict, NotFound
from eventbus.client.model import Event
from eventbus.client.parsing import parse_time


@dataclass(frozen=True, slots=True)
class Waiting:
    """Events that were published together, and are due at a time."""

    due_at: datetime
    topic: str | None
    events: list[Event]


class FakeSchedule:
    """Events that wait until a test lets them enter."""

    def __init__(self) -> None:
        self._waiting: list[Waiting] = []  # the one that is due next first
        self._cancelled: dict[str, datetime] = {}

    def add(self, due_at: datetime, topic: str | None, events: Sequence[Event]) -> None:
        """Keep events that were published together."""
        made = Waiting(due_at, topic, [replace(event, scheduled_for=due_at) for event in events])
        self._waiting = sorted([*self._waiting, made], key=lambda one: one.due_at)

    @property
    def events(self) -> list[Event]:
        """Return all that wait, the one that is due next first."""
        return [event for one in self._waiting for event in one.events]

    def page(self, after: str, limit: int) -> tuple[list[Event], str | None]:
        """Return up to ``limit`` events after a position, and the position behind them; None at the end."""
        found, end = self.events, int(after or 0) + limit
        return found[int(after or 0) : end], str(end) if end < len(found) else None

    def take(self, until: datetime | None) -> Iterator[Waiting]:
        """Yield what is due until a time, or all that waits now, and keep it no longer."""
        for one in [one for one in self._waiting if until is None or one.due_at <= until]:
            self._waiting.remove(one)
            events = [replace(event, at=one.due_at, scheduled_for=None) for event in one.events]
            yield replace(one, events=events)

    def cancel(self, event_id: str, entered: Sequence[Event]) -> datetime:
        """Cancel an event, and return when that was. Raises Conflict where it has entered, and NotFound."""
        for one in self._waiting:
            for event in one.events:
                if event.id == event_id:
                    one.events.remove(event)
                    self._cancelled[event_id] = datetime.now(UTC).replace(microsecond=0)
                    return self._cancelled[event_id]
        if event_id in self._cancelled:
            return self._cancelled[event_id]
        if any(event.id == event_id for event in entered):
            raise Conflict(409, f"Event {event_id!r} is in the journal and cannot be cancelled.")
        raise NotFound(404, f"Event {event_id!r} is not scheduled, and not in the journal.")


def due_of(query: dict[str, list[str]], now: datetime) -> datetime | None:
    """Return when a publish is due; None where that is now."""
    if "delay" in query:
        due = now + timedelta(seconds=float(query["delay"][0]))
    else:
        due = parse_time(query["deliver_at"][0]) if "deliver_at" in query else now
    return due if due > now else None
