"""What is done to dead letters by a command: which are meant, the question, and how many it were."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from eventbus.cli.exit_status import FAILURE, CommandFailed
from eventbus.cli.formatting import to_json
from eventbus.cli.screen import Screen, pluralize
from eventbus.client import Bus, ReplayOutcome


@dataclass(frozen=True, slots=True)
class DeadLetterSelection:
    """Which dead letters are meant: one subscriber's, some by their ids, or all; exactly one of these."""

    address: str | None
    ids: tuple[int, ...]
    everything: bool

    def check(self) -> None:
        """Raises UsageError unless it says one thing."""
        if (self.address is not None) + bool(self.ids) + self.everything != 1:
            raise click.UsageError("Say which dead letters: --address ADDRESS, --id ID, or --all")

    def count(self, bus: Bus, screen: Screen) -> int:
        """How many that are."""
        if self.ids:
            return len(self.ids)
        count = 0
        with screen.progress("counting dead letters") as bar:
            for count, _ in enumerate(bus.dead_letters(address=self.address), 1):
                bar.to(count)
        return count


@dataclass(frozen=True, slots=True)
class DeadLetterAction:
    """What is done to dead letters, as the question has it, as the answer has it, and by which call."""

    verb: str
    past: str
    call: Callable[..., int]

    def made(self, chosen: DeadLetterSelection, screen: Screen, count: int) -> int:
        """Do it; how many were changed."""
        done = 0
        with screen.progress(self.past, count) as bar:
            if not chosen.ids:
                done = self.call(address=chosen.address, everything=chosen.everything)
            for letter in chosen.ids:
                bar.to(done)
                done += self.call(letter=letter)
            bar.to(done)
        return done


def apply_action(screen: Screen, bus: Bus, change: DeadLetterAction, chosen: DeadLetterSelection, *, yes: bool) -> int:
    """Ask where more than one is meant, and do it; how many were changed."""
    chosen.check()
    count = chosen.count(bus, screen)
    if not screen.agrees(f"{change.verb} {pluralize(count, 'dead letter')}?", yes=yes, needed=count > 1):
        raise CommandFailed("Nothing was done.", FAILURE)
    return change.made(chosen, screen, count) if count else 0


def print_count(screen: Screen, past: str, done: int) -> None:
    """Print how many were changed."""
    screen.line(str(done))
    screen.note(f"{past.capitalize()} {pluralize(done, 'dead letter')}.")


class DeadLetterReplay:
    """Calls that count for one replay."""

    bus: Bus

    def __init__(self) -> None:
        self.id: str | None = None

    def redelivered(self, **chosen: Any) -> int:
        """Put some back; how many."""
        done = self.bus.replay_dead_letters(**chosen, replay=self.id)
        self.id = done.replay
        return done


#: Seconds that are waited for deliveries, and between two times that they are asked about.
OUTCOME_TIMEOUT_SECONDS, POLL_INTERVAL_SECONDS = 30.0, 0.25


def wait_for_outcome(bus: Bus, screen: Screen, replay: str, seconds: float) -> ReplayOutcome:
    """The outcome of a replay, once nothing of it is pending, or when so many seconds are over."""
    ends = time.monotonic() + seconds
    with screen.progress("delivering") as bar:
        while True:
            outcome = bus.replay_outcome(replay)
            bar.to(outcome.replayed - outcome.pending)
            left = ends - time.monotonic()
            if not outcome.pending or left <= 0:
                return outcome
            time.sleep(min(POLL_INTERVAL_SECONDS, left))


def print_outcome(screen: Screen, outcome: ReplayOutcome, payload: dict[str, Any]) -> None:
    """Print an outcome, as JSON after what else there is to say. Raises CommandFailed where some are dead again."""
    if screen.as_json:
        screen.value({**payload, **to_json(outcome)})
    else:
        counts = ("delivered", "dead_again", "discarded", "pending")
        parts = [f"{getattr(outcome, name)} {name.replace('_', ' ')}" for name in counts if getattr(outcome, name)]
        screen.note(f"Of {pluralize(outcome.replayed, 'dead letter')}: {', '.join(parts)}.")
    if outcome.pending and not screen.as_json:
        screen.note(f"Ask again by 'eventbus dead-letters outcome {outcome.replay}'.")
    if outcome.dead_again:
        raise CommandFailed(
            f"{outcome.dead_again} of {outcome.replayed} are dead again; 'eventbus dead-letters list' says why."
        )
