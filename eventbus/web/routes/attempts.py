"""``/attempts``: the newest attempts at deliveries."""

from flask import Blueprint, request

from eventbus.core.model import group_key
from eventbus.core.tokens import Scope
from eventbus.services.attempt_history import ChosenAttempts, check_status
from eventbus.services.bus import Bus
from eventbus.web.access import needs
from eventbus.web.attempt_payload import attempt_payload, cursor_of, cursor_text
from eventbus.web.current import the_bus
from eventbus.web.numbers import count_in
from eventbus.web.pages import fitting, json_bytes
from eventbus.web.query import Query, query_of
from eventbus.web.replies import JSON, Reply
from eventbus.web.subscriptions import address_in, check_path, group_in

#: Attempts on one page: at most, and by default.
MAX_PAGE_ATTEMPTS, DEFAULT_PAGE_ATTEMPTS = 1_000, 100

blueprint = Blueprint("attempts", __name__)


@blueprint.get("/attempts")
@needs(Scope.VIEW)
def list_attempts() -> Reply:
    """Return a page of the attempts that this node knows, the newest first; ``next`` leads to the next page."""
    bus, query = the_bus(), query_of(request.environ)
    node, limit, after = _name(bus), page_limit(query), query.first("after")
    before = cursor_of(after).get(node)
    found = bus.history.attempts.page(_chosen(query), before, limit + 1)
    parts = fitting((attempt_payload(each, node) for each in found[:limit]), bus.give_way)
    more = cursor_text({node: found[len(parts) - 1].number}) if len(parts) < len(found) else None
    return Reply(b'{"attempts":[%s],"next":%s}\n' % (b",".join(parts), json_bytes(more)), content_type=JSON)


def page_limit(query: Query) -> int:
    """Return how many attempts a page has at most. Raises BadRequest."""
    return count_in(query, "limit", DEFAULT_PAGE_ATTEMPTS, 1, MAX_PAGE_ATTEMPTS)


def _name(bus: Bus) -> str:
    """Return this node's name in cursors; a single node has none."""
    nodes = bus.cluster.nodes
    return "" if nodes is None else nodes.id


def _chosen(query: Query) -> ChosenAttempts:
    """Return which attempts are asked for: an address is where they went, a group whose they are. Raises BadRequest."""
    check_path(query)
    group, status = group_in(query), query.first("status")
    return ChosenAttempts(
        None if group is None else group_key(group),
        None if query.first("address") is None else address_in(query).key,
        query.first("id"),
        None if status is None else check_status(status),
    )
