"""Scheduled events: when one is due, where a page of them goes on, and how long to wait for the next. Pure.

Times are seconds since 1970 by the bus's clock, in whole milliseconds.
"""

import math
import re
from dataclasses import dataclass

from eventbus.core.clock import rfc3339
from eventbus.core.errors import BadRequest
from eventbus.core.model import Message
from eventbus.core.moments import moment_of
from eventbus.core.option_kinds import QUOTED_CHARACTERS

#: Seconds from now for which an event may be scheduled.
MAX_DELAY_SECONDS = 366 * 86_400
_SECONDS = re.compile(r"[0-9]{1,8}(\.[0-9]{1,9})?\Z")
_POSITION = re.compile(r"(-?[0-9]{1,15})-([0-9]{1,18})\Z")


def due_time(delay: str | None, deliver_at: str | None, now: float) -> float:
    """Return when an event is due that is published now, by one of two parameters; ``now`` where that is past.

    Raises BadRequest if both are given, or neither is a time within ``MAX_DELAY_SECONDS``.
    """
    if delay is not None and deliver_at is not None:
        raise BadRequest("Send either delay or deliver_at, not both.")
    due = _after(delay, now) if delay is not None else _at(deliver_at or "", now)
    return max(now, round(due, 3)) if due > now else now


def _after(delay: str, now: float) -> float:
    if not _SECONDS.match(delay) or float(delay) > MAX_DELAY_SECONDS:
        raise BadRequest(
            f"delay must be a number of seconds from 0 to {MAX_DELAY_SECONDS}, not {delay[:QUOTED_CHARACTERS]!r}."
        )
    return now + float(delay)


def _at(deliver_at: str, now: float) -> float:
    moment = moment_of(deliver_at)
    if moment is None or moment > now + MAX_DELAY_SECONDS:
        raise BadRequest(
            f"deliver_at must be a time (RFC 3339) up to {rfc3339(now + MAX_DELAY_SECONDS)},"
            f" {MAX_DELAY_SECONDS // 86_400} days from now, not {deliver_at[:QUOTED_CHARACTERS]!r}."
        )
    return moment


@dataclass(frozen=True, slots=True, order=True)
class DuePosition:
    """A position in the schedule: after the event with this due time, and this number among the scheduled ones."""

    due_at: float
    number: int

    def __str__(self) -> str:
        """Return the text that ``parse`` reads: milliseconds since 1970 and the number."""
        return f"{round(self.due_at * 1_000)}-{self.number}"

    @classmethod
    def parse(cls, text: str) -> "DuePosition":
        """Return the position of a text. Raises BadRequest."""
        match = _POSITION.match(text)
        if match is None:
            raise BadRequest(f"after must be what next said on the page before, not {text[:QUOTED_CHARACTERS]!r}.")
        return cls(int(match[1]) / 1_000, int(match[2]))


#: Before all scheduled events.
FIRST_DUE = DuePosition(-math.inf, 0)


@dataclass(frozen=True, slots=True)
class ScheduledEvent:
    """A message that waits until it is due; numbers rise in the order in which such messages were accepted."""

    number: int
    due_at: float
    message: Message

    @property
    def position(self) -> DuePosition:
        """Where a page goes on that ends with this one."""
        return DuePosition(self.due_at, self.number)


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """How many events wait, and when the next one is due; inf if none waits."""

    count: int = 0
    next_due: float = math.inf


class NextDue:
    """When the next event is due, as far as is known: as it was read, and as events were accepted meanwhile."""

    def __init__(self) -> None:
        self.at = math.inf
        self._noted = math.inf  # the earliest event that was accepted since the last read began

    def begin_read(self) -> None:
        """Note that the schedule is about to be read: what is accepted from now on, the reader may not see."""
        self._noted = math.inf

    def end_read(self, found: float) -> None:
        """Note what was read."""
        self.at = min(found, self._noted)

    def accept(self, due_at: float) -> bool:
        """Note that an event was accepted; return whether it is due before all others that are known."""
        earlier = due_at < self.at
        self._noted = min(self._noted, due_at)
        self.at = min(self.at, due_at)
        return earlier

    def seconds_to_wait(self, wall: float, longest: float) -> float:
        """Return how long to wait for the next event, but at most ``longest``: the clock may be set meanwhile."""
        return max(0.0, min(longest, self.at - wall))
