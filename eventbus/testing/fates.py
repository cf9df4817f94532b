"""What a fake bus answers to a publish with ``settle``: each inbox has had its one attempt by then. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from eventbus.client.dispatch import InboxResponse

#: Statuses after which the bus attempts a delivery again, beside those from 500 on.
_RETRIED = frozenset({404, 408, 409, 425, 429})


def fate_json(answers: Mapping[str, InboxResponse | None]) -> dict[str, Any]:
    """Return what became of an event as the bus writes it, by each inbox's name and response; None is filtered.

    What the bus would attempt again is pending: a fake bus does not.
    """
    rows = [_row(name, answer) for name, answer in answers.items()]
    counts = Counter(row["state"] for row in rows)
    states = ("pending", "dead", "discarded", "filtered", "delivered")
    return {**{state: counts[state] for state in states}, "subscriptions": rows, "more": 0}


def _row(name: str, answer: InboxResponse | None) -> dict[str, Any]:
    status = None if answer is None else answer.status
    row = {"address": name, "path": None, "group": None, "state": _state(status)}
    return {**row, "status": status, "attempts": 0 if answer is None else 1}


def _state(status: int | None) -> str:
    if status is None:
        return "filtered"
    if 200 <= status < 300:
        return "delivered"
    return "pending" if status >= 500 or status in _RETRIED else "dead"
