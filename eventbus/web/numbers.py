"""Whole numbers in queries."""

import re

from eventbus.core.errors import BadRequest
from eventbus.web.query import Query

_DIGITS = re.compile(r"[0-9]{1,19}\Z")


def count_in(query: Query, key: str, default: int, low: int, high: int) -> int:
    """Return a whole number in the query, or the default. Raises BadRequest with the allowed range."""
    given = query.first(key)
    if given is None:
        return default
    if not _DIGITS.match(given) or not low <= int(given) <= high:
        raise BadRequest(f"{key} must be a whole number from {low} to {high}, not {given[:40]!r}.")
    return int(given)
