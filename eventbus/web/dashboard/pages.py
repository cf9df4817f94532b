"""The pages. What they can change goes through the same routes as everybody's requests."""

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, request, send_from_directory

from eventbus.core.clock import rfc3339
from eventbus.core.errors import NotFound
from eventbus.core.options import display
from eventbus.core.settings import Settings
from eventbus.services.snapshot import snapshot_of
from eventbus.web.access import needs
from eventbus.web.cluster.rpc_codec import FORWARDED
from eventbus.web.current import the_bus
from eventbus.web.dashboard import tables
from eventbus.web.dashboard.body_views import views_of
from eventbus.web.dashboard.cluster_views import ROWS, TROUBLED
from eventbus.web.dashboard.layout import page
from eventbus.web.numbers import count_in
from eventbus.web.query import Query, query_of
from eventbus.web.routes.dead_letters import dead_letter_payload as shown_letter
from eventbus.web.routes.events import event_payload as shown_event
from eventbus.web.routes.events import fate_payload
from eventbus.web.routes.subscribers import address_in, subscriber_payload
from eventbus.web.server.listeners import beyond_loopback, noted

STATIC = Path(__file__).parent / "static"
#: Settings of which nothing is shown but whether they are set.
SECRET = frozenset({"tokens", "signing_secrets"})

blueprint = Blueprint("dashboard", __name__, template_folder="templates")


@blueprint.get("/dashboard/static/<path:name>")
@needs(None)
def static_file(name: str) -> Response:
    """A style sheet, a script or a picture; they hold nothing of this bus."""
    return send_from_directory(STATIC, name)


def _query() -> Query:
    return query_of(request.environ)


@blueprint.get("/")
@page("overview.html")
def overview() -> dict[str, Any]:
    """How the bus is doing: figures, charts, and the subscribers that need somebody."""
    bus, query = the_bus(), _query()
    since = count_in(query, "since", 0, 0, 2**53)
    now = snapshot_of(bus)
    samples = [asdict(sample) for sample in bus.time_series.kept if sample.at * 1_000 > since]
    latest = bus.time_series.kept[-1] if bus.time_series.kept else None
    return {
        "fresh": not sum(now.states.values()) and not bus.feed.newest,
        "closed": bool(bus.settings.tokens),
        "open": not bus.settings.tokens and beyond_loopback(noted(bus.settings.port)),
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
        "trouble": tables.trouble(bus, TROUBLED),
    }


@blueprint.get("/dashboard/subscribers")
@page("subscribers.html")
def subscribers() -> dict[str, Any]:
    """All subscribers, live and expired, as a table: sorted, filtered, a page at a time."""
    bus, query = the_bus(), _query()
    sort, text = query.first("sort") or "address", (query.first("q") or "")[:200]
    start = count_in(query, "start", 0, 0, 10_000_000)
    rows = tables.sorted_by(tables.rows(bus, text), sort)
    first = 0 if FORWARDED in request.environ else start  # among all nodes' rows these may come earlier
    return {
        "columns": tables.COLUMNS,
        "sort": sort,
        "q": text,
        "start": start,
        "count": len(rows),
        "rows": rows[first : start + ROWS],
        "previous": max(0, start - ROWS) if start else None,
        "following": start + ROWS if start + ROWS < len(rows) else None,
    }


@blueprint.get("/dashboard/subscriber")
@page("subscriber.html")
def subscriber() -> dict[str, Any]:
    """One subscriber: what it asked for, its account, what happened lately, its dead letters."""
    bus = the_bus()
    address = address_in(_query())
    lane = bus.dispatcher.lanes.get(address.key) or bus.expired.find(address.key)
    if lane is None:
        raise NotFound(f"There is no subscriber at {address.shown} now; its dead letters may still be there.")
    letters = bus.dead_letters.page(address.key, 0, 20)
    return {
        "key": address.key,
        "standing": subscriber_payload(bus, lane),
        "options": display(lane.subscriber.options),
        "remaining": max(0.0, round(lane.lease.ends - bus.clock.monotonic(), 1)),
        "limit": lane.limit,
        "rate": round(bus.time_series.rate(address.key), 1),
        "notes": [{"at": rfc3339(at), "text": text} for at, text in reversed(lane.notes)],
        "letters": [shown_letter(letter) for letter in letters],
    }


@blueprint.get("/dashboard/journal")
@page("journal.html")
def journal() -> dict[str, Any]:
    """The newest events, the newest first."""
    bus = the_bus()
    upto = count_in(_query(), "upto", bus.feed.newest, 0, 2**62)
    events = bus.feed.read(max(0, upto - ROWS), (), ROWS).events
    shown = [{**_brief(event), "seq": event.seq} for event in reversed(events) if event.seq <= upto]
    return {"events": shown, "newest": bus.feed.newest, "upto": upto, "earlier": upto - ROWS if upto > ROWS else None}


@blueprint.get("/dashboard/event")
@page("event.html")
def event() -> dict[str, Any]:
    """One event: its headers, its body in every readable way, and what became of it."""
    found, fates = the_bus().history.of(_query().first("id") or "")
    views = views_of(found.body)
    return {
        "event": {**_brief(found), "headers": found.headers},
        "body": views,
        "fates": list(map(fate_payload, fates)),
    }


@blueprint.get("/dashboard/deadLetters")
@page("dead_letters.html")
def dead_letters() -> dict[str, Any]:
    """Dead letters, to be replayed or discarded, several at once."""
    bus, query = the_bus(), _query()
    after = count_in(query, "after", 0, 0, 2**62)
    address = address_in(query) if query.first("address") else None
    letters = bus.dead_letters.page(address.key if address else None, after, ROWS)
    return {
        "address": address.shown if address else "",
        "letters": [shown_letter(letter) for letter in letters],
        "after": after,
        "following": letters[-1].id if len(letters) == ROWS else None,
        "dead": snapshot_of(bus).dead,
    }


@blueprint.get("/dashboard/send")
@page("send.html")
def send() -> dict[str, Any]:
    """A form for a test event."""
    return {"max_body_bytes": the_bus().settings.max_body_bytes}


@blueprint.get("/dashboard/settings")
@page("settings.html")
def settings() -> dict[str, Any]:
    """What the bus was told; of secrets only whether there are any."""
    told = the_bus().settings
    shown = {each.name: _shown_setting(each.name, told) for each in fields(Settings)}
    return {"settings": shown}


def _shown_setting(name: str, told: Settings) -> str:
    value = getattr(told, name)
    if name in SECRET:
        return "set" if value else "not set"
    if name == "journal":
        return told.journal_redacted
    if name == "networks":
        deny, allow = (", ".join(map(str, networks)) or "none" for networks in (value.deny, value.allow))
        return f"denied: {deny}; allowed: {allow}"
    return f"{value:,}" if isinstance(value, int | float) and name != "port" else str(value)


def _brief(event: Any) -> dict[str, Any]:
    return {key: value for key, value in shown_event(event).items() if key != "body"} | {"bytes": len(event.body)}
