"""How far a command has come, on one line that is written again and again."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TextIO

#: Seconds between two pictures, at least.
REDRAW_SECONDS = 0.1


class Progress(Protocol):
    """Told how many are done so far."""

    def to(self, done: int, note: str = "") -> None:
        """So many are done; ``note`` is said beside it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class NoProgress:
    """Shows nothing: where nobody looks."""

    def to(self, done: int, note: str = "") -> None:
        """See Progress.to."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to end."""


class PlainProgress:
    """One line without colour or lines, for a terminal where rich is not installed."""

    def __init__(self, out: TextIO, what: str, total: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._what = what
        self._total = total
        self._clock = clock
        self._began = self._shown_at = clock()
        self._picture = ""
        self._width = 0

    def to(self, done: int, note: str = "") -> None:
        """See Progress.to."""
        now = self._clock()
        self._picture = progress_line(self._what, done, self._total, now - self._began, note)
        if now - self._shown_at >= REDRAW_SECONDS or not self._width:
            self._shown_at = now
            self._draw()

    def _draw(self) -> None:
        self._out.write("\r" + self._picture.ljust(self._width))
        self._out.flush()
        self._width = max(self._width, len(self._picture))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._picture:
            self._draw()
            self._out.write("\n")
            self._out.flush()


def progress_line(what: str, done: int, total: int | None, seconds: float, note: str) -> str:
    """The line in words and numbers."""
    of = "" if total is None else f" of {total:,} ({_percent(done, total)} %)"
    rate = f", {done / seconds:,.0f} a second" if done and seconds >= REDRAW_SECONDS else ""
    return f"{what} {done:,}{of}{rate}{', ' + note if note else ''}"


def _percent(done: int, total: int) -> int:
    return 100 if total <= 0 else min(100, 100 * done // total)
