"""``eventbus register`` and ``eventbus deregister``, for services that do not register by themselves."""

from typing import Any

import click

from eventbus.cli.command import command
from eventbus.cli.context import CommandContext, with_context
from eventbus.cli.escape import escape
from eventbus.cli.formatting import to_json
from eventbus.cli.options import subscription_options, take_options
from eventbus.client import Terms
from eventbus.client.encoding import rfc3339
from eventbus.core.options import registration_options


@command(
    "register",
    "eventbus register localhost:8001",
    "eventbus register localhost:8001 --topic 'orders.*' --lease 3600",
    "eventbus register localhost:8001 --ordered --resume --from earliest",
)
@click.argument("address")
@subscription_options(registration_options())
@with_context
def register(context: CommandContext, address: str, **arguments: Any) -> None:
    """Register an address, or renew its lease.

    What is left out of a renewal stays as it was.
    """
    options = take_options(arguments, registration_options())
    with context.bus() as bus:
        found = bus.register(address, topics=options.pop("topics"), terms=Terms(**options))
    if context.screen.as_json:
        context.screen.value(to_json(found))
    else:
        done = "Registered" if found.created else "Renewed"
        context.screen.note(f"{done} {escape(found.address)} until {rfc3339(found.expires_at)}.")


@command("deregister", "eventbus deregister localhost:8001")
@click.argument("address")
@with_context
def deregister(context: CommandContext, address: str) -> None:
    """End an address's lease.

    What is pending for it is discarded: a service that only restarts needs no deregistering.
    """
    with context.bus() as bus:
        discarded = bus.deregister(address)
    if context.screen.as_json:
        context.screen.value({"address": address, "discarded": discarded})
    else:
        context.screen.note(f"Deregistered {escape(address)}; {discarded} pending deliveries discarded.")
