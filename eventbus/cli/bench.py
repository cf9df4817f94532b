"""``eventbus bench``: how a bus that runs does under a load."""

from typing import Any

import click

from eventbus.cli.command import command
from eventbus.cli.delivered import address_towards
from eventbus.cli.load import Load, Run
from eventbus.cli.reach import Reach, reaching
from eventbus.cli.signals import stopped_by_signals


@command(
    "bench",
    "eventbus bench",
    "eventbus bench --events 10000 --subscribers 3 --size 4096",
    "eventbus bench --rate 200 --json | jq .arrival_p99",
)
@click.option(
    "--events",
    type=click.IntRange(1, 10_000_000),
    default=1_000,
    show_default=True,
    metavar="N",
    help="Events to publish.",
)
@click.option(
    "--subscribers",
    type=click.IntRange(1, 500),
    default=1,
    show_default=True,
    metavar="N",
    help="Subscribers, each of which gets all of them.",
)
@click.option(
    "--size",
    type=click.IntRange(8, 1_048_576),
    default=256,
    show_default=True,
    metavar="BYTES",
    help="How large an event is.",
)
@click.option(
    "--connections",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    metavar="N",
    help="Connections that publish at once.",
)
@click.option(
    "--rate", type=click.FloatRange(0.1), metavar="N", help="Publishes a second in all; else as fast as it goes."
)
@reaching
def bench(reach: Reach, **typed: Any) -> None:
    """Measure a bus that runs, under a load.

    Publishes, and receives what is delivered, on a topic and by subscribers of its own, which are deregistered at
    the end; the events stay in the journal for its retention. Publishers and subscribers are this one Python
    process, and so part of what is measured: a bus can do more than they.
    """
    load = Load(**typed)
    reach.find()
    with (
        stopped_by_signals(),
        reach.bus(retry=reach.timeout) as bus,
        reach.screen.progress("delivered", load.deliveries) as bar,
    ):
        host = address_towards(reach.url).rpartition(":")[0]
        measured = Run(bus, host, load).measured(bar.to)
    if reach.screen.as_json:
        reach.screen.value(measured.as_json())
    else:
        reach.screen.line("\n".join(measured.lines()))
        reach.screen.note("The Python client is part of what was measured: it publishes and receives in one process.")
    if measured.lost:
        click.get_current_context().exit(1)
