"""How a command ends: its exit status, its error message, and the signals that stop it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from eventbus.cli.escape import escape
from eventbus.client import ApiError, ProtocolError, Unauthorized, Unreachable, UsageError
from eventbus.client.errors import BusError

#: Done; the bus refused, or something is wrong; the command line is wrong; no bus was reached.
SUCCESS, FAILURE, USAGE_ERROR, UNREACHABLE = 0, 1, 2, 3
#: An event was published, and not delivered to every subscription that wants it.
UNDELIVERED = 4
#: By Ctrl-C: 128 and the signal's number, as shells have it.
INTERRUPTED = 130
#: Statuses of a proxy that does not reach the bus behind it.
_GATEWAY_STATUSES = (502, 504)
#: What a supervisor sends, and a terminal that is closed.
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class CommandFailed(click.ClickException):
    """A command has failed, with an exit status and a sentence for people."""

    def __init__(self, sentence: str, status: int = FAILURE) -> None:
        super().__init__(sentence)
        self.status = status


class Stopped(BaseException):
    """A signal stopped the command. Like KeyboardInterrupt, it is no Exception, so that nothing catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


def translate_error(error: BusError, url: str) -> CommandFailed:
    """Return the failure of a command that the client's error causes, with what to do about it."""
    text = escape(str(error)).rstrip(".")
    if isinstance(error, UsageError):
        return CommandFailed(f"{text}.", USAGE_ERROR)
    if isinstance(error, Unreachable):
        return CommandFailed(
            f"{_with_url(text, url)}; start one with 'eventbus serve', or name another by --url.", UNREACHABLE
        )
    if isinstance(error, ProtocolError):
        return CommandFailed(f"{text}; what answers at {escape(url)} is not a bus: name one by --url.", UNREACHABLE)
    return _refusal(error, url) if isinstance(error, ApiError) else CommandFailed(f"{text}.")


def _refusal(error: ApiError, url: str) -> CommandFailed:
    text = f"{escape(error.detail).rstrip('.') or 'The bus gave no reason'} (status {error.status})"
    if isinstance(error, Unauthorized):
        return CommandFailed(f"{text}; give a token in EVENTBUS_TOKEN, or by --token-file.")
    if error.status in _GATEWAY_STATUSES:
        return CommandFailed(f"{text}; the proxy at {escape(url)} does not reach the bus behind it.", UNREACHABLE)
    if error.retry_after:
        return CommandFailed(f"{text}; try again in {error.retry_after:g} seconds.")
    return CommandFailed(f"{text}.")


def _with_url(text: str, url: str) -> str:
    """Add the URL, which the client's errors do not name."""
    return text.replace("from the bus", f"from the bus at {escape(url)}", 1)


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise Stopped on SIGTERM and SIGHUP, except where the process ignores them, as under nohup."""
    before = {number: signal.getsignal(number) for number in _STOP_SIGNALS}
    handled = [number for number, handler in before.items() if handler is signal.SIG_DFL]
    for number in handled:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


def _stop(number: int, _: FrameType | None) -> None:
    raise Stopped(number)
