"""``/replay``: deliver a past range of the journal to one subscriber again."""

from flask import Blueprint, request

from eventbus.core.errors import BadRequest
from eventbus.core.tokens import Scope
from eventbus.services.audit import Changed
from eventbus.web.access import needs
from eventbus.web.audit import log_change
from eventbus.web.current import the_bus
from eventbus.web.query import query_of
from eventbus.web.replies import Reply, as_json
from eventbus.web.subscriptions import named_in

blueprint = Blueprint("replays", __name__)


@blueprint.post("/replay")
@needs(Scope.ADMIN)
def replay() -> Reply:
    """Begin a replay; the response has its number of events."""
    query = query_of(request.environ)
    start = query.first("from")
    if not start:
        raise BadRequest("from is required: earliest, an event's id, or a time such as 2026-11-24T06:03:29Z.")
    bus = the_bus()
    key = named_in(query, bus).key
    count = bus.replays.begin(key, start, query.first("to") or "now")
    if count:
        log_change(Changed.REPLAY_STARTED, key, count)
    return as_json({"events": count})
