"""The dashboard's pages. They change things through the same routes as any other client."""

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, request, send_from_directory

from eventbus.core.clock import rfc3339
from eventbus.core.errors import NotFound
from eventbus.core.settings import Settings
from eventbus.core.settings_text import setting_text
from eventbus.services.snapshot import snapshot_of
from eventbus.web.access import needs
from eventbus.web.cluster.rpc_codec import FORWARDED
from eventbus.web.current import the_bus
from eventbus.web.dashboard import tables
from eventbus.web.dashboard.body_views import views_of
from eventbus.web.dashboard.cluster_views import MAX_ATTENTION_ROWS, PAGE_ROWS
from eventbus.web.dashboard.layout import page
from eventbus.web.dashboard.member_rows import member_rows, seconds_left, summary
from eventbus.web.dashboard.option_rows import lacking_headers, member_option_rows, option_rows
from eventbus.web.dashboard.scheduled_rows import due_payload, schedule_page
from eventbus.web.dashboard.waiting_rows import waiting_rows
from eventbus.web.event_payload import delivery_payload, event_brief
from eventbus.web.found_event import event_or_scheduled
from eventbus.web.numbers import count_in
from eventbus.web.query import Query, query_of
from eventbus.web.routes.dead_letters import dead_letter_payload
from eventbus.web.server.listeners import noted, reachable_from_outside
from eventbus.web.subscriber_payloads import subscription_payload
from eventbus.web.subscriptions import NamedSubscription, group_of, named_in, path_of, text_of

#: Dead letters on the page of their subscriber.
MAX_SUBSCRIBER_LETTERS = 20
STATIC = Path(__file__).parent / "static"

blueprint = Blueprint("dashboard", __name__, template_folder="templates")


@blueprint.get("/dashboard/static/<path:name>")
@needs()
def static_file(name: str) -> Response:
    """Return a style sheet, a script or a picture; they hold nothing of this bus."""
    return send_from_directory(STATIC, name)


def _query() -> Query:
    return query_of(request.environ)


@blueprint.get("/")
@page("overview.html")
def overview() -> dict[str, Any]:
    """Collect the overview: figures, charts, and the subscribers that need attention."""
    bus, query = the_bus(), _query()
    since = count_in(query, "since", 0, 0, 2**53)
    now = snapshot_of(bus)
    samples = [asdict(sample) for sample in bus.time_series.kept if sample.at * 1_000 > since]
    latest = bus.time_series.kept[-1] if bus.time_series.kept else None
    return {
        "fresh": not sum(now.states.values()) and not bus.feed.newest,
        "closed": bool(bus.tokens),
        "open": not bus.tokens and reachable_from_outside(noted(bus.settings.port)),
        "host": request.environ.get("HTTP_HOST", f"localhost:{bus.settings.port}")[:200],
        "subscribers": now.states,
        "pending": now.pending,
        "in_flight": now.in_flight,
        "dead": now.dead,
        "oldest_pending_seconds": now.oldest_pending_seconds,
        "journal_bytes": now.journal_bytes,
        "journal_max_bytes": now.journal_max_bytes,
        "draining": bus.draining,
        "latest": None if latest is None else asdict(latest),
        "samples": samples,
        "attention": tables.attention_rows(bus, MAX_ATTENTION_ROWS),
    }


@blueprint.get("/dashboard/subscribers")
@page("subscribers.html")
def subscribers() -> dict[str, Any]:
    """Collect one page of the table of all subscribers, live and expired, filtered and sorted."""
    bus, query = the_bus(), _query()
    sort, text = query.first("sort") or "address", (query.first("q") or "")[:200]
    start = count_in(query, "start", 0, 0, 10_000_000)
    rows = tables.sorted_by(tables.rows(bus, text), sort)
    # The rows of all nodes are sorted together: this node's first ones may belong to a later page.
    first = 0 if FORWARDED in request.environ else start
    return {
        "columns": tables.COLUMNS,
        "sort": sort,
        "q": text,
        "start": start,
        "count": len(rows),
        "rows": rows[first : start + PAGE_ROWS],
        "previous": max(0, start - PAGE_ROWS) if start else None,
        "following": start + PAGE_ROWS if start + PAGE_ROWS < len(rows) else None,
    }


@blueprint.get("/dashboard/subscriber")
@page("subscriber.html")
def subscriber() -> dict[str, Any]:
    """Collect one subscriber or group: its options, members, account, recent state changes and dead letters.

    Of one that is not registered any more, only the dead letters. Raises NotFound if there are none either.
    """
    bus = the_bus()
    named = named_in(_query(), bus)
    lane = bus.dispatcher.lanes.get(named.key) or bus.expired.find(named.key)
    letters = bus.dead_letters.page(named.key, 0, MAX_SUBSCRIBER_LETTERS)
    found = {
        "key": named.key,
        **_names(named),
        "letters": list(map(dead_letter_payload, letters)),
    }
    if lane is None and not letters:
        raise NotFound(f"No subscriber is registered as {named.text}, and it has no dead letters.")
    if lane is None:
        return {**found, "status": None}
    now = bus.clock.monotonic()
    members = member_rows(lane, now)
    return {
        **found,
        "status": subscription_payload(bus, lane),
        "members": members,
        "summary": summary(members),
        "options": option_rows(lane),
        "member_options": {member.subscriber.key: member_option_rows(member) for member in lane.roster or ()},
        "lacking": lacking_headers(lane),
        "credentials": ", ".join(lane.subscriber.credentials) or "none",
        "remaining": None if members else seconds_left(lane.lease.ends, now),
        "limit": lane.limit,
        "rate": round(bus.time_series.rate(named.key), 1),
        "retries": waiting_rows(bus, lane),
        "hour_from_now": rfc3339(bus.clock.wall() // 60 * 60 + 3_600),
        "notes": [{"at": rfc3339(at), "text": text} for at, text in reversed(lane.notes)],
    }


@blueprint.get("/dashboard/journal")
@page("journal.html")
def journal() -> dict[str, Any]:
    """Collect one page of events, newest first."""
    bus = the_bus()
    end = count_in(_query(), "upto", bus.feed.newest, 0, 2**62)
    events = bus.feed.read(max(0, end - PAGE_ROWS), (), PAGE_ROWS).events
    rows = [{**event_brief(event), "seq": event.seq} for event in reversed(events) if event.seq <= end]
    earlier = end - PAGE_ROWS if end > PAGE_ROWS else None
    return {"events": rows, "newest": bus.feed.newest, "end": end, "earlier": earlier}


@blueprint.get("/dashboard/scheduled")
@page("scheduled.html")
def scheduled() -> dict[str, Any]:
    """Collect one page of the events that wait until they are due."""
    bus = the_bus()
    return {**schedule_page(bus, _query().first("after")), "count": bus.journal.schedule_state().count}


@blueprint.get("/dashboard/event")
@page("event.html")
def event() -> dict[str, Any]:
    """Collect one event: its headers, its body in every readable form, and its deliveries, or when it is due."""
    bus = the_bus()
    found, deliveries, waiting = event_or_scheduled(bus, _query().first("id") or "")
    return {
        "event": event_brief(found),
        **due_payload(bus, waiting),
        "body": views_of(found.body),
        "deliveries": list(map(delivery_payload, deliveries)),
    }


@blueprint.get("/dashboard/deadLetters")
@page("dead_letters.html")
def dead_letters() -> dict[str, Any]:
    """Collect one page of dead letters, to be redelivered or discarded."""
    bus, query = the_bus(), _filled(_query())
    after = count_in(query, "after", 0, 0, 2**62)
    named = named_in(query, bus) if query.values.keys() & {"address", "path", "group"} else None
    letters = bus.dead_letters.page(named.key if named else None, after, PAGE_ROWS)
    return {
        **_names(named),
        "letters": list(map(dead_letter_payload, letters)),
        "after": after,
        "following": letters[-1].id if len(letters) == PAGE_ROWS else None,
        "dead": snapshot_of(bus).dead,
    }


@blueprint.get("/dashboard/send")
@page("send.html")
def send() -> dict[str, Any]:
    """Collect what the form for a test event needs."""
    return {"max_body_bytes": the_bus().settings.max_body_bytes}


@blueprint.get("/dashboard/settings")
@page("settings.html")
def settings() -> dict[str, Any]:
    """Collect the settings; of secrets only whether they are set."""
    current = the_bus().settings
    return {"settings": {each.name: setting_text(each.name, current) for each in fields(Settings)}}


def _names(named: NamedSubscription | None) -> dict[str, Any]:
    """Return what a page calls the subscription that it is about, its group, and ``whose``: how links name it."""
    if named is None:
        return {"name": "", "group": None, "whose": None}
    key, group = named.key, group_of(named.key)
    whose = {"address": None if group else text_of(key), "path": path_of(key), "group": group}
    return {"name": named.text, "group": group, "whose": whose}


def _filled(query: Query) -> Query:
    """Return a query without the fields of a form that are empty."""
    return Query({name: values for name, values in query.values.items() if values != [""]})
