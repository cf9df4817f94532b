"""What a stream of events says while it has nothing to tell."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from types import SimpleNamespace
from typing import Any, cast

import pytest

from eventbus.core.errors import EventbusError, JournalUnavailable, TooManyStreams
from eventbus.core.model import Event
from eventbus.services.bus import Bus
from eventbus.services.feed import Part
from eventbus.web import event_stream
from eventbus.web.event_stream import HEARTBEAT_SECONDS


def event(seq: int) -> Event:
    """An event with this number."""
    return Event(seq, f"e-{seq}", None, b"", b"{}", 0.0)


class Scripted:
    """A bus whose feed tells these parts, one after another; a wait takes so many seconds, or as long as it may."""

    def __init__(self, *parts: Part | Exception, waits: float = 1_000) -> None:
        self._waits = waits
        self.now, self.newest, self.epoch, self.draining = 0.0, 0, 0, False
        self._parts = iter(parts)
        self.feed = self
        self.counters = SimpleNamespace(refused=Counter[str]())
        self.clock = SimpleNamespace(monotonic=lambda: self.now)

    def read(self, cursor: int, _: tuple[str, ...], __: int) -> Part:
        """The next part; the end of the stream after the last."""
        part = next(self._parts, None)
        if isinstance(part, Exception):
            raise part
        if part is None:
            self.draining = True
            return Part((), cursor)
        self.newest = part.cursor
        return part

    def give_way(self) -> None:
        """Nobody else wants a turn."""

    def wait(self, _: int, seconds: float) -> bool:
        """Nothing comes."""
        self.now += min(seconds, self._waits)
        return False


def told(bus: Scripted, count: int = 20) -> list[bytes]:
    """What its stream says."""
    stream: Iterator[bytes] = event_stream._stream(cast(Bus, cast(Any, bus)), 0, 0, ())  # noqa: SLF001 - with a clock of its own
    return [part.split(b"\n")[0] for part in islice(stream, count)]


QUIET = Part((), 1)


def test_a_quiet_stream_shows_that_it_lives() -> None:
    """After each so many seconds without anything to tell a comment is sent, which no reader takes for an event."""
    bus = Scripted(*[QUIET] * 5)
    assert told(bus) == [b"retry: 2000", *[b":"] * 5]
    assert bus.now == pytest.approx(6 * HEARTBEAT_SECONDS)


def test_no_comment_comes_beside_an_event() -> None:
    """What was just told shows that the stream lives: the time begins anew with it."""
    bus = Scripted(*(Part((event(number),), number) for number in (1, 2, 3)), waits=HEARTBEAT_SECONDS * 0.9)
    assert told(bus) == [b"retry: 2000", b"id: e-1@1", b"id: e-2@2", b"id: e-3@3"]


def test_a_stream_of_a_rare_topic_shows_that_it_lives() -> None:
    """A stream that is woken all the time by events of other topics says so as a quiet one does."""
    said = told(Scripted(*(Part((), number) for number in range(1, 40)), waits=HEARTBEAT_SECONDS / 10), 100)
    assert said[0] == b"retry: 2000"
    assert 3 <= said.count(b":") <= 4


@pytest.mark.parametrize(
    ("error", "reason"),
    [(JournalUnavailable("away"), "journal_unavailable"), (TooManyStreams("too much"), "connections")],
)
def test_a_stream_that_cannot_go_on_ends_and_is_counted(error: EventbusError, reason: str) -> None:
    """The stream ends as it should, its reader comes back, and the metrics say why."""
    bus = Scripted(Part((event(1),), 1), error)
    assert told(bus) == [b"retry: 2000", b"id: e-1@1"]
    assert bus.counters.refused == {reason: 1}
