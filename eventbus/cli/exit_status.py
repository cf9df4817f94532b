"""How a command ends: its exit status, and what it says on standard error."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from eventbus.cli.escape import escape
from eventbus.client import ApiError, ProtocolError, Unauthorized, Unreachable, UsageError
from eventbus.client.errors import BusError

#: What was asked for is done; was refused, or something is wrong; was asked for wrongly; no bus was reached.
SUCCESS, FAILURE, USAGE_ERROR, UNREACHABLE = 0, 1, 2, 3
#: By Ctrl-C, and by SIGTERM or SIGHUP: 128 and the signal's number, as shells have it.
INTERRUPTED = 130
#: What a proxy answers that does not reach the bus behind it.
_GATEWAY_STATUSES = (502, 504)


class CommandFailed(click.ClickException):
    """The end of a command, with a status and a sentence."""

    def __init__(self, sentence: str, status: int = FAILURE) -> None:
        super().__init__(sentence)
        self.status = status


class Stopped(BaseException):
    """A signal asked the command to end: as Ctrl-C does, it passes through all that catches errors."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


def translate_error(error: BusError, url: str) -> CommandFailed:
    """What an error of the client means for who typed the command."""
    payload = escape(str(error)).rstrip(".")
    if isinstance(error, UsageError):
        return CommandFailed(f"{payload}.", USAGE_ERROR)
    if isinstance(error, Unreachable):
        return CommandFailed(
            f"{_with_url(payload, url)}; start one with 'eventbus serve', or name another by --url.", UNREACHABLE
        )
    if isinstance(error, ProtocolError):
        return CommandFailed(f"{payload}; what answers at {escape(url)} is no bus: name one by --url.", UNREACHABLE)
    return _refusal(error, url) if isinstance(error, ApiError) else CommandFailed(f"{payload}.")


def _refusal(error: ApiError, url: str) -> CommandFailed:
    payload = f"{escape(error.detail).rstrip('.') or 'The bus gave no reason'} (status {error.status})"
    if isinstance(error, Unauthorized):
        return CommandFailed(f"{payload}; give a token in EVENTBUS_TOKEN, or by --token-file.")
    if error.status in _GATEWAY_STATUSES:
        return CommandFailed(f"{payload}; the proxy at {escape(url)} does not reach the bus behind it.", UNREACHABLE)
    if error.retry_after:
        return CommandFailed(f"{payload}; try again in {error.retry_after:g} seconds.")
    return CommandFailed(f"{payload}.")


def _with_url(payload: str, url: str) -> str:
    """Where no answer came from, which the client need not say."""
    return payload.replace("from the bus", f"from the bus at {escape(url)}", 1)


#: As a terminal that is closed, and a supervisor, ask.
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise Stopped at these signals; one that is passed over, as nohup has it, stays so."""
    before = {number: signal.getsignal(number) for number in _STOP_SIGNALS}
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
