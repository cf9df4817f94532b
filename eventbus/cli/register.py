"""``eventbus register`` and ``eventbus deregister``: for services that do not do so themselves."""

from typing import Any

import click

from eventbus.cli.command import command
from eventbus.cli.context import CommandContext, with_context
from eventbus.cli.escape import escape
from eventbus.cli.formatting import rfc3339, to_json
from eventbus.cli.positions import parse_position
from eventbus.client import Terms


@command(
    "register",
    "eventbus register localhost:8001",
    "eventbus register localhost:8001 --topic 'orders.*' --lease 3600",
    "eventbus register localhost:8001 --ordered --resume --from earliest",
)
@click.argument("address")
@click.option("--topic", "topics", multiple=True, metavar="TOPIC", help="Only events that match; may repeat.")
@click.option("--lease", type=click.FloatRange(5, 86_400), metavar="SECONDS", help="How long without a renewal.")
@click.option("--ordered/--unordered", default=None, help="Deliver one at a time, in order.")
@click.option("--resume/--no-resume", default=None, help="Keep its place when the lease ends.")
@click.option(
    "--from",
    "start",
    callback=parse_position,
    metavar="PLACE",
    help="Begin with the 'earliest', an event's id or a time.",
)
@with_context
def register(context: CommandContext, address: str, topics: tuple[str, ...], **terms: Any) -> None:
    """Register an address, or renew its lease.

    What is left out of a renewal stays as it was.
    """
    with context.bus() as bus:
        found = bus.register(address, topics=topics or None, terms=Terms(**terms))
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
