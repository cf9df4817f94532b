"""Signals that ask a command to end, where it has something to put in order first."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from eventbus.cli.status import Stopped

#: As a terminal that is closed, and a supervisor, ask.
_ASKING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise Stopped at these signals; one that is passed over, as nohup has it, stays so."""
    before = {number: signal.getsignal(number) for number in _ASKING}
    mine = [number for number, handler in before.items() if handler is signal.SIG_DFL]
    for number in mine:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)


def _stop(number: int, _: FrameType | None) -> None:
    raise Stopped(number)
