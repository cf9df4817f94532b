"""Whole numbers in queries."""

import re

from eventbus.core.errors import BadRequest
from eventbus.web.query import Query

_DIGITS = re.compile(r"[0-9]{1,19}\Z")


def count_in(query: Query, key: str, usual: int, low: int, high: int) -> int:
    """A whole number from the query. Raises BadRequest with what it may be."""
    given = query.first(key)
    if given is None:
        return usual
    if not _DIGITS.match(given) or not low <= int(given) <= high:
        raise BadRequest(f"{key} is a whole number from {low} to {high}, not {given[:40]!r}.")
    return int(given)
