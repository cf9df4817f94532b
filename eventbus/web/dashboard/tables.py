"""The subscribers as table rows, a group as one with its members: filtered by a text, sorted by a column."""

from typing import Any

from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.status import WELL, status
from eventbus.services.bus import Bus
from eventbus.web.dashboard.member_rows import member_rows, seconds_left, summary, topics_text
from eventbus.web.subscriber_payloads import identity_payload
from eventbus.web.subscriptions import text_of

#: Members in the table of all subscribers; the group's page has all.
MAX_MEMBER_ROWS = 20
#: Seconds from which an oldest pending delivery needs attention.
OLD_PENDING_SECONDS = 60.0
#: The sort order in which subscribers that need attention come first; it is no column.
ATTENTION = "attention"
#: The columns: the name that a sort takes, and the heading.
COLUMNS = (
    ("address", "Address"),
    ("state", "State"),
    ("lease", "Lease left"),
    ("topics", "Topics"),
    ("in_flight", "In flight"),
    ("pending", "Pending"),
    ("oldest", "Oldest pending"),
    ("rate", "Delivery rate"),
    ("delivered", "Delivered"),
    ("dead", "Dead"),
    ("last_error", "Last error"),
)
#: Columns that are sorted with the largest value first.
_LARGEST_FIRST = frozenset({"pending", "oldest", "rate", "delivered", "dead", "in_flight", "last_error"})


def rows(bus: Bus, text: str) -> list[dict[str, Any]]:
    """Return a row for each subscriber, live or expired, whose address, state or topics contain the text.

    A group's name counts as its address, and so do its members' addresses, which unfold the row.
    """
    wanted, found = text.lower(), []
    for lane in (*bus.subscribers(), *bus.expired.lanes()):
        row = _row(bus, lane)
        row["open"] = bool(wanted) and any(wanted in one.subscriber.text.lower() for one in lane.roster or ())
        if row["open"] or wanted in f"{lane.subscriber.text} {row['state']} {row['topics']} {row['summary']}".lower():
            found.append(row)
    return found


def attention_rows(bus: Bus, limit: int) -> list[dict[str, Any]]:
    """Return a row for each subscriber that needs attention, at most ``limit``, the most urgent ones first."""
    now = bus.clock.monotonic()
    lanes = [lane for lane in (*bus.subscribers(), *bus.expired.lanes()) if _needs_attention(bus, lane, now)]
    return sorted_by([_row(bus, lane) for lane in lanes], ATTENTION)[:limit]


def _needs_attention(bus: Bus, lane: Lane, now: float) -> bool:
    if lane.dead or any(status(one, now) not in WELL for one in (lane, *(lane.roster or ()))):
        return True
    return bus.oldest_pending_seconds(lane) > OLD_PENDING_SECONDS


def sorted_by(found: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    """Return the rows sorted by a column; by address if there is no such column."""
    if column == ATTENTION:
        return sorted(found, key=lambda row: (row["state"] in WELL, -row["oldest"], -row["dead"], row["key"]))
    if column not in dict(COLUMNS):
        column = "address"
    return sorted(
        found, key=lambda row: (row[column] is None, row[column], row["key"]), reverse=column in _LARGEST_FIRST
    )


def _row(bus: Bus, lane: Lane) -> dict[str, Any]:
    key, now = lane.subscriber.key, bus.clock.monotonic()
    members = member_rows(lane, now)
    return {
        "key": key,
        **identity_payload(lane.subscriber),
        "address": text_of(lane.subscriber.text),
        "members": members[:MAX_MEMBER_ROWS],
        "member_count": len(members),
        "summary": summary(members),
        "state": str(status(lane, now)),
        "draining": lane.draining,
        "lease": seconds_left(min(target.lease.ends for target in lane.roster or (lane,)), now),
        "topics": topics_text(lane.subscriber.options.topics),
        "in_flight": f"{len(lane.in_flight)} of {lane.limit}",
        "pending": lane.backlog,
        "oldest": bus.oldest_pending_seconds(lane),
        "rate": round(bus.time_series.rate(key), 1),
        "delivered": lane.delivered,
        "dead": lane.dead,
        "held_keys": len(lane.retries.held()),
        "last_error": lane.last_error,
    }
