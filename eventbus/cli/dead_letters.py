"""``eventbus dead-letters``: lists what could not be delivered, shows it, delivers it again or discards it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from eventbus.cli.command import Group
from eventbus.cli.context import CommandContext, with_context
from eventbus.cli.dead_letter_actions import (
    OUTCOME_TIMEOUT_SECONDS,
    DeadLetterAction,
    DeadLetterReplay,
    DeadLetterSelection,
    print_outcome,
    wait_for_outcome,
)
from eventbus.cli.escape import escape
from eventbus.cli.exit_status import CommandFailed
from eventbus.cli.formatting import bytes_lines, indent, to_json
from eventbus.cli.named_subscription import check_path, group_option, path_option
from eventbus.cli.renderer import Column, Table
from eventbus.cli.screen import pluralize
from eventbus.client import Bus, DeadLetter
from eventbus.client.encoding import rfc3339
from eventbus.core.target_path import with_path

_COLUMNS = (
    Column("id", number=True), Column("last attempt"), Column("subscriber"), Column("topic"), Column("event"),
    Column("attempts", number=True), Column("reason"),
)  # fmt: skip
_FIELDS = ("id", "subscriber", "path", "event", "topic", "key", "reason", "attempts", "first_attempt_at",
        "last_attempt_at", "last_status", "last_error")  # fmt: skip


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
    """List, show, replay or discard what was not delivered."""


@dead_letters.command(
    "list",
    examples=(
        "eventbus dead-letters list",
        "eventbus dead-letters list --address localhost:8001 --json | jq .last_error",
    ),
)
@click.option("--address", metavar="ADDRESS", help="One subscriber's; of a group's member the group's.")
@path_option
@group_option
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="So many at most.")
@with_context
def list_them(context: CommandContext, limit: int, **named: str | None) -> None:
    """List dead letters, the oldest first."""
    if named["address"] is not None and named["group"] is not None:
        raise click.UsageError("Give --address or --group, not both")
    check_path(named["address"], named["path"])
    with context.bus() as bus:
        context.screen.page(bus.dead_letters(**named), limit, to_json, _table, none="There are no dead letters.")


def _table(found: Sequence[DeadLetter]) -> Table:
    return Table.of(_COLUMNS, map(_row, found))


def _row(letter: DeadLetter) -> tuple[object, ...]:
    at, whose = rfc3339(letter.last_attempt_at), with_path(letter.subscriber, letter.path)
    return letter.id, at, whose, letter.topic, letter.event, letter.attempts, _reason(letter)


def _reason(letter: DeadLetter) -> str:
    return letter.reason if not letter.last_error else f"{letter.reason}: {letter.last_error}"


@dead_letters.command(
    "show", examples=("eventbus dead-letters show 17", "eventbus dead-letters show 17 --json | jq -r .event")
)
@click.argument("letter_id", type=click.IntRange(1), metavar="ID")
@with_context
def show(context: CommandContext, letter_id: int) -> None:
    """Show one dead letter, with the last answer of its subscriber."""
    with context.bus() as bus:
        letter = next((one for one in _letters_up_to(bus, letter_id) if one.id == letter_id), None)
    if letter is None:
        raise CommandFailed(f"There is no dead letter {letter_id}; 'eventbus dead-letters list' shows those that are.")
    payload = to_json(letter)
    if context.screen.as_json:
        context.screen.value(payload)
        return
    for name in _FIELDS:
        if payload[name] is not None:
            context.screen.line(f"{name.replace('_', ' ') + ':':<18}{escape(str(payload[name]))}")
    if letter.last_answer:
        context.screen.line("last answer:")
    for line in indent(bytes_lines(letter.last_answer)):
        context.screen.line(line)


def _letters_up_to(bus: Bus, letter_id: int) -> Iterator[DeadLetter]:
    """Yield dead letters, oldest first, up to an id: ids rise, so later ones need not be read."""
    for letter in bus.dead_letters():
        if letter.id > letter_id:
            return
        yield letter


def _with_selection(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that select dead letters."""
    options = (
        click.option("--address", metavar="ADDRESS", help="One subscriber's; of a group's member the group's."),
        path_option,
        group_option,
        click.option("--id", "ids", type=click.IntRange(1), multiple=True, metavar="ID", help="One; may repeat."),
        click.option("--all", "everything", is_flag=True, help="All of them."),
        click.option("--yes", is_flag=True, help="Do not ask, where it is more than one."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@dead_letters.command(
    "replay",
    examples=(
        "eventbus dead-letters replay --address localhost:8001",
        "eventbus dead-letters replay --group mailer",
        "eventbus dead-letters replay --id 17 --id 18",
        "eventbus dead-letters replay --all --yes",
    ),
)
@_with_selection
@click.option("--no-wait", is_flag=True, help="Do not wait for what becomes of them.")
@with_context
def replay(context: CommandContext, yes: bool, no_wait: bool, **which: Any) -> None:  # noqa: FBT001 - click names it
    """Put dead letters back, to be delivered again.

    Of all, those of registered subscribers are. Events that have expired are put back by --id alone. Prints how many,
    waits up to 30 seconds until they are delivered or dead again, and fails where some are.
    """
    screen, selection = context.screen, DeadLetterSelection(**which)
    with context.bus() as bus:
        replay = DeadLetterReplay(bus)
        action = DeadLetterAction("Replay", "replayed", replay.redeliver)
        done = action.apply(selection, bus, screen, yes=yes)
        if not screen.as_json:
            action.print_count(screen, done)
            if replay.expired:
                screen.note(f"{pluralize(replay.expired, 'event')} had expired: replay such a dead letter by its --id.")
        payload = {"replayed": done, "expired": replay.expired}
        if replay.id is not None:
            outcome = wait_for_outcome(bus, screen, replay.id, 0 if no_wait else OUTCOME_TIMEOUT_SECONDS)
            print_outcome(screen, outcome, payload)
        elif screen.as_json:
            screen.value(payload)


@dead_letters.command("outcome", examples=("eventbus dead-letters outcome 01a20d75-c91e-7397-b3b5-12e239f6bc48",))
@click.argument("replay_id", metavar="REPLAY")
@with_context
def outcome(context: CommandContext, replay_id: str) -> None:
    """Show what became of dead letters that were replayed."""
    with context.bus() as bus:
        print_outcome(context.screen, bus.replay_outcome(replay_id), {})


@dead_letters.command(
    "discard",
    examples=(
        "eventbus dead-letters discard --id 17",
        "eventbus dead-letters discard --address localhost:8001",
        "eventbus dead-letters discard --all --yes",
    ),
)
@_with_selection
@with_context
def discard(context: CommandContext, yes: bool, **which: Any) -> None:  # noqa: FBT001 - click names it
    """Discard dead letters for good.

    Prints how many.
    """
    with context.bus() as bus:
        action = DeadLetterAction("Discard", "discarded", bus.discard)
        done = action.apply(DeadLetterSelection(**which), bus, context.screen, yes=yes)
    if context.screen.as_json:
        context.screen.value({"discarded": done})
    else:
        action.print_count(context.screen, done)
