"""Attempts as JSON, and the cursor of their pages. Pure."""

import re
from collections.abc import Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import Any

from eventbus.core.clock import rfc3339_ms, seconds_of
from eventbus.core.errors import BadRequest
from eventbus.services.attempt_history import outcome_of
from eventbus.telemetry.attempt_ring import Attempt
from eventbus.web.body_text import body_payload
from eventbus.web.subscriptions import group_of, path_of, text_of

#: The number before which a node's next page begins; a single node has no name.
_POSITION = "(?:[0-9A-Za-z_]{1,40}-)?[0-9]{1,18}"
#: A cursor, which ``next`` says: a position for each node.
CURSOR_REGEX = f"{_POSITION}(?:,{_POSITION}){{0,99}}"
_CURSOR = re.compile(rf"(?:{CURSOR_REGEX})\Z")

Json = dict[str, Any]


def step_payload(attempt: Attempt) -> Json:
    """Return an attempt as a step of its delivery's timeline: when, at which address, and how it ended."""
    return {
        "attempt": attempt.attempt,
        "at": rfc3339_ms(attempt.began),
        "seconds": round(attempt.seconds, 3),
        "address": text_of(attempt.target),
        "path": path_of(attempt.target),
        "status": attempt.status,
        "outcome": outcome_of(attempt).value,
        "error": attempt.error or None,
    }


def attempt_payload(attempt: Attempt, node: str) -> Json:
    """Return an attempt of a node as JSON; the name of a single node is empty."""
    return {
        "node": node or None,
        "number": attempt.number,
        "event": attempt.event_id,
        "group": group_of(attempt.subscription),
        **step_payload(attempt),
        "answer": body_payload(attempt.answer),
    }


def cursor_of(text: str | None) -> dict[str, int]:
    """Return the numbers before which the nodes' pages begin, by node; none where a page is the first.

    Raises BadRequest.
    """
    if not text:
        return {}
    if not _CURSOR.match(text):
        raise BadRequest("after must be what next said, or left out.")
    parts = (part.rpartition("-") for part in text.split(","))
    return {node: int(number) for node, _, number in parts}


def cursor_text(numbers: Mapping[str, int]) -> str:
    """Return a cursor."""
    return ",".join(f"{node}-{number}" if node else str(number) for node, number in numbers.items())


def merged_pages(parts: Sequence[Json], after: str | None, limit: int) -> Json:
    """Return one page of the pages of all nodes, the attempts that ended last first.

    Each node's own go on where it left off with the next page, also those that were in no page yet.
    """
    found = list(islice(merge(*(part["attempts"] for part in parts), key=_ended, reverse=True), limit))
    numbers = cursor_of(after)
    numbers |= {each["node"] or "": each["number"] for each in found}
    left = sum(len(part["attempts"]) for part in parts) > len(found)
    more = left or any(part["next"] is not None for part in parts)
    return {"attempts": found, "next": cursor_text(numbers) if more and found else None}


def _ended(attempt: Json) -> float:
    return (seconds_of(attempt["at"]) or 0.0) + float(attempt["seconds"])
