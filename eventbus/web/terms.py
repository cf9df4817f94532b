"""What a registration says beyond its address, read from the query and checked."""

import re

from eventbus.core.errors import BadRequest
from eventbus.core.model import Terms
from eventbus.core.topics import check_patterns
from eventbus.web.query import Query

_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,30})?\Z")


def terms_of(query: Query) -> Terms:
    """The terms; what is not given is None. Raises BadRequest with a sentence that names the parameter."""
    topics = query.all("topic")
    max_in_flight = _number(query, "max_in_flight", 1, 1_000)
    if max_in_flight is not None and max_in_flight != int(max_in_flight):
        raise BadRequest(f"max_in_flight is a whole number from 1 to 1000, not {max_in_flight:g}.")
    return Terms(
        topics=None if topics is None else check_patterns(topics),
        lease_seconds=_number(query, "lease", 5, 86_400),
        max_in_flight=None if max_in_flight is None else int(max_in_flight),
        timeout=_number(query, "timeout", 0.1, 120),
        ordered=_switch(query, "ordered"),
        resume=_switch(query, "resume"),
    )


def _number(query: Query, key: str, low: float, high: float) -> float | None:
    given = query.first(key)
    if given is None:
        return None
    if not _DECIMAL.match(given) or not low <= float(given) <= high:
        raise BadRequest(f"{key} is a number from {low:g} to {high:g}, not {given[:40]!r}.")
    return float(given)


def _switch(query: Query, key: str) -> bool | None:
    given = query.first(key)
    if given is None:
        return None
    if given not in ("true", "false"):
        raise BadRequest(f"{key} is true or false, not {given[:40]!r}.")
    return given == "true"
