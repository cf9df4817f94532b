"""``eventbus attempts``: the newest attempts, and how they ended."""

from collections.abc import Sequence

import click

from eventbus.cli.command import command
from eventbus.cli.context import CommandContext, with_context
from eventbus.cli.formatting import to_json
from eventbus.cli.named_subscription import check_path, group_option, path_option
from eventbus.cli.renderer import Column, Table
from eventbus.client import Attempt
from eventbus.core.clock import rfc3339_ms
from eventbus.core.target_path import with_path

_COLUMNS = (
    Column("began"), Column("address"), Column("group"), Column("event"), Column("attempt", number=True),
    Column("ms", number=True), Column("status", number=True), Column("outcome"), Column("error"),
)  # fmt: skip


@command(
    "attempts",
    "eventbus attempts --address localhost:8001 --status failed",
    "eventbus attempts --id 0193c8a1-2b3c-7d4e-8f5a-6b7c8d9e0f1a",
    "eventbus attempts --status 5xx --json | jq -r .address | sort | uniq -c",
)
@click.option("--address", metavar="ADDRESS", help="Only those at this address, which may be a member's.")
@path_option
@group_option
@click.option("--id", "event", metavar="EVENT", help="Only those for the event with this id.")
@click.option("--status", metavar="STATUS", help="Only 503, 5xx and so on; none, delivered or failed.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="So many at most.")
@with_context
def attempts(context: CommandContext, limit: int, **chosen: str | None) -> None:
    """List the newest attempts, the newest first.

    The bus keeps them in memory: a restart forgets them.
    """
    check_path(chosen["address"], chosen["path"])
    with context.bus() as bus:
        context.screen.page(bus.attempts(**chosen), limit, to_json, _table, none="There are no such attempts.")


def _table(found: Sequence[Attempt]) -> Table:
    return Table.of(_COLUMNS, map(_row, found))


def _row(one: Attempt) -> tuple[object, ...]:
    return (
        rfc3339_ms(one.at.timestamp()), with_path(one.address, one.path), one.group, one.event, one.attempt,
        round(one.seconds * 1_000), one.status, one.outcome, one.error,
    )  # fmt: skip
