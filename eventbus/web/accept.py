"""Content negotiation by the ``Accept`` header (RFC 9110, 12.5.1)."""

from collections.abc import Mapping
from functools import lru_cache

from flask import Request

JSON, STREAM, PAGE, PLAIN = "application/json", "text/event-stream", "text/html", "text/plain"
#: Set in a request's environment if its response depends on ``Accept``.
VARIES = "eventbus.varies"
#: Values of the header that are cached, and the characters that one of them may have.
MAX_CACHED_VALUES, MAX_CACHED_CHARACTERS = 256, 1_024


def wants_json(request: Request) -> bool:
    """Return whether the client asked for JSON: it names it, and does not prefer plain text."""
    return asks_for(request, JSON)


def wants_stream(request: Request) -> bool:
    """Return whether the client asked for server-sent events."""
    return asks_for(request, STREAM)


def wants_page(request: Request) -> bool:
    """Return whether the client is a browser that follows a link or sends a form."""
    return asks_for(request, PAGE)


def asks_for(request: Request, kind: str) -> bool:
    """Return whether a media type is accepted and not less preferred than plain text. Note that the response varies."""
    environ = request.environ
    environ[VARIES] = True
    accept: str = environ.get("HTTP_ACCEPT", "")
    if accept in ("", "*/*"):
        return False
    ranges = _cached_ranges(accept) if len(accept) <= MAX_CACHED_CHARACTERS else ranges_of(accept)
    weight = ranges.get(kind, 0.0)
    return weight > 0 and weight >= quality(ranges, PLAIN)


def quality(ranges: Mapping[str, float], kind: str) -> float:
    """Return the weight of a media type, 0 to 1: that of the most specific range."""
    for name in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
        if name in ranges:
            return ranges[name]
    return 0.0


def ranges_of(accept: str) -> dict[str, float]:
    """Return the media ranges in lower case, each with its highest weight."""
    found: dict[str, float] = {}
    for part in accept.split(","):
        kind, *parameters = (item.strip().lower() for item in part.split(";"))
        weights = [_weight(parameter) for parameter in parameters if parameter.startswith("q=")]
        found[kind] = max(found.get(kind, 0.0), weights[0] if weights else 1.0)
    return found


_cached_ranges = lru_cache(MAX_CACHED_VALUES)(ranges_of)


def _weight(parameter: str) -> float:
    try:
        return min(1.0, float(parameter.removeprefix("q=")))
    except ValueError:
        return 0.0
