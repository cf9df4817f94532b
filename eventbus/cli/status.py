"""How a command ends: its exit status, and what it says on standard error."""

import click

from eventbus.cli.safe import safe
from eventbus.client import ApiError, ProtocolError, Unauthorized, Unreachable, UsageError
from eventbus.client.errors import BusError

#: What was asked for is done; was refused, or something is wrong; was asked for wrongly; no bus was reached.
DONE, REFUSED, USAGE, UNREACHABLE = 0, 1, 2, 3
#: By Ctrl-C, and by SIGTERM or SIGHUP: 128 and the signal's number, as shells have it.
INTERRUPTED = 130
#: What a proxy answers that does not reach the bus behind it.
_NO_BUS_BEHIND = (502, 504)


class Failed(click.ClickException):
    """The end of a command, with a status and a sentence."""

    def __init__(self, sentence: str, status: int = REFUSED) -> None:
        super().__init__(sentence)
        self.status = status


class Stopped(BaseException):
    """A signal asked the command to end: as Ctrl-C does, it passes through all that catches errors."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


def failure(error: BusError, url: str) -> Failed:
    """What an error of the client means for who typed the command."""
    said = safe(str(error)).rstrip(".")
    if isinstance(error, UsageError):
        return Failed(f"{said}.", USAGE)
    if isinstance(error, Unreachable):
        return Failed(f"{_at(said, url)}; start one with 'eventbus serve', or name another by --url.", UNREACHABLE)
    if isinstance(error, ProtocolError):
        return Failed(f"{said}; what answers at {safe(url)} is no bus: name one by --url.", UNREACHABLE)
    return _refusal(error, url) if isinstance(error, ApiError) else Failed(f"{said}.")


def _refusal(error: ApiError, url: str) -> Failed:
    said = f"{safe(error.detail).rstrip('.') or 'The bus gave no reason'} (status {error.status})"
    if isinstance(error, Unauthorized):
        return Failed(f"{said}; give a token in EVENTBUS_TOKEN, or by --token-file.")
    if error.status in _NO_BUS_BEHIND:
        return Failed(f"{said}; the proxy at {safe(url)} does not reach the bus behind it.", UNREACHABLE)
    if error.retry_after:
        return Failed(f"{said}; try again in {error.retry_after:g} seconds.")
    return Failed(f"{said}.")


def _at(said: str, url: str) -> str:
    """Where no answer came from, which the client need not say."""
    return said.replace("from the bus", f"from the bus at {safe(url)}", 1)
