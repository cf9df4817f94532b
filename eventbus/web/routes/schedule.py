"""Scheduled events: the list of them, for ``/events``, and cancelling one."""

from flask import Blueprint, request

from eventbus.core.clock import rfc3339
from eventbus.core.errors import BadRequest
from eventbus.core.schedule import ScheduledEvent
from eventbus.core.tokens import Scope
from eventbus.services.audit import Changed
from eventbus.services.bus import Bus
from eventbus.web.accept import wants_page
from eventbus.web.access import access_of, needs
from eventbus.web.audit import log_change
from eventbus.web.current import the_bus
from eventbus.web.event_page import EventPage, page_bytes
from eventbus.web.event_payload import as_event, scheduled_json
from eventbus.web.event_stream import holding, the_connection
from eventbus.web.pages import MAX_PAGE_BYTES
from eventbus.web.query import Query, query_of
from eventbus.web.replies import JSON, Reply, as_json, see_other

blueprint = Blueprint("schedule", __name__)


@blueprint.delete("/events/<path:event_id>")
@needs(Scope.PUBLISH)
def cancel(event_id: str) -> Reply:
    """Cancel a scheduled event that the client may publish, and that no other token name has published."""
    return as_json(_cancelled(event_id))


@blueprint.post("/cancel")
@needs(Scope.PUBLISH)
def cancel_by_form() -> Reply:
    """Cancel a scheduled event in the same way. A browser without scripts goes back to the list."""
    event_id = query_of(request.environ).first("id")
    if not event_id:
        raise BadRequest("id is required: the event's.")
    done = _cancelled(event_id)
    return see_other("dashboard/scheduled") if wants_page(request) else as_json(done)


def _cancelled(event_id: str) -> dict[str, str]:
    bus = the_bus()
    found = bus.journal.scheduled_event(event_id)
    if found is not None:
        access = access_of(request.environ, bus.tokens)
        access.check_publish(found.message.topic)
        access.check_owner(as_event(found).publisher or "", f"Event {event_id!r}")
    cancelled = bus.schedule.cancel(event_id)
    if not cancelled.repeated:
        log_change(Changed.CANCELLED, event_id, 1)
    return {"id": event_id, "cancelled_at": rfc3339(cancelled.at)}


def asks_for_schedule(query: Query) -> bool:
    """Return whether the scheduled events are asked for instead of the journal's. Raises BadRequest."""
    given = query.first("scheduled")
    if given not in (None, "true", "false"):
        raise BadRequest(f"scheduled must be true or false, not {(given or '')[:40]!r}.")
    if given != "true":
        return False
    for name in ("topic", "wait"):
        if name in query.values:
            raise BadRequest(f"scheduled=true takes no {name}.")
    return True


def schedule_page(bus: Bus, query: Query, limit: int) -> Reply:
    """Return a page of scheduled events, the one that is due first first, of those that the client may read.

    Raises BadRequest and JournalError.
    """
    access = access_of(request.environ, bus.tokens)
    found = bus.schedule.page(query.first("after") or None, limit, MAX_PAGE_BYTES)
    page = EventPage(limit, the_connection())
    last: ScheduledEvent | None = None
    with holding(page_bytes([as_event(each) for each in found]), page.connection):
        for each in found:
            if access.may_read(each.message.topic) and not page.add_json(scheduled_json(each, bus.give_way)):
                break
            last = each
            bus.give_way()
    more = last is not None and (last is not found[-1] or bus.schedule.has_more(last))
    return Reply(page.encode(str(last.position) if last is not None and more else None), content_type=JSON)
