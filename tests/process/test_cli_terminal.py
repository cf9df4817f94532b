"""The command on a terminal: colour and bars there, and nothing that an event could do to it."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from eventbus.client import Bus
from tests.support.server import ROOT, BusServer

#: Starts the command, as it is, and as it is where rich is not installed.
WITH_RICH = "from eventbus.cli import main; main()"
WITHOUT_RICH = f"import sys; sys.modules['rich'] = None; {WITH_RICH}"
#: Seconds in which a command has ended, or printed what is waited for.
SECONDS = 30.0
#: Sequences that colour (ECMA-48, SGR), and all that control a terminal.
COLOUR = re.compile(rb"\x1b\[[0-9;]*3[0-7][0-9;]*m")
STEERING = re.compile(rb"\x1b")
#: What a hostile event holds: a title, a cleared screen, a beep, colour by C1.
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"


class Terminal:
    """A command whose three ends are a terminal, which looks at all it writes."""

    def __init__(self, port: int, script: str, *args: str, **more: str) -> None:
        self._own, theirs = os.openpty()
        foreign = ("EVENTBUS_", "PYTHON", "NO_COLOR", "TERM", "COLUMNS", "LINES", "FORCE_COLOR", "TTY_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        own = {"EVENTBUS_URL": f"http://127.0.0.1:{port}", "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "160"}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", script, *args], env={**kept, **own, **more},
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.written = b""

    def reads(self, pattern: bytes) -> None:
        """Wait until it has written something."""
        ends = time.monotonic() + SECONDS
        while not re.search(pattern, self.written, re.DOTALL):
            assert time.monotonic() < ends, self.written
            assert self._read(), self.written

    def ended(self) -> int:
        """Its status, when it has ended."""
        ends = time.monotonic() + SECONDS
        while self._read():
            assert time.monotonic() < ends, self.written
        return self.process.wait(SECONDS)

    def _read(self) -> bool:
        """Read some, if there is any; whether there may be more."""
        if not select.select([self._own], [], [], 0.2)[0]:
            return True
        try:
            data = os.read(self._own, 65_536)
        except OSError:  # EIO: the other side has closed it
            return False
        self.written += data
        return bool(data)

    def close(self) -> None:
        """End it."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self._own)


@pytest.fixture
def opened() -> Iterator[list[Terminal]]:
    """Terminals that end with the test."""
    terminals: list[Terminal] = []
    yield terminals
    for terminal in terminals:
        terminal.close()


def test_a_terminal_gets_colour_and_no_color_takes_it(bus: BusServer, client: Bus, opened: list[Terminal]) -> None:
    """With NO_COLOR nothing is coloured."""
    position = client.publish(f"term.{uuid4().hex}", {"n": 1}).id
    for more in ({}, {"NO_COLOR": "1"}):
        opened.append(Terminal(bus.port, WITH_RICH, "event", position, **more))
        assert opened[-1].ended() == 0
        assert b'{"n": 1}' in opened[-1].written
        assert bool(COLOUR.search(opened[-1].written)) == (not more)


@pytest.mark.parametrize("script", [WITH_RICH, WITHOUT_RICH], ids=["rich", "plain"])
def test_an_event_does_nothing_to_a_terminal(bus: BusServer, client: Bus, opened: list[Terminal], script: str) -> None:
    """Whatever its body holds, and however it is printed, all of it is text."""
    position = client.publish("term.before").id
    hostile = client.publish(f"term.{uuid4().hex}", HOSTILE + "[red]x[/]").id
    for args in (
        ["events", "--after", position, "--limit", "1"],
        ["event", hostile],
        ["event", hostile, "--raw"],
        ["event", hostile, "--json"],
        ["listen", "--after", position, "--count", "1"],
    ):
        opened.append(Terminal(bus.port, script, *args, NO_COLOR="1"))
        assert opened[-1].ended() == 0
        steering = re.sub(rb"\x1b\[(?:0|1|2|22)?m", b"", opened[-1].written)  # rich's own bold
        assert not STEERING.search(steering), args
        assert b"\x07" not in steering
        assert b"\xc2\x9b" not in steering
        assert "\u202e".encode() not in steering
        assert b"[red]x[/]" in steering


@pytest.mark.parametrize("script", [WITH_RICH, WITHOUT_RICH], ids=["rich", "plain"])
def test_a_terminal_sees_how_far_it_is(bus: BusServer, opened: list[Terminal], tmp_path: Path, script: str) -> None:
    """A bar, or plain numbers, to the last line of a file."""
    (tmp_path / "lines").write_text("1\n" * 1_500)
    opened.append(Terminal(bus.port, script, "send", "term.lines", "--lines", "--file", str(tmp_path / "lines")))
    assert opened[0].ended() == 0
    picture = rb"published.*1500/1500" if script == WITH_RICH else rb"published 1,500 of 1,500 \(100 %\)"
    assert re.search(picture, opened[0].written)
    assert b"Published 1,500 events." in opened[0].written


@pytest.mark.parametrize("script", [WITH_RICH, WITHOUT_RICH], ids=["rich", "plain"])
def test_a_table_is_kept_up_to_date(bus: BusServer, client: Bus, opened: list[Terminal], script: str) -> None:
    """It is drawn over itself, until Ctrl-C, which leaves the terminal as it was."""
    client.register("127.0.0.1:1")
    opened.append(Terminal(bus.port, script, "subscribers", "--watch", "--interval", "0.1"))
    opened[0].reads(rb"1 subscriber,.*127\.0\.0\.1:1")
    client.register("127.0.0.1:2")
    opened[0].reads(rb"2 subscribers,.*127\.0\.0\.1:2")
    opened[0].process.send_signal(signal.SIGINT)
    assert opened[0].ended() == 130
    assert b"Traceback" not in opened[0].written
    if script == WITH_RICH:
        assert opened[0].written.rindex(b"\x1b[?1049l") > opened[0].written.rindex(b"\x1b[?1049h")


def test_a_person_is_told_why_nothing_happens(bus: BusServer, opened: list[Terminal]) -> None:
    """While a publish is tried again, since the bus does not answer."""
    opened.append(Terminal(bus.port, WITH_RICH, "send", "term.a", "x", "--url", "http://127.0.0.1:1", "--retry", "0.3"))
    opened[0].reads(rb"does not answer; trying for 0\.3 seconds")
    assert opened[0].ended() == 3


def test_a_narrow_terminal_gets_each_row_on_lines_of_its_own(
    bus: BusServer, client: Bus, opened: list[Terminal]
) -> None:
    """Where a table does not fit, no address is broken: each row is printed under its first cell."""
    address = "a-service-with-a-rather-long-name.internal.example:8080"
    client.register(address)
    for columns, expected in (("60", rb"\bstate new\b"), ("200", rb"\bnew +0\b")):
        opened.append(Terminal(bus.port, WITH_RICH, "subscribers", NO_COLOR="1", COLUMNS=columns))
        assert opened[-1].ended() == 0
        plainly = COLOUR.sub(b"", opened[-1].written)
        assert address.encode() in plainly
        assert re.search(expected, plainly), plainly
