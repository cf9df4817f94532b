import logging
import sys
from types import TracebackType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.telemetry.log_format import MAX_LINE_CHARACTERS, LineFormatter, one_line

#: What ends a line for some reader or other: str.splitlines knows them all.
BREAKS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
#: What moves the cursor, hides text or turns it around in a terminal.
TRICKS = ["\x00", "\x1b[2K", "\x07", "\x08", "\x7f", "\x9b31m", "\u200b", "\u202e", "\u2066", "\ufeff", "\udc80"]


def formatted(text: str, *values: object, error: BaseException | None = None) -> str:
    """The line of a record with this text and these values."""
    trace: TracebackType | None = error.__traceback__ if error else None
    failure = (type(error), error, trace) if error else None
    record = logging.LogRecord("eventbus.services.bus", logging.INFO, "bus.py", 1, text, values, failure)
    record.created, record.msecs = 1_795_476_715.5, 500.0
    return LineFormatter().format(record)


def test_a_line_begins_with_the_time_the_level_and_the_place() -> None:
    """A line is the time in UTC with whole seconds, the level, the logger's name, and the text."""
    assert (
        formatted("lease of %s began", "h:80") == "2026-11-23T23:31:55Z INFO eventbus.services.bus lease of h:80 began"
    )


@pytest.mark.parametrize("trouble", BREAKS + TRICKS)
def test_nothing_breaks_or_forges_a_line(trouble: str) -> None:
    """Whatever a value holds that could break, forge or hide a line is escaped."""
    line = formatted("address %s", f"before{trouble}2026-11-23T23:31:55Z INFO forged")
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert "before\\" in line


@given(st.text(st.characters(codec=None)))
def test_one_record_is_one_printable_line(text: str) -> None:
    """Any text at all becomes one line that can be printed and encoded, and plain text stays as it is."""
    line = one_line(text)
    assert line.isprintable()
    assert len(line.splitlines()) <= 1
    line.encode()
    assert line == text or not text.isprintable()


def test_a_traceback_is_folded_into_its_line() -> None:
    """An error's traceback is on the same line as what failed, and names the error."""
    try:
        sys.exit("on\nfire")
    except SystemExit as error:
        line = formatted("a delivery failed", error=error)
    assert len(line.splitlines()) == 1
    assert "Traceback" in line
    assert "SystemExit: on\\nfire" in line


def test_a_long_line_is_cut_and_says_so() -> None:
    """A line is cut after 4,000 characters, and says how many there were."""
    assert one_line("x" * MAX_LINE_CHARACTERS) == "x" * MAX_LINE_CHARACTERS
    assert one_line("x" * 5_000) == "x" * MAX_LINE_CHARACTERS + "... (5000 characters)"


def test_text_in_any_script_stays_readable() -> None:
    """Letters of any script stay as they are."""
    assert one_line("Grüße, 東京") == "Grüße, 東京"
