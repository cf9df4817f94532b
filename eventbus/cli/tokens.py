"""``eventbus token``: makes tokens for the file of named tokens. Imports the server's rules, and only when it runs."""

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from eventbus.cli.command import Group
from eventbus.cli.context import json_option
from eventbus.cli.screen import Screen
from eventbus.core.clock import seconds_of
from eventbus.core.errors import BadRequest

if TYPE_CHECKING:
    from eventbus.core.token_file import NamedToken

#: How a token begins, so that programs which look for leaked secrets can find it; and its random bytes.
PREFIX, RANDOM_BYTES = "evb_", 32
_SCOPES = ("publish", "subscribe", "view", "admin")
_DURATION = re.compile(r"([1-9][0-9]{0,5})([dhm])\Z")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


@click.group("token", cls=Group, examples=("eventbus token new orders --scope publish --publish 'orders.>'",))
def token() -> None:
    """Make tokens that have a name."""


def _parse_expiry(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Return when a token expires, in seconds since 1970. Raises BadParameter."""
    if value is None:
        return None
    now = datetime.now(UTC)
    if match := _DURATION.match(value):
        return (now + timedelta(**{_UNITS[match[2]]: int(match[1])})).timestamp()
    found = seconds_of(f"{value}T00:00:00Z" if _DATE.match(value) else value)
    if found is None:
        raise click.BadParameter(
            f"{value!r} is neither a duration such as 90d, 12h or 30m, nor a date, nor a time in RFC 3339"
        )
    if found <= now.timestamp():
        raise click.BadParameter(f"{value} has passed")
    return found


@token.command(
    "new",
    examples=(
        "eventbus token new orders --scope publish --publish 'orders.>'",
        "eventbus token new mailer --scope subscribe --subscribe 'orders.*' --address '*.mailer:8080' --expires 90d",
        "eventbus token new prometheus --scope view",
        "eventbus token new ada --scope admin --json | jq -r .token",
    ),
)
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(_SCOPES),
    help="What it permits; may be repeated.",
)
@click.option(
    "--publish",
    multiple=True,
    metavar="PATTERN",
    help="A topic pattern that it may publish; may be repeated. Else any.",
)
@click.option(
    "--subscribe",
    multiple=True,
    metavar="PATTERN",
    help="A topic pattern that it may subscribe to; may be repeated. Else any.",
)
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="PATTERN",
    help="Addresses that it may register, such as *.shop.svc:8080; may be repeated. Else any.",
)
@click.option(
    "--expires",
    callback=_parse_expiry,
    metavar="WHEN",
    help="A duration (90d, 12h, 30m), a date, or a time (RFC 3339).",
)
@json_option
def new(
    name: str,
    scopes: tuple[str, ...],
    expires: float | None,
    as_json: bool,  # noqa: FBT001 - click names it
    **patterns: tuple[str, ...],
) -> None:
    """Make a token, and print it once, with the table for the file.

    No bus is asked. The file has the token's digest: the token is kept nowhere, so give it to its client now. Two
    tokens may have one NAME, so that one can replace the other.
    """
    from eventbus.core.token_file import table_of  # noqa: PLC0415 - the server's, and only when it runs

    made = f"{PREFIX}{secrets.token_urlsafe(RANDOM_BYTES)}"
    table = table_of(_named(made, name, scopes, patterns, expires))
    screen = Screen.of_this_process(as_json=as_json)
    if as_json:
        screen.value({"token": made, "table": table})
        return
    screen.note(f"The token of {name}, which is shown this once:")
    screen.line(made)
    screen.note("Add this to the file that EVENTBUS_TOKENS_FILE names; the bus reads it within seconds:")
    screen.raw(table.encode())


def _named(
    made: str, name: str, scopes: tuple[str, ...], lists: dict[str, tuple[str, ...]], expires: float | None
) -> "NamedToken":
    """Return the token as a file says it. Raises UsageError where the file would be wrong."""
    from eventbus.core.access import Access  # noqa: PLC0415
    from eventbus.core.address_patterns import parse_pattern  # noqa: PLC0415
    from eventbus.core.token_file import NamedToken, check_name, parse_token_file, table_of  # noqa: PLC0415
    from eventbus.core.tokens import Scope, digest_of  # noqa: PLC0415
    from eventbus.core.topics import check_patterns  # noqa: PLC0415

    try:
        access = Access(
            frozenset(map(Scope, scopes)),
            check_name(name),
            check_patterns(lists["publish"]),
            check_patterns(lists["subscribe"]),
            tuple(map(parse_pattern, lists["addresses"])),
        )
    except BadRequest as error:
        raise click.UsageError(str(error)) from None
    found = NamedToken(access, digest_of(made), expires)
    read = parse_token_file(table_of(found).encode())
    if read.faults:
        raise click.UsageError(read.faults[0].text)
    return found
