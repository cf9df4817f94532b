"""Which order keys of a subscription are held, and behind which event the oldest of them waits."""

from contextlib import suppress
from dataclasses import dataclass

from eventbus.core.errors import JournalError
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.recent_events import RecentEvents
from eventbus.journal.base import Journal


@dataclass(frozen=True, slots=True)
class HeldKey:
    """An order key of which an event has failed; ``event`` is its id, None where the journal does not tell it now."""

    key: str
    event: str | None
    error: str
    attempts: int


def oldest_held_key(lane: Lane, journal: Journal, recent: RecentEvents) -> HeldKey | None:
    """Return the key whose failed event is the oldest; None if no key is held."""
    held = lane.retries.held()
    if not held:
        return None
    key, head = min(held, key=lambda one: one[1].seq)
    attempts = head.attempts - (head in lane.in_flight)
    return HeldKey(key, _event_id(head.seq, journal, recent), head.error, attempts)


def _event_id(seq: int, journal: Journal, recent: RecentEvents) -> str | None:
    event = recent.get(seq)
    if event is not None:
        return event.id
    with suppress(JournalError):
        name = journal.names([seq]).get(seq)
        return None if name is None else name.id
    return None
