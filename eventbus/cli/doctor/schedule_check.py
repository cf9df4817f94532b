"""Check the schedule: whether events that are due enter the journal."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from eventbus.cli.doctor.findings import Finding, ok, warning, wrong
from eventbus.cli.formatting import format_duration
from eventbus.client import Bus
from eventbus.client.errors import BusError

_ABOUT = "scheduled"
#: Seconds for which an event may be overdue: the journal may have many to take, and clocks differ.
LATE_SECONDS = 30.0


def diagnose(bus: Bus, ahead: float | None) -> Iterator[Finding]:
    """Yield the finding about scheduled events; the bus's clock is so many seconds ``ahead``, None if not known."""
    try:
        first = next(iter(bus.scheduled()), None)
    except BusError as error:
        yield warning(_ABOUT, f"The bus does not list scheduled events: {error}.", "Give a token that may read them.")
        return
    yield finding(None if first is None else first.scheduled_for, datetime.now(UTC) + timedelta(seconds=ahead or 0.0))


def finding(due: datetime | None, now: datetime) -> Finding:
    """Return the finding where the next event is ``due`` then, or none is scheduled; ``now`` is the bus's time."""
    late = 0.0 if due is None else (now - due).total_seconds()
    if late <= LATE_SECONDS:
        return ok(_ABOUT, "No scheduled event is overdue.")
    text = f"Scheduled events do not enter the journal: the first was due {format_duration(late)} ago."
    return wrong(
        _ABOUT, text, "The bus's log says why: a full disk, or Redis. They enter by themselves once that is repaired."
    )
