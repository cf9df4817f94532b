"""What became of an event whose sender has waited: for people, as JSON, and as an exit status."""

from typing import Any

from eventbus.cli.exit_status import UNDELIVERED, CommandFailed
from eventbus.cli.formatting import to_json
from eventbus.cli.renderer import Column, Table
from eventbus.cli.screen import Screen, pluralize
from eventbus.client import Delivery, Fate
from eventbus.core.target_path import with_path

_COLUMNS = Column("subscriber"), Column("state"), Column("status", number=True), Column("attempts", number=True)
#: Colours of states that need attention.
STATE_COLOURS = {"dead": "red", "pending": "yellow"}


def fate_payload(fate: Fate) -> dict[str, Any]:
    """Return it as JSON."""
    return {**to_json(fate), "subscriptions": [to_json(one) for one in fate.subscriptions]}


def show_fate(screen: Screen, fate: Fate) -> None:
    """Print a row for each subscription that is named, and a sentence where that is not all."""
    if fate.subscriptions:
        colours = [STATE_COLOURS.get(one.state, "") for one in fate.subscriptions]
        screen.table(Table.of(_COLUMNS, map(_row, fate.subscriptions), colours))
    if fate.more:
        screen.note(f"Of {pluralize(fate.more, 'more subscription')} only the numbers are known: {_counts(fate)}.")
    elif not fate.subscriptions:
        screen.note("No subscription wants it.")


def undelivered(fate: Fate) -> CommandFailed:
    """Return the end of a command whose event is published, and not delivered to all who want it."""
    return CommandFailed(f"The event is published, and not delivered to all: {_counts(fate)}.", UNDELIVERED)


def _row(one: Delivery) -> tuple[object, ...]:
    name = with_path(one.address or one.group or "", one.path)
    return name, one.state, one.last_status, one.attempts or None


def _counts(fate: Fate) -> str:
    counts = {state: getattr(fate, state) for state in ("delivered", "filtered", "pending", "dead", "discarded")}
    return ", ".join(f"{count:,} {state}" for state, count in counts.items() if count)
