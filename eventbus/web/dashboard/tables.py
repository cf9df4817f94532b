"""The subscribers as rows: what is shown of each, found by text, sorted by a column."""

from typing import Any

from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.status import WELL, status
from eventbus.services.bus import Bus

#: Seconds after which what is pending counts as trouble.
OLD = 60.0
#: Columns by the name by which they are sorted; "trouble" is for who needs somebody first.
COLUMNS = (
    ("address", "Address"),
    ("state", "State"),
    ("lease", "Lease left"),
    ("topics", "Topics"),
    ("window", "Window"),
    ("pending", "Pending"),
    ("oldest", "Oldest"),
    ("rate", "A second"),
    ("delivered", "Delivered"),
    ("dead", "Dead"),
    ("last_error", "Last error"),
)
#: What is looked at from the largest on.
_LARGEST_FIRST = frozenset({"pending", "oldest", "rate", "delivered", "dead", "window", "last_error"})


def rows(bus: Bus, text: str) -> list[dict[str, Any]]:
    """A row for each subscriber, live or expired, whose address, state or topics hold the text."""
    wanted = text.lower()
    found = (_row(bus, lane) for lane in (*bus.subscribers(), *bus.expired.lanes()))
    return [row for row in found if wanted in f"{row['address']} {row['state']} {row['topics']}".lower()]


def trouble(bus: Bus, most: int) -> list[dict[str, Any]]:
    """A row for each of the subscribers that need somebody, up to so many, those first that need it most."""
    now = bus.clock.monotonic()
    lanes = [lane for lane in (*bus.subscribers(), *bus.expired.lanes()) if _in_trouble(bus, lane, now)]
    return sorted_by([_row(bus, lane) for lane in lanes], "trouble")[:most]


def _in_trouble(bus: Bus, lane: Lane, now: float) -> bool:
    if lane.dead or status(lane, now) not in WELL:
        return True
    return bus.oldest_pending_seconds(lane) > OLD


def sorted_by(found: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    """The rows in a column's order; by address where there is no such column."""
    if column == "trouble":
        return sorted(found, key=lambda row: (row["state"] in WELL, -row["oldest"], -row["dead"], row["address"]))
    if column not in dict(COLUMNS):
        column = "address"
    return sorted(found, key=lambda row: (row[column], row["address"]), reverse=column in _LARGEST_FIRST)


def _row(bus: Bus, lane: Lane) -> dict[str, Any]:
    key, now = lane.subscriber.key, bus.clock.monotonic()
    return {
        "key": key,
        "address": lane.subscriber.address.shown,
        "state": str(status(lane, now)),
        "lease": max(0, round(lane.lease.ends - now)),
        "topics": ", ".join(lane.subscriber.options.topics) or "everything",
        "window": f"{len(lane.in_flight)} of {lane.limit}",
        "pending": lane.backlog,
        "oldest": bus.oldest_pending_seconds(lane),
        "rate": round(bus.time_series.rate(key), 1),
        "delivered": lane.delivered,
        "dead": lane.dead,
        "last_error": lane.last_error,
    }
