"""What is done to dead letters by a command: which are meant, the question, and how many it were."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from eventbus.cli.screen import Screen, counted
from eventbus.cli.status import REFUSED, Failed
from eventbus.client import Bus


@dataclass(frozen=True, slots=True)
class Chosen:
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
class Change:
    """What is done to dead letters, as the question has it, as the answer has it, and by which call."""

    verb: str
    past: str
    call: Callable[..., int]

    def made(self, chosen: Chosen, screen: Screen, count: int) -> int:
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


def changed(screen: Screen, bus: Bus, change: Change, chosen: Chosen, *, yes: bool) -> int:
    """Ask where more than one is meant, and do it; how many were changed."""
    chosen.check()
    count = chosen.count(bus, screen)
    if not screen.agrees(f"{change.verb} {counted(count, 'dead letter')}?", yes=yes, needed=count > 1):
        raise Failed("Nothing was done.", REFUSED)
    return change.made(chosen, screen, count) if count else 0


def say(screen: Screen, past: str, done: int) -> None:
    """Print how many were changed."""
    screen.line(str(done))
    screen.note(f"{past.capitalize()} {counted(done, 'dead letter')}.")


class Replay:
    """Calls that count for one replay."""

    bus: Bus

    def __init__(self) -> None:
        self.id: str | None = None

    def redelivered(self, **chosen: Any) -> int:
        """Put some back; how many."""
        done = self.bus.replay_dead_letters(**chosen, replay=self.id)
        self.id = done.replay
        return done
