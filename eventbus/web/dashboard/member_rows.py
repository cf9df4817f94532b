"""The members of a group as table rows, and in one line."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.member import Member
from eventbus.delivery.lane.status import WELL, status
from eventbus.web.subscriber_payloads import address_payload

Row = dict[str, Any]


def member_rows(lane: Lane, now: float) -> list[Row]:
    """Return a row for each member at a moment of the monotonic clock, those that need attention first."""
    found = [_row(member, now) for member in lane.roster or ()]
    return sorted(found, key=lambda row: (row["state"] in WELL, not row["draining"], row["key"]))


def _row(member: Member, now: float) -> Row:
    return {
        "key": member.subscriber.key,
        **address_payload(member.subscriber.address),
        "name": member.subscriber.text,
        "state": str(status(member, now)),
        "draining": member.draining,
        "paused_by_operator": member.pause_at(now) is not None,
        "lease": seconds_left(member.lease.ends, now),
        "topics": topics_text(member.subscriber.options.topics),
        "in_flight": f"{member.in_flight} of {member.limit}",
        "delivered": member.delivered,
        "failed_attempts": member.failed_attempts,
        "last_error": member.last_error,
    }


def seconds_left(ends: float, now: float) -> int | None:
    """Return the seconds until a lease ends; None if it does not: the subscriber is declared."""
    return max(0, round(ends - now)) if math.isfinite(ends) else None


def summary(members: Sequence[Row]) -> str:
    """Return how many members need attention or drain: ``1 down, 1 draining``; nothing where none does."""
    counts = Counter(row["state"] for row in members if row["state"] not in WELL)
    counts["draining"] = sum(row["draining"] for row in members)
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def topics_text(topics: Sequence[str]) -> str:
    """Return patterns for people."""
    return ", ".join(topics) or "everything"
