"""``eventbus bench``: measures a running bus under a load."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from eventbus.cli.command import command
from eventbus.cli.context import CommandContext, with_context
from eventbus.cli.exit_status import stop_on_signals
from eventbus.cli.load import Load, LoadRun
from eventbus.cli.local_subscriber import address_seen_from

Function = TypeVar("Function", bound=Callable[..., Any])


def _number(
    flag: str, default: int, within: click.IntRange, described: str, metavar: str = "N"
) -> Callable[[Function], Function]:
    """Return an option that takes an integer, ``described`` in its help."""
    return click.option(flag, type=within, default=default, show_default=True, metavar=metavar, help=described)


@command(
    "bench",
    "eventbus bench",
    "eventbus bench --events 10000 --subscribers 3 --size 4096",
    "eventbus bench --rate 200 --json | jq .arrival_p99",
)
@_number("--events", 1_000, click.IntRange(1, 10_000_000), "Events to publish.")
@_number("--subscribers", 1, click.IntRange(1, 500), "Subscribers, each of which gets all of them.")
@_number("--size", 256, click.IntRange(8, 1_048_576), "How large an event is.", metavar="BYTES")
@_number("--connections", 4, click.IntRange(1, 64), "Connections that publish at once.")
@click.option(
    "--rate", type=click.FloatRange(0.1), metavar="N", help="Publishes per second in all; else as many as possible."
)
@with_context
def bench(context: CommandContext, **arguments: Any) -> None:
    """Measure a running bus under a load.

    Publishes, and receives what is delivered, on a topic and by subscribers of its own, which are deregistered at
    the end; the events stay in the journal for its retention. Publishers and subscribers are this one Python
    process, and so part of what is measured: a bus can do more than they.
    """
    load = Load(**arguments)
    context.readiness()
    with (
        stop_on_signals(),
        context.bus(retry=context.timeout) as bus,
        context.screen.progress("delivered", load.deliveries) as show_progress,
    ):
        host = address_seen_from(context.url).rpartition(":")[0]
        result = LoadRun(bus, host, load).run(show_progress)
    if context.screen.as_json:
        context.screen.value(result.as_json())
    else:
        context.screen.line("\n".join(result.lines()))
        context.screen.note("The Python client is part of what was measured: it publishes and receives in one process.")
    if result.lost:
        click.get_current_context().exit(1)
