"""What a client takes for an answer, by its ``Accept`` (RFC 9110, 12.5.1)."""

from collections.abc import Mapping
from functools import lru_cache

from flask import Request

JSON, STREAM, PLAIN = "application/json", "text/event-stream", "text/plain"
#: Set in a request's environment where its answer depends on what it accepts.
VARIES = "eventbus.varies"
#: Different values of the header that are remembered, and the characters that one of them may have.
REMEMBERED, LONGEST = 256, 1_024


def wants_json(request: Request) -> bool:
    """Whether the client asked for JSON: it names it, and prefers no text."""
    return asks_for(request, JSON)


def wants_stream(request: Request) -> bool:
    """Whether the client asked for server-sent events."""
    return asks_for(request, STREAM)


def asks_for(request: Request, kind: str) -> bool:
    """Whether a media type is named, not refused, and not less wanted than plain text. Notes that the answer varies."""
    environ = request.environ
    environ[VARIES] = True
    accept: str = environ.get("HTTP_ACCEPT", "")
    if accept in ("", "*/*"):
        return False
    ranges = _remembered(accept) if len(accept) <= LONGEST else ranges_of(accept)
    wanted = ranges.get(kind, 0.0)
    return wanted > 0 and wanted >= quality(ranges, PLAIN)


def quality(ranges: Mapping[str, float], kind: str) -> float:
    """How much a media type is wanted, 0 to 1: what names it most closely counts."""
    for name in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
        if name in ranges:
            return ranges[name]
    return 0.0


def ranges_of(accept: str) -> dict[str, float]:
    """The media ranges in lower case, each with its highest quality."""
    found: dict[str, float] = {}
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weights = [_weight(parameter) for parameter in parameters if parameter.startswith("q=")]
        found[kind] = max(found.get(kind, 0.0), weights[0] if weights else 1.0)
    return found


_remembered = lru_cache(REMEMBERED)(ranges_of)


def _weight(parameter: str) -> float:
    try:
        return min(1.0, float(parameter.removeprefix("q=")))
    except ValueError:
        return 0.0
