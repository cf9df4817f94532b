"""Merges the responses of all nodes to one request, for each kind of request. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eventbus.core.addresses import parse_address
from eventbus.core.target_path import split_path
from eventbus.telemetry.merge import merge_metrics
from eventbus.web.attempt_payload import merged_pages
from eventbus.web.dashboard import cluster_views
from eventbus.web.numbers import count_in
from eventbus.web.query import Query
from eventbus.web.routes.attempts import page_limit
from eventbus.web.routes.dead_letters import DEFAULT_PAGE_LETTERS, MAX_PAGE_LETTERS

#: Seconds within which a node has to answer a query, or a change of many dead letters; else it is left out.
QUERY_SECONDS, CHANGE_SECONDS = 2.0, 10.0
#: States of a delivery, in the order in which they may follow each other: if two nodes disagree, the later state is
#: right. Pending is the last, since a dead letter may be redelivered.
_STATE_ORDER = ("dead", "discarded", "filtered", "delivered", "pending")

#: Merges JSON bodies; this node's own is the first.
MergeJson = Callable[[Sequence[Any], Query], Any]
#: Merges text bodies, given by node.
MergeText = Callable[[Mapping[str, str]], bytes]


@dataclass(frozen=True, slots=True)
class Merge:
    """How the responses to one kind of request are merged. ``page``: the result is displayed on a dashboard page."""

    json: MergeJson | None = None
    text: MergeText | None = None
    page: bool = False
    seconds: float = QUERY_SECONDS
    reword: Callable[[Query, str], str] = lambda _, raw: raw  #: the query for the peers


def lines(parts: Mapping[str, str]) -> bytes:
    """Return the lists of subscribers as text: a line each, by address."""
    found = [line for part in parts.values() for line in part.splitlines()]
    newest = {
        _key(*split_path(line.partition("  :  ")[0])): line for line in sorted(found, key=lambda line: line[-20:])
    }
    return "".join(f"{line}\n" for _, line in sorted(newest.items())).encode()


def subscribers(parts: Sequence[Any], _: Query) -> Any:
    """Return the lists of subscribers and groups as JSON. Of two entries for one, the newest counts.

    A node of a version without groups lists none.
    """
    return {
        "subscribers": _newest(
            [part["subscribers"] for part in parts], lambda each: _key(each["address"], each.get("path"))
        ),
        "groups": _newest([part.get("groups", ()) for part in parts], lambda each: each["group"]),
    }


def _newest(parts: Sequence[Sequence[Any]], key_of: Callable[[Any], str]) -> list[Any]:
    found = sorted((each for part in parts for each in part), key=lambda each: each["renewed_at"])
    return [each for _, each in sorted({key_of(each): each for each in found}.items())]


def attempts(parts: Sequence[Any], query: Query) -> Any:
    """Return a page of the attempts of all nodes."""
    return merged_pages(parts, query.first("after"), page_limit(query))


def counts(parts: Sequence[Any], _: Query) -> Any:
    """Add up how many dead letters each node has changed."""
    return {name: sum(part.get(name, 0) for part in parts) for name in parts[0]}


def redelivered(parts: Sequence[Any], _: Query) -> Any:
    """Add up how many dead letters all nodes redelivered, with the replay id that they share."""
    first = next((part for part in parts if part["replay"] is not None), parts[0])
    return {**first, **{name: sum(part.get(name, 0) for part in parts) for name in ("replayed", "expired")}}


def dead_letters(parts: Sequence[Any], query: Query) -> Any:
    """Return a page of dead letters: a node knows its own sooner than its peers do. The shortest page sets the end."""
    limit = count_in(query, "limit", DEFAULT_PAGE_LETTERS, 1, MAX_PAGE_LETTERS)
    ends = min((part["next"] for part in parts if part["next"] is not None), default=None)
    found = cluster_views.letters([part["dead_letters"] for part in parts], limit)
    if ends is not None:
        found = [letter for letter in found if letter["id"] <= ends]
    return {"dead_letters": found, "next": found[-1]["id"] if ends is not None or len(found) == limit else None}


def event(parts: Sequence[Any], _: Query) -> Any:
    """Return one event, or its page, and its deliveries on all nodes.

    Some nodes may have read a scheduled one before it was due.
    """
    entered = next((part for part in parts if part.get("scheduled_for") is None), parts[0])
    return {**entered, "deliveries": merged_deliveries([part["deliveries"] for part in parts])}


def merged_deliveries(parts: Sequence[Sequence[Any]]) -> list[Any]:
    """Return an event's deliveries of all nodes by address or group, one for each subscription, with all attempts."""
    found = sorted((each for part in parts for each in part), key=_latest_state)
    by_name: dict[tuple[str, str, str], Any] = {}
    timelines: dict[tuple[str, str, str], list[Any]] = {}
    for each in found:
        name = each["address"] or each["group"], each.get("path") or "", each.get("group") or ""
        by_name[name] = each
        timelines.setdefault(name, []).extend(each.get("timeline", ()))
    return [
        {**delivery, "timeline": sorted(timelines[name], key=lambda step: step["at"])}
        for name, delivery in sorted(by_name.items())
    ]


def _latest_state(delivery: Any) -> tuple[int, bool]:
    """Return what orders deliveries so that the latest state comes last, and of equal ones the one that knows more."""
    return _STATE_ORDER.index(delivery["state"]), "delivered_at" in delivery


def _key(address: str, target: str | None) -> str:
    return parse_address(address).with_target(target or "").key


#: The requests that all nodes answer, by method and path; those about dead letters only without a subscriber.
KINDS = {
    ("GET", "/listSubscribers"): Merge(subscribers, lines),
    ("GET", "/attempts"): Merge(attempts),
    ("GET", "/deadLetters"): Merge(dead_letters),
    ("POST", "/deadLetters/replay"): Merge(redelivered, seconds=CHANGE_SECONDS),
    ("DELETE", "/deadLetters"): Merge(counts, seconds=CHANGE_SECONDS),
    ("GET", "/metrics"): Merge(text=merge_metrics),
    ("GET", "/"): Merge(cluster_views.overview, page=True, reword=cluster_views.earlier),
    ("GET", "/dashboard/subscribers"): Merge(cluster_views.subscribers, page=True),
    ("GET", "/dashboard/event"): Merge(event, page=True),
    ("GET", "/dashboard/deadLetters"): Merge(cluster_views.dead_letters, page=True),
}
#: A request for one event, whose id is in the path.
EVENT = Merge(event)
EVENT_PATH = "/events/"
