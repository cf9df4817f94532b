"""The events that wait until they are due, as the dashboard displays them."""

from typing import Any

from eventbus.core.clock import rfc3339
from eventbus.core.schedule import ScheduledEvent
from eventbus.services.bus import Bus
from eventbus.web.dashboard.cluster_views import PAGE_ROWS
from eventbus.web.event_payload import as_event, event_brief
from eventbus.web.pages import MAX_PAGE_BYTES


def schedule_page(bus: Bus, after: str | None) -> dict[str, Any]:
    """Return a page of scheduled events after a position, the one that is due next first.

    Raises BadRequest and JournalError.
    """
    found = bus.schedule.page(after, PAGE_ROWS, MAX_PAGE_BYTES)
    following = str(found[-1].position) if found and bus.schedule.has_more(found[-1]) else None
    rows = [{**event_brief(as_event(one)), **due_payload(bus, one)} for one in found]
    return {"events": rows, "after": after, "following": following}


def due_payload(bus: Bus, waiting: ScheduledEvent | None) -> dict[str, Any]:
    """Return when an event is due, and the seconds until then; null for one that does not wait."""
    if waiting is None:
        return {"scheduled_for": None, "due_in": None}
    left = max(0, round(waiting.due_at - bus.clock.wall()))
    return {"scheduled_for": rfc3339(waiting.due_at), "due_in": left}
