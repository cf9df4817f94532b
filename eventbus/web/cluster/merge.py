"""What is made of the answers of all nodes to one request, for each kind of request. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eventbus.core.addresses import parse_address
from eventbus.telemetry.merge import merge_metrics
from eventbus.web.dashboard import cluster_views
from eventbus.web.numbers import count_in
from eventbus.web.query import Query
from eventbus.web.routes.dead_letters import MAX_PAGE, USUAL_PAGE

#: Seconds within which a node answers, or is left out: where it is asked how things are, and where it is to do much.
LOOK_SECONDS, CHANGE_SECONDS = 2.0, 10.0
#: What became of an event, by what may follow what: where two nodes disagree, the one that is further on is right, and
#: pending is above all, since a dead letter may be pending again.
_FURTHER = ("dead", "discarded", "delivered", "pending")

#: Makes one answer of those that were given as JSON, this node's own first.
MergeJson = Callable[[Sequence[Any], Query], Any]
#: The same of bodies in another format, by the node.
MergeText = Callable[[Mapping[str, str]], bytes]


@dataclass(frozen=True, slots=True)
class Merge:
    """How one kind of request is gathered. ``page`` says that what is gathered is put into a page of the dashboard."""

    json: MergeJson | None = None
    text: MergeText | None = None
    page: bool = False
    seconds: float = LOOK_SECONDS
    reword: Callable[[Query, str], str] = lambda _, raw: raw  #: the query that the other nodes are asked with


def lines(parts: Mapping[str, str]) -> bytes:
    """Subscribers as text: a line each, by address."""
    found = [line for part in parts.values() for line in part.splitlines()]
    newest = {_key(line.partition("  :  ")[0]): line for line in sorted(found, key=lambda line: line[-20:])}
    return "".join(f"{line}\n" for _, line in sorted(newest.items())).encode()


def subscribers(parts: Sequence[Any], _: Query) -> Any:
    """Subscribers as JSON, by address. One that moves from node to node may be told twice: the newest counts."""
    found = [each for part in parts for each in part["subscribers"]]
    newest = {_key(each["address"]): each for each in sorted(found, key=lambda each: each["renewed_at"])}
    return {"subscribers": [each for _, each in sorted(newest.items())]}


def counts(parts: Sequence[Any], _: Query) -> Any:
    """How many each node has changed, added up."""
    return {name: sum(part.get(name, 0) for part in parts) for name in parts[0]}


def replayed(parts: Sequence[Any], _: Query) -> Any:
    """How many dead letters all nodes have put back, and the replay for which they count in each."""
    told = next((part for part in parts if part["replay"] is not None), parts[0])
    return {**told, "replayed": sum(part["replayed"] for part in parts)}


def dead_letters(parts: Sequence[Any], query: Query) -> Any:
    """A page of dead letters: a node knows of its own sooner than the others do. It ends where the first one ends."""
    limit = count_in(query, "limit", USUAL_PAGE, 1, MAX_PAGE)
    ends = min((part["next"] for part in parts if part["next"] is not None), default=None)
    found = cluster_views.letters([part["dead_letters"] for part in parts], limit)
    if ends is not None:
        found = [letter for letter in found if letter["id"] <= ends]
    return {"dead_letters": found, "next": found[-1]["id"] if ends is not None or len(found) == limit else None}


def event(parts: Sequence[Any], _: Query) -> Any:
    """One event, and its state for each subscriber of any node."""
    return {**parts[0], "deliveries": merged_deliveries([part["deliveries"] for part in parts])}


def event_page(parts: Sequence[Any], _: Query) -> Any:
    """The same for the dashboard."""
    return {**parts[0], "deliveries": merged_deliveries([part["deliveries"] for part in parts])}


def merged_deliveries(parts: Sequence[Sequence[Any]]) -> list[Any]:
    """Return an event's deliveries of all nodes by address, one for each subscriber."""
    found = sorted((each for part in parts for each in part), key=lambda each: _FURTHER.index(each["state"]))
    return [delivery for _, delivery in sorted({each["address"]: each for each in found}.items())]


def _key(address: str) -> str:
    return parse_address(address).key


#: What is asked of all nodes, by method and path; of dead letters, where no subscriber is named.
KINDS = {
    ("GET", "/listSubscribers"): Merge(subscribers, lines),
    ("GET", "/deadLetters"): Merge(dead_letters),
    ("POST", "/deadLetters/replay"): Merge(replayed, seconds=CHANGE_SECONDS),
    ("DELETE", "/deadLetters"): Merge(counts, seconds=CHANGE_SECONDS),
    ("GET", "/metrics"): Merge(text=merge_metrics),
    ("GET", "/"): Merge(cluster_views.overview, page=True, reword=cluster_views.earlier),
    ("GET", "/dashboard/subscribers"): Merge(cluster_views.subscribers, page=True),
    ("GET", "/dashboard/event"): Merge(event_page, page=True),
    ("GET", "/dashboard/deadLetters"): Merge(cluster_views.dead_letters, page=True),
}
#: One event, whose id is in the path.
EVENT = Merge(event)
EVENT_PATH = "/events/"
