"""The options of every command that calls a bus: its URL, the token, the timeout, and whether to print JSON."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from eventbus.cli.exit_status import translate_error
from eventbus.cli.screen import Screen
from eventbus.client import NO_RETRY, Backoff, Bus
from eventbus.client.calls import api_error
from eventbus.client.errors import BusError, ProtocolError
from eventbus.client.http import HttpTransport, Request, Response

#: Seconds without a byte of an answer after which a call has failed.
TIMEOUT_SECONDS = 10.0
#: The URL of a bus that ``eventbus serve`` has started.
DEFAULT_URL = "http://localhost:3000"


@dataclass(frozen=True, slots=True)
class CommandContext:
    """The bus that a command calls, and the screen that it writes to."""

    url: str
    token: str | None
    timeout: float  # seconds without a byte of an answer
    screen: Screen

    def bus(self, *, retry: float = 0.0, source: str | None = None) -> Bus:
        """Return a client that retries a call for ``retry`` seconds where that may help."""
        backoff = Backoff(max_elapsed=retry) if retry else NO_RETRY
        return Bus(self.url, token=self.token, timeout=self.timeout, backoff=backoff, source=source)

    def get(self, path: str) -> Response:
        """Return the response to a GET, whatever its status. Raises Unreachable."""
        transport = HttpTransport(self.url)
        try:
            return transport.request(Request("GET", path, {"Accept": "application/json"}, None, self.timeout))
        finally:
            transport.close()

    def readiness(self) -> Response:
        """Return the response of ``/readyz``, ready or not. Raises BusError where there is no bus."""
        response = self.get("/readyz")
        if response.status in (502, 504):
            raise api_error(response)
        if response.status not in (200, 503):
            raise ProtocolError(f"GET /readyz was answered with status {response.status}")
        return response


def with_context(function: Callable[..., None]) -> Callable[..., None]:
    """Add these options to a command. Its function gets a ``context``, and its errors become exit statuses."""

    @wraps(function)
    def with_options(url: str, token_file: Path | None, timeout: float, as_json: bool, **options: Any) -> None:  # noqa: FBT001 - click names it
        context = CommandContext(url, _read_token(token_file), timeout, Screen.of_this_process(as_json=as_json))
        try:
            function(context=context, **options)
        except BusError as error:
            raise translate_error(error, url) from error

    for option in reversed(_OPTIONS):
        with_options = option(with_options)
    return with_options


def _check_url(_: click.Context, __: click.Parameter, value: str) -> str:
    """Return a URL whose host can be resolved. The client finds what else is wrong with it."""
    try:
        host = urlsplit(value if "://" in value else f"http://{value}").hostname or ""
        host.encode("idna")
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a URL of a bus, such as {DEFAULT_URL}") from None
    return value


def _read_token(file: Path | None) -> str | None:
    """Return the token in a file, else in the environment; never on the command line, since that is public."""
    token = (os.environ.get("EVENTBUS_TOKEN", "") if file is None else read_text(file)).strip()
    if token and not re.fullmatch("[!-~]+", token):
        where = "EVENTBUS_TOKEN" if file is None else f"the file {str(file)!r}"
        raise click.UsageError(f"A token is visible ASCII without spaces; {where} holds something else")
    return token or None


def read_text(file: Path) -> str:
    """Return the text in a file. Raises UsageError."""
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        raise click.UsageError(f"The file {str(file)!r} is not UTF-8 text") from None


#: The type of an option for a file that can be read.
READABLE_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON: one value, or one a line for a stream.")
_OPTIONS = (
    click.option(
        "--url",
        envvar="EVENTBUS_URL",
        default=DEFAULT_URL,
        show_default=True,
        show_envvar=True,
        callback=_check_url,
        metavar="URL",
        help="The bus.",
    ),
    click.option(
        "--token-file",
        type=READABLE_FILE,
        metavar="FILE",
        help="A file with the token, where the bus wants one; else EVENTBUS_TOKEN holds it.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(0.1, 3_600),
        default=TIMEOUT_SECONDS,
        show_default=True,
        metavar="SECONDS",
        help="How long an answer may take.",
    ),
    json_option,
)
