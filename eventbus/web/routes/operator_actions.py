"""``/pause``, ``/resume``, ``/retry`` and ``/skip``: what an operator does to the deliveries of one subscription."""

from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, request

from eventbus.core.clock import rfc3339
from eventbus.core.errors import BadRequest
from eventbus.core.moments import moment_of
from eventbus.core.records import Pause
from eventbus.core.tokens import Scope
from eventbus.services.audit import Changed
from eventbus.web.accept import wants_page
from eventbus.web.access import needs
from eventbus.web.audit import client_of, log_change
from eventbus.web.current import the_bus
from eventbus.web.query import Query, query_of
from eventbus.web.replies import Reply, as_json, see_other
from eventbus.web.subscriptions import group_of, member_in, named_in, path_of, text_of

#: Seconds that a pause with an end lasts at most.
MAX_PAUSE_SECONDS = 366 * 86_400

blueprint = Blueprint("operator_actions", __name__)


@blueprint.post("/pause")
@needs(Scope.ADMIN)
def pause() -> Reply:
    """Pause a subscription, or one member of a group; the response has the pause."""
    query, bus = query_of(request.environ), the_bus()
    key, member = _target(query)
    begun = Pause(client_of(request.environ), bus.clock.wall(), _until(query, bus.clock.wall()))
    bus.pauses.pause(key, begun, member)
    until = {} if begun.until is None else {"until": rfc3339(begun.until)}
    log_change(Changed.PAUSED, member or key, 1, **until)
    return _answer(key, member, until=until.get("until"))


@blueprint.post("/resume")
@needs(Scope.ADMIN)
def resume() -> Reply:
    """End a pause; the response says whether there was one."""
    key, member = _target(query_of(request.environ))
    resumed = the_bus().pauses.resume(key, member)
    if resumed:
        log_change(Changed.RESUMED, member or key, 1)
    return _answer(key, member, resumed=resumed)


@blueprint.post("/retry")
@needs(Scope.ADMIN)
def retry() -> Reply:
    """Have all attempted at once that waits for its backoff; the response has its number, and the state."""
    query, bus = query_of(request.environ), the_bus()
    key = named_in(query, bus).key
    count, state = bus.retry_now.retry(key)
    log_change(Changed.RETRIED, key, count)
    return _answer(key, None, retried=count, state=state)


@blueprint.post("/skip")
@needs(Scope.ADMIN)
def skip() -> Reply:
    """Make the pending deliveries of one event dead letters."""
    query, bus = query_of(request.environ), the_bus()
    key, event_id = named_in(query, bus).key, query.first("id")
    if not event_id:
        raise BadRequest("id is required: the event's.")
    skipped = bus.skips.skip(key, event_id)
    log_change(Changed.SKIPPED, key, skipped.dead + skipped.in_flight, skipped_event=event_id)
    return _answer(key, None, event=event_id, skipped=skipped.dead, in_flight=skipped.in_flight)


def _target(query: Query) -> tuple[str, str | None]:
    """Return the key of a subscription, and the member that is meant where the query has a member's address."""
    return named_in(query, the_bus()).key, member_in(query, the_bus())


def _answer(key: str, member: str | None, **done: Any) -> Reply:
    """Return what was done, and to whom: an address, a group, or an address with its group.

    A browser without scripts goes back to the page of the subscription.
    """
    group = group_of(key)
    if wants_page(request):
        named = {"group": group} if group is not None else {"address": text_of(key), "path": path_of(key)}
        page = urlencode({name: value for name, value in named.items() if value is not None})
        return see_other(f"dashboard/subscriber?{page}")
    whom = member if group is not None else key
    address, path = (None, None) if whom is None else (text_of(whom), path_of(whom))
    return as_json({"address": address, "path": path, "group": group, **done})


def _until(query: Query, now: float) -> float | None:
    """Return when a pause ends, None without an end. Raises BadRequest."""
    given = query.first("until")
    if given is None:
        return None
    until = moment_of(given)
    if until is None or not now < until <= now + MAX_PAUSE_SECONDS:
        days, example = MAX_PAUSE_SECONDS // 86_400, rfc3339(now + 3_600)
        raise BadRequest(
            f"until must be a time in the future, at most {days} days from now, such as {example}, not {given[:40]!r}."
        )
    return until
