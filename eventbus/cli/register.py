"""``eventbus register`` and ``eventbus deregister``: for services that do not do so themselves."""

from typing import Any

import click

from eventbus.cli.command import command
from eventbus.cli.places import place
from eventbus.cli.reach import Reach, reaching
from eventbus.cli.safe import safe
from eventbus.cli.shown import as_json, rfc3339
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
    "--from", "start", callback=place, metavar="PLACE", help="Begin with the 'earliest', an event's id or a time."
)
@reaching
def register(reach: Reach, address: str, topics: tuple[str, ...], **terms: Any) -> None:
    """Register an address, or renew its lease.

    What is left out of a renewal stays as it was.
    """
    with reach.bus() as bus:
        found = bus.register(address, topics=topics or None, terms=Terms(**terms))
    if reach.screen.as_json:
        reach.screen.value(as_json(found))
    else:
        done = "Registered" if found.created else "Renewed"
        reach.screen.note(f"{done} {safe(found.address)} until {rfc3339(found.expires_at)}.")


@command("deregister", "eventbus deregister localhost:8001")
@click.argument("address")
@reaching
def deregister(reach: Reach, address: str) -> None:
    """End an address's lease.

    What is pending for it is discarded: a service that only restarts needs no deregistering.
    """
    with reach.bus() as bus:
        discarded = bus.deregister(address)
    if reach.screen.as_json:
        reach.screen.value({"address": address, "discarded": discarded})
    else:
        reach.screen.note(f"Deregistered {safe(address)}; {discarded} pending deliveries discarded.")
