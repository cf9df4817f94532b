"""``eventbus register`` and ``eventbus deregister``, for services that do not register by themselves."""

from typing import Any

import click

from eventbus.cli.command import command
from eventbus.cli.context import CommandContext, with_context
from eventbus.cli.credentials import credential_options, take_credentials
from eventbus.cli.escape import escape
from eventbus.cli.formatting import to_json
from eventbus.cli.named_subscription import NamedSubscription, with_named_subscription
from eventbus.cli.options import subscription_options, take_options
from eventbus.cli.screen import Screen, pluralize
from eventbus.client import DryRun, Terms
from eventbus.client.encoding import rfc3339
from eventbus.core.options import registration_options
from eventbus.core.target_path import with_path


@command(
    "register",
    "eventbus register localhost:8001",
    "eventbus register localhost:8001 --topic 'orders.*' --lease 3600",
    "eventbus register localhost:8001 --ordered --resume --from earliest",
    """eventbus register localhost:8001 --filter '{"exact": {"data.region": "eu"}}'""",
    "eventbus register localhost:8001 --topic 'orders.*' --dry-run",
    "eventbus register localhost:8002 --group mailer",
    "eventbus register https://orders.example.com --authorization-env ORDERS_TOKEN --secret-env ORDERS_SECRET",
    "eventbus register localhost:8003 --batch 100 --batch-wait 1",
    "eventbus register localhost:8080 --path '/hooks/orders?source=bus'",
)
@click.argument("address")
@subscription_options(registration_options())
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be, and which past events match.")
@credential_options
@with_context
def register(
    context: CommandContext,
    address: str,
    dry_run: bool,  # noqa: FBT001 - click names it
    **arguments: Any,
) -> None:
    """Register an address, or renew its lease.

    What is left out of a renewal stays as it was. Credentials come from the environment. Give them with each renewal,
    since the bus keeps them in memory only.
    """
    credentials = take_credentials(arguments)
    options = take_options(arguments, registration_options())
    asked = {"topics": options.pop("topics"), "terms": Terms(**options)}
    asked |= {"authorization": credentials.authorization, "secret": credentials.secret}
    if dry_run:
        with context.bus() as bus:
            _print_dry_run(context.screen, bus.dry_run(address, **asked))
        return
    with context.bus() as bus:
        found = bus.register(address, **asked)
    if context.screen.as_json:
        context.screen.value(to_json(found))
    else:
        done = "Registered" if found.created else "Renewed"
        group = "" if found.group is None else f" in the group {escape(found.group)}"
        ends = "" if found.expires_at is None else f" until {rfc3339(found.expires_at)}"
        context.screen.note(f"{done} {escape(with_path(found.address, found.path))}{group}{ends}.")
        for each in found.warnings:
            context.screen.note(escape(each))


def _print_dry_run(screen: Screen, found: DryRun) -> None:
    """Print what a registration would be, and the newest events that match."""
    if screen.as_json:
        screen.value(to_json(found))
        return
    done = "registered" if found.created else "renewed"
    name = escape(with_path(found.address, found.path))
    screen.line(f"{name} would be {done}. Nothing was changed.")
    looked = "the last day" if found.complete else "the last day that there was time for, the newest ones"
    screen.line(f"{found.matches:,} of {pluralize(found.events, 'event')} of {looked} match.")
    for one in found.newest:
        screen.line(f"{rfc3339(one.accepted_at)}  {escape(one.topic or '')}  {escape(one.id)}")


@command("deregister", "eventbus deregister localhost:8001", "eventbus deregister --group mailer")
@with_named_subscription
@with_context
def deregister(context: CommandContext, **named: str | None) -> None:
    """End the lease of an address, or of a group.

    What is pending for it is discarded: a service that only restarts needs no deregistering. A member of a group only
    leaves it; what is pending goes to the other members.
    """
    whose = NamedSubscription(**named)
    whose.check()
    with context.bus() as bus:
        discarded = bus.deregister(**named)
    if context.screen.as_json:
        context.screen.value({**{name: value for name, value in named.items() if value}, "discarded": discarded})
    else:
        context.screen.note(f"Deregistered {whose.text}; {discarded} pending deliveries discarded.")
