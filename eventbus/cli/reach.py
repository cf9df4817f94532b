"""Which bus a command speaks to, in whose name, with how much patience: the options that all of them have."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from eventbus.cli.screen import Screen
from eventbus.cli.status import failure
from eventbus.client import NO_RETRY, Backoff, Bus
from eventbus.client.calls import refusal
from eventbus.client.errors import BusError, ProtocolError
from eventbus.client.http import HttpTransport, Request, Response

#: Seconds that an answer may take.
TIMEOUT = 10.0
#: Where a bus is that was started by ``eventbus serve``.
URL = "http://localhost:3000"


@dataclass(frozen=True, slots=True)
class Reach:
    """A bus, and the screen that the command writes to."""

    url: str
    token: str | None
    timeout: float  # seconds without a byte of an answer
    screen: Screen

    def bus(self, *, retry: float = 0.0, source: str | None = None) -> Bus:
        """A client that repeats a call for ``retry`` seconds where that may help."""
        backoff = Backoff(patience=retry) if retry else NO_RETRY
        return Bus(self.url, token=self.token, timeout=self.timeout, backoff=backoff, source=source)

    def get(self, path: str) -> Response:
        """One plain answer, whatever its status. Raises Unreachable."""
        transport = HttpTransport(self.url)
        try:
            return transport.request(Request("GET", path, {"Accept": "application/json"}, None, self.timeout))
        finally:
            transport.close()

    def find(self) -> Response:
        """The answer to whether the bus is ready, which it may not be. Raises BusError where there is no bus."""
        answer = self.get("/readyz")
        if answer.status in (502, 504):
            raise refusal(answer)
        if answer.status not in (200, 503):
            raise ProtocolError(f"GET /readyz was answered with status {answer.status}")
        return answer


def reaching(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that all commands have which speak to a bus; the function is given a ``reach``."""

    @wraps(function)
    def with_reach(url: str, token_file: Path | None, timeout: float, as_json: bool, **asked: Any) -> None:  # noqa: FBT001 - click names it
        reach = Reach(url, _token(token_file), timeout, Screen.of_this_process(as_json=as_json))
        try:
            function(reach=reach, **asked)
        except BusError as error:
            raise failure(error, url) from error

    for option in reversed(_OPTIONS):
        with_reach = option(with_reach)
    return with_reach


def _url(_: click.Context, __: click.Parameter, value: str) -> str:
    """A URL that can be looked up: the client says what else is wrong with it."""
    try:
        host = urlsplit(value if "://" in value else f"http://{value}").hostname or ""
        host.encode("idna")
    except ValueError:
        raise click.BadParameter(f"{value!r} is no URL of a bus, such as {URL}") from None
    return value


def _token(file: Path | None) -> str | None:
    """The token of a file, else of the environment; never of the command line, which others can see."""
    token = (os.environ.get("EVENTBUS_TOKEN", "") if file is None else text_in(file)).strip()
    if token and not re.fullmatch("[!-~]+", token):
        where = "EVENTBUS_TOKEN" if file is None else f"the file {str(file)!r}"
        raise click.UsageError(f"A token is visible ASCII without spaces; {where} holds something else")
    return token or None


def text_in(file: Path) -> str:
    """The text in a file."""
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        raise click.UsageError(f"The file {str(file)!r} is no text") from None


#: A file that is there, and can be read.
FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON: one value, or one a line for a stream.")
_OPTIONS = (
    click.option("--url", envvar="EVENTBUS_URL", default=URL, show_default=True, show_envvar=True, callback=_url,
                 metavar="URL", help="The bus."),
    click.option("--token-file", type=FILE, metavar="FILE",
                 help="A file with the token, where the bus wants one; else EVENTBUS_TOKEN holds it."),
    click.option("--timeout", type=click.FloatRange(0.1, 3_600), default=TIMEOUT, show_default=True, metavar="SECONDS",
                 help="How long an answer may take."),
    json_option,
)  # fmt: skip
