"""One event by its id: in the journal with its deliveries, or scheduled."""

from eventbus.core.errors import NotFound
from eventbus.core.model import Event
from eventbus.core.schedule import ScheduledEvent
from eventbus.services.bus import Bus
from eventbus.services.history import Fate
from eventbus.web.event_payload import as_event


def event_or_scheduled(bus: Bus, event_id: str) -> tuple[Event, list[Fate], ScheduledEvent | None]:
    """Return an event with its deliveries, or one that waits, which has none. Raises NotFound."""
    try:
        return *bus.history.of(event_id), None
    except NotFound:
        waiting = bus.schedule.find(event_id)
    if waiting is None:  # it may have become due in between
        return *bus.history.of(event_id), None
    return as_event(waiting), [], waiting
