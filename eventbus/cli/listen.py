"""``eventbus listen``: prints events as they come, from the feed or as a subscriber."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from math import inf
from pathlib import Path
from typing import Any

import click

from eventbus.cli.command import command
from eventbus.cli.context import READABLE_FILE, CommandContext, read_text, with_context
from eventbus.cli.credentials import CommandCredentials, credential_options, take_credentials
from eventbus.cli.escape import escape
from eventbus.cli.exit_status import stop_on_signals
from eventbus.cli.formatting import event_printer
from eventbus.cli.local_subscriber import DeliveryQueue, address_seen_from, serve_inbox
from eventbus.cli.options import subscription_options, take_options
from eventbus.cli.positions import feed_position, position_option
from eventbus.client import Event, Inbox, Terms, Verifier
from eventbus.client.encoding import check_patterns
from eventbus.client.events import Position
from eventbus.core.option_table import options_of
from eventbus.core.options import DeliveryOptions, RegistrationOptions

#: The options of the subscriber that it can be. Its position is not kept, since it deregisters at the end.
_REGISTERING = tuple(
    one for one in options_of(DeliveryOptions, RegistrationOptions) if one.name not in ("resume", "drain", "start")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenOptions:
    """The options of the command."""

    topics: tuple[str, ...]
    start: Position
    count: int | None
    raw: bool
    address: str | None  # "" for one that is found
    secrets: Path | None
    subscription: dict[str, Any]  # options that were given
    credentials: CommandCredentials


def _address(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Check HOST:PORT, with or without a path. Anything else is probably a topic after the option."""
    host, _colon, rest = (value or "").rpartition("://")[2].partition(":")
    port = rest.partition("/")[0]
    if value and not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise click.BadParameter(f"{value!r} is not HOST:PORT with an IPv4 host; topics stand before this option")
    return value


@command(
    "listen",
    "eventbus listen",
    "eventbus listen 'orders.*' --after 2026-11-24T06:00:00Z",
    "eventbus listen orders.created --json | jq .data.order",
    "eventbus listen --count 1 --raw > event.bin",
    "eventbus listen 'orders.>' --register",
    "eventbus listen --register --group mailer",
    "eventbus listen --register --batch 100 --batch-wait 1",
    "eventbus listen --register dev.example.com:8001 --secret-file secrets.txt",
    "eventbus listen --register dev.example.com:8001 --secret-env MY_SECRET",
)
@click.argument("topics", nargs=-1, metavar="[TOPIC]...")
@position_option(
    "--after", "start", "Begin after an event's id or a time, with the 'earliest', or 'now'.", default="now"
)
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N events.")
@click.option("--raw", is_flag=True, help="Print bodies only, as they came, each with a newline after it.")
@click.option(
    "--register",
    "address",
    is_flag=False,
    flag_value="",
    callback=_address,
    metavar="[HOST:PORT]",
    help="Be a subscriber, to which the bus delivers; HOST:PORT is how it reaches this machine.",
)
@click.option(
    "--secret-file",
    "secrets",
    type=READABLE_FILE,
    metavar="FILE",
    help="Signing secrets, by which deliveries are verified; else EVENTBUS_SIGNING_SECRETS.",
)
@subscription_options(_REGISTERING)
@credential_options
@with_context
def listen(context: CommandContext, **arguments: Any) -> None:
    """Print events as they come.

    All, or those that match a TOPIC, until Ctrl-C. Reads the feed, and resumes when the bus has
    restarted. With --register each delivery is answered when it has been printed, and the subscriber is
    deregistered at the end. With --batch the events of a request are printed one by one.
    """
    given = {name: value for name, value in take_options(arguments, _REGISTERING).items() if value is not None}
    options = ListenOptions(subscription=given, credentials=take_credentials(arguments), **arguments)
    check_patterns(options.topics)
    if options.raw and context.screen.as_json:
        raise click.UsageError("--raw and --json contradict each other: leave one out")
    if options.secrets is not None and options.address is None:
        raise click.UsageError("--secret-file verifies deliveries, which come with --register")
    if options.credentials and options.address is None:
        raise click.UsageError("--authorization-env and --secret-env are for deliveries, which come with --register")
    if options.subscription and options.address is None:
        flag = next(one.flag for one in _REGISTERING if one.name in options.subscription)
        raise click.UsageError(f"--{flag} is an option of a subscriber, which listens with --register")
    show = event_printer(context.screen, raw=options.raw)
    (_follow if options.address is None else _subscribe)(context, options, show)


def _follow(context: CommandContext, options: ListenOptions, show: Callable[[Event], None]) -> None:
    """Print events from the feed. Wait for as long as the bus is unreachable."""
    context.readiness()
    if context.screen.error_terminal:
        context.screen.note(f"Listening at {escape(context.url)}; Ctrl-C ends.")
    with (
        context.bus(retry=inf) as bus,
        bus.events(after=feed_position(options.start), topics=options.topics, follow=True) as feed,
    ):
        for event in islice(feed, options.count):
            show(event)


def _subscribe(context: CommandContext, options: ListenOptions, show: Callable[[Event], None]) -> None:
    """Register, and print deliveries."""
    address = options.address or None
    deliveries = DeliveryQueue(context.screen, seen=options.start if isinstance(options.start, str) else None)
    start = None if options.start == "now" else options.start
    authorization, secret = options.credentials.authorization, options.credentials.secret
    verifier = Verifier(_secrets(options.secrets, secret))
    with context.bus() as bus:
        terms = Terms(start=start, resume=False, **options.subscription)
        inbox = Inbox(
            bus, address, terms=terms, authorization=authorization, secret=secret, verifier=verifier,
            on_state=deliveries.put_state,
        )  # fmt: skip
        if inbox.group is not None:
            inbox.terms = replace(terms, resume=None)  # that of the group stays as it is
        inbox.on(*options.topics)(deliveries.put)
        with stop_on_signals(), serve_inbox(bus, inbox, address or address_seen_from(context.url)), deliveries:
            deliveries.print_events(show, options.count)


def _secrets(file: Path | None, own: str | None) -> str:
    """Return the secrets by which deliveries may be signed, separated by commas: its own, and those in the file.

    Without either, those of the bus.
    """
    if file is None:
        return own or os.environ.get("EVENTBUS_SIGNING_SECRETS", "")
    return ",".join(filter(None, (own, *read_text(file).split())))
