"""What ``eventbus doctor`` says of scheduled events that are due, and do not enter the journal."""

from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import pytest

from eventbus.cli.doctor.findings import Level
from eventbus.cli.doctor.schedule_check import LATE_SECONDS, diagnose, finding
from eventbus.client.errors import BusError

NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)


@pytest.mark.parametrize("late", [None, -3_600.0, 0.0, LATE_SECONDS])
def test_a_schedule_without_overdue_events_is_well(late: float | None) -> None:
    """Nothing is scheduled, or the next is due later, or only just now."""
    due = None if late is None else NOW - timedelta(seconds=late)
    assert finding(due, NOW).level is Level.OK


def test_overdue_events_are_wrong() -> None:
    """The finding says for how long, by the bus's clock, and where the reason stands."""
    found = finding(NOW - timedelta(minutes=5), NOW)
    assert (found.level, "the first was due 5 min ago" in found.text, "log" in found.fix) == (Level.WRONG, True, True)
    event = Mock(scheduled_for=datetime.now(UTC))
    bus = Mock(**{"scheduled.side_effect": lambda: iter([event])})
    assert [one.level for one in diagnose(bus, None)] == [Level.OK]
    assert [one.level for one in diagnose(bus, 3_600.0)] == [Level.WRONG]


def test_a_bus_that_lists_no_scheduled_events_is_no_failure() -> None:
    """A token may not be one that reads them; that is a warning with its reason."""
    (found,) = diagnose(Mock(**{"scheduled.side_effect": BusError("it may not")}), None)
    assert (found.level, "it may not" in found.text) == (Level.WARNING, True)
