"""When a publish is due, as it is given and as a parameter of the call; and the scheduled events, page by page."""

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from eventbus.client.calls import Caller
from eventbus.client.encoding import rfc3339
from eventbus.client.errors import BadTime
from eventbus.client.events import parse_event
from eventbus.client.model import Event
from eventbus.client.parameters import Parameters
from eventbus.core.clock import seconds_of

#: In so much time: seconds, or a timedelta.
Delay = float | timedelta
#: At a time: a datetime with an offset, or RFC 3339.
DueTime = datetime | str


def due_query(delay: Delay | None, deliver_at: DueTime | None, settle: float | None = None) -> Parameters:
    """Return the parameter of a publish that is due later; none where neither is given. Raises BadTime.

    Such a publish cannot ``settle``. Which times are too far ahead the bus knows.
    """
    if settle is not None and (delay is not None or deliver_at is not None):
        raise BadTime("What is delayed is not settled when a publish is answered: give delay, deliver_at, or settle.")
    if delay is not None and deliver_at is not None:
        raise BadTime("Give either delay or deliver_at, not both.")
    if delay is not None:
        return [("delay", _delay_text(delay))]
    return [] if deliver_at is None else [("deliver_at", _time_text(deliver_at))]


def _delay_text(delay: Delay) -> str:
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise BadTime(f"delay is a number of seconds from 0, or a timedelta, not {delay!r}.")
    return f"{seconds:.6f}".rstrip("0").rstrip(".")


def _time_text(at: DueTime) -> str:
    if isinstance(at, datetime) and at.tzinfo is not None:
        return rfc3339(at)
    if isinstance(at, str) and seconds_of(at) is not None:
        return at
    raise BadTime(
        f"deliver_at is a datetime with an offset, or RFC 3339 such as 2026-12-01T08:00:00Z, not {str(at)[:40]!r}."
    )


def scheduled_events(caller: Caller) -> Iterator[Event]:
    """Yield the scheduled events, the one that is due next first. They are requested page by page. Raises BusError."""
    return map(parse_event, caller.listed("/events", "events", [("scheduled", "true")]))
