"""``eventbus dead-letters``: what could not be delivered, to look at, to deliver again or to discard."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import click

from eventbus.cli.change import Change, Chosen, Replay, changed, say
from eventbus.cli.command import Group, command
from eventbus.cli.reach import Reach, reaching
from eventbus.cli.replayed import PATIENCE, settled, tell
from eventbus.cli.safe import safe
from eventbus.cli.shown import as_json, bytes_lines, indented, rfc3339
from eventbus.cli.status import Failed
from eventbus.cli.table import Column, table
from eventbus.client import Bus, DeadLetter

_COLUMNS = (
    Column("id", number=True), Column("last attempt"), Column("subscriber"), Column("topic"), Column("event"),
    Column("attempts", number=True), Column("reason"),
)  # fmt: skip
_ONE = ("id", "subscriber", "event", "topic", "reason", "attempts", "first_attempt_at", "last_attempt_at",
        "last_status", "last_error")  # fmt: skip


@click.group(
    "dead-letters",
    cls=Group,
    examples=(
        "eventbus dead-letters list",
        "eventbus dead-letters show 17",
        "eventbus dead-letters replay --address localhost:8001",
        "eventbus dead-letters discard --id 17 --id 18",
    ),
)
def dead_letters() -> None:
    """Look at, replay or discard what was not delivered."""


def _command(name: str, *examples: str) -> Callable[[Callable[..., Any]], click.Command]:
    def add(function: Callable[..., Any]) -> click.Command:
        made = command(name, *examples)(function)
        dead_letters.add_command(made)
        return made

    return add


@_command(
    "list", "eventbus dead-letters list", "eventbus dead-letters list --address localhost:8001 --json | jq .last_error"
)
@click.option("--address", metavar="ADDRESS", help="One subscriber's.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="So many at most.")
@reaching
def list_them(reach: Reach, address: str | None, limit: int) -> None:
    """List dead letters, the oldest first."""
    with reach.bus() as bus:
        found = list(islice(bus.dead_letters(address=address), limit + 1))
    listed = found[:limit]
    if reach.screen.as_json:
        for letter in listed:
            reach.screen.value(as_json(letter))
    elif listed:
        reach.screen.table(table(_COLUMNS, [_row(letter) for letter in listed]))
    if len(found) > limit:
        reach.screen.note("There are more: --limit shows more.")
    elif not found:
        reach.screen.note("There are no dead letters.")


def _row(letter: DeadLetter) -> tuple[object, ...]:
    at = rfc3339(letter.last_attempt_at)
    return letter.id, at, letter.subscriber, letter.topic, letter.event, letter.attempts, _why(letter)


def _why(letter: DeadLetter) -> str:
    return letter.reason if not letter.last_error else f"{letter.reason}: {letter.last_error}"


@_command("show", "eventbus dead-letters show 17", "eventbus dead-letters show 17 --json | jq -r .event")
@click.argument("letter_id", type=click.IntRange(1), metavar="ID")
@reaching
def show(reach: Reach, letter_id: int) -> None:
    """Show one dead letter, with the last answer of its subscriber."""
    with reach.bus() as bus:
        letter = next((one for one in _up_to(bus, letter_id) if one.id == letter_id), None)
    if letter is None:
        raise Failed(f"There is no dead letter {letter_id}; 'eventbus dead-letters list' shows those that are.")
    said = as_json(letter)
    if reach.screen.as_json:
        reach.screen.value(said)
        return
    for name in _ONE:
        if said[name] is not None:
            reach.screen.line(f"{name.replace('_', ' ') + ':':<18}{safe(str(said[name]))}")
    if letter.last_answer:
        reach.screen.line("last answer:")
    for line in indented(bytes_lines(letter.last_answer)):
        reach.screen.line(line)


def _up_to(bus: Bus, letter_id: int) -> Iterator[DeadLetter]:
    """Their ids rise: what comes after the one that is looked for need not be read."""
    for letter in bus.dead_letters():
        if letter.id > letter_id:
            return
        yield letter


def _choosing(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which are meant."""
    options = (
        click.option("--address", metavar="ADDRESS", help="One subscriber's."),
        click.option("--id", "ids", type=click.IntRange(1), multiple=True, metavar="ID", help="One; may repeat."),
        click.option("--all", "everything", is_flag=True, help="All of them."),
        click.option("--yes", is_flag=True, help="Do not ask, where it is more than one."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@_command(
    "replay",
    "eventbus dead-letters replay --address localhost:8001",
    "eventbus dead-letters replay --id 17 --id 18",
    "eventbus dead-letters replay --all --yes",
)
@_choosing
@click.option("--no-wait", is_flag=True, help="Do not wait for what becomes of them.")
@reaching
def replay(reach: Reach, yes: bool, no_wait: bool, **which: Any) -> None:  # noqa: FBT001 - click names it
    """Put dead letters back, to be delivered again.

    Of all, those of registered subscribers are. Prints how many, waits up to 30 seconds until they are delivered or
    dead again, and fails where some are.
    """
    replay, screen = Replay(), reach.screen
    with reach.bus() as bus:
        replay.bus = bus
        done = changed(screen, bus, Change("Replay", "replayed", replay.redelivered), Chosen(**which), yes=yes)
        if not screen.as_json:
            say(screen, "replayed", done)
        if replay.id is not None:
            tell(screen, settled(bus, screen, replay.id, 0 if no_wait else PATIENCE), {"replayed": done})
        elif screen.as_json:
            screen.value({"replayed": done})


@_command("outcome", "eventbus dead-letters outcome 01a20d75-c91e-7397-b3b5-12e239f6bc48")
@click.argument("replay_id", metavar="REPLAY")
@reaching
def outcome(reach: Reach, replay_id: str) -> None:
    """Tell what became of dead letters that were put back."""
    with reach.bus() as bus:
        tell(reach.screen, bus.replay_outcome(replay_id), {})


@_command(
    "discard",
    "eventbus dead-letters discard --id 17",
    "eventbus dead-letters discard --address localhost:8001",
    "eventbus dead-letters discard --all --yes",
)
@_choosing
@reaching
def discard(reach: Reach, yes: bool, **which: Any) -> None:  # noqa: FBT001 - click names it
    """Discard dead letters for good.

    Prints how many.
    """
    with reach.bus() as bus:
        done = changed(reach.screen, bus, Change("Discard", "discarded", bus.discard), Chosen(**which), yes=yes)
    if reach.screen.as_json:
        reach.screen.value({"discarded": done})
    else:
        say(reach.screen, "discarded", done)
