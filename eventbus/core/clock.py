"""The monotonic and the wall clock, and RFC 3339 times."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

_EPOCH = date(1970, 1, 1).toordinal()
#: The calendar repeats after this number of years; and their days.
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ]([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(\.\d+)?"
    r"(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))\Z",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Clock:
    """Both clocks, in seconds.

    Durations are measured with ``monotonic``, so that a step of the wall clock ends no lease and no wait.
    """

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


def rfc3339(seconds: float) -> str:
    """Return a wall-clock time in UTC with whole seconds (RFC 3339)."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_ms(seconds: float) -> str:
    """Return a wall-clock time in UTC with milliseconds (RFC 3339)."""
    ms = round(seconds * 1_000)
    return f"{datetime.fromtimestamp(ms // 1_000, UTC):%Y-%m-%dT%H:%M:%S}.{ms % 1_000:03d}Z"


def seconds_of(text: str) -> float | None:
    """Return the seconds since 1970 of an RFC 3339 time; None for an invalid one.

    A leap second (``23:59:60`` in UTC, RFC 3339, 5.7) counts as the second after it.
    """
    match = _RFC3339.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.group(1, 2, 3, 4, 5, 6))
    cycles, in_cycle = divmod(year, _CYCLE_YEARS)
    try:
        days = date(2_000 + in_cycle, month, day).toordinal() - _EPOCH + (cycles - 5) * _CYCLE_DAYS
    except ValueError:
        return None
    offset = int(f"{match[8]}1") * (int(match[9]) * 60 + int(match[10])) if match[8] else 0
    minutes = days * 1_440 + hour * 60 + minute - offset
    if second == 60 and minutes % 1_440 != 1_439:
        return None
    return minutes * 60 + second + float(match[7] or 0)
