"""What a fake bus answers to a publish with ``settle``: each inbox has had its one attempt by then. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from eventbus.client.dispatch import InboxResponse

#: Statuses after which the bus attempts a delivery again, beside those from 500 on.
_RETRIED = frozenset({404, 408, 409, 425, 429})


#: What an inbox has said of an event: its response, nothing where its filter did not match, or that it came too late.
Said = InboxResponse | Literal["filtered", "expired"]


def fate_json(answers: Mapping[str, Said]) -> dict[str, Any]:
    """Return what became of an event as the bus writes it, by each inbox's name and what it has said.

    What the bus would attempt again is pending: a fake bus does not.
    """
    rows = [_row(name, answer) for name, answer in answers.items()]
    counts = Counter(row["state"] for row in rows)
    states = ("pending", "dead", "discarded", "filtered", "delivered")
    return {**{state: counts[state] for state in states}, "subscriptions": rows, "more": 0}


def _row(name: str, answer: Said) -> dict[str, Any]:
    row = {"address": name, "path": None, "group": None}
    if not isinstance(answer, InboxResponse):
        return {**row, "state": "dead" if answer == "expired" else answer, "status": None, "attempts": 0}
    return {**row, "state": _state(answer.status), "status": answer.status, "attempts": 1}


def _state(status: int) -> str:
    if 200 <= status < 300:
        return "delivered"
    return "pending" if status >= 500 or status in _RETRIED else "dead"
