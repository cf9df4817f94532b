"""Times that clients give, as RFC 3339 has them. Pure."""

import re

from eventbus.core.clock import seconds_of
from eventbus.core.errors import BadRequest
from eventbus.core.option_kinds import QUOTED_CHARACTERS

_LIKE_A_TIME = re.compile(r"\d{4}-.{5}[Tt ]", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?(?P<offset>[Zz]|[+-]\d\d:\d\d)?\Z", re.ASCII)


def moment_of(text: str) -> float | None:
    """Return the seconds since 1970 of an RFC 3339 time; None for other text. Raises BadRequest without an offset."""
    if not _LIKE_A_TIME.match(text):
        return None
    match = _TIME.match(text)
    if match is None:
        if _TIME.match("+".join(text.rsplit(" ", 1))):
            raise BadRequest(f"The time {text[:QUOTED_CHARACTERS]!r} has lost its +: in a query it is written %2B.")
        raise BadRequest(f"{text[:QUOTED_CHARACTERS]!r} is no time as RFC 3339 has it, such as 2026-11-24T06:03:29Z.")
    if match["offset"] is None:
        raise BadRequest(f"The time {text[:QUOTED_CHARACTERS]!r} says no offset; add Z for UTC.")
    seconds = seconds_of(text)
    if seconds is None:
        raise BadRequest(f"There is no such time as {text[:QUOTED_CHARACTERS]!r}.")
    return seconds
