"""What ``eventbus dead-letters`` does to dead letters: selects them, asks, acts, and follows what becomes of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from eventbus.cli.exit_status import FAILURE, CommandFailed
from eventbus.cli.formatting import to_json
from eventbus.cli.named_subscription import check_path
from eventbus.cli.screen import Screen, pluralize
from eventbus.client import Bus, ReplayOutcome

#: Seconds that a command waits for deliveries, and between two questions about them.
OUTCOME_TIMEOUT_SECONDS, POLL_INTERVAL_SECONDS = 30.0, 0.25


@dataclass(frozen=True, slots=True)
class DeadLetterSelection:
    """The dead letters of one address or group, some by their ids, or all: exactly one of these."""

    address: str | None
    path: str | None
    group: str | None
    ids: tuple[int, ...]
    everything: bool

    def check(self) -> None:
        """Raise UsageError unless exactly one of them is given."""
        if (self.address is not None) + (self.group is not None) + bool(self.ids) + self.everything != 1:
            raise click.UsageError("Say which dead letters: --address ADDRESS, --group GROUP, --id ID, or --all")
        check_path(self.address, self.path)

    @property
    def named(self) -> dict[str, str | None]:
        """Return what names the subscription, as the client takes it."""
        return {"address": self.address, "path": self.path, "group": self.group}

    def count(self, bus: Bus, screen: Screen) -> int:
        """Return how many there are. Raises BusError."""
        if self.ids:
            return len(self.ids)
        count = 0
        with screen.progress("counting dead letters") as show:
            for count, _ in enumerate(bus.dead_letters(**self.named), 1):
                show(count)
        return count


@dataclass(frozen=True, slots=True)
class DeadLetterAction:
    """What to do to dead letters: the verb of the question, its past participle, and the call."""

    verb: str
    past: str
    call: Callable[..., int]

    def apply(self, selection: DeadLetterSelection, bus: Bus, screen: Screen, *, yes: bool) -> int:
        """Ask, if there is more than one and ``yes`` was not given, and act. Return how many there were.

        Raises CommandFailed where the answer is no.
        """
        selection.check()
        count = selection.count(bus, screen)
        if not screen.confirms(f"{self.verb} {pluralize(count, 'dead letter')}?", yes=yes, needed=count > 1):
            raise CommandFailed("Nothing was done.", FAILURE)
        return self._call(selection, screen, count) if count else 0

    def _call(self, selection: DeadLetterSelection, screen: Screen, count: int) -> int:
        done = 0
        with screen.progress(self.past, count) as show:
            if not selection.ids:
                done = self.call(**selection.named, everything=selection.everything)
            for letter in selection.ids:
                show(done)
                done += self.call(letter=letter)
            show(done)
        return done

    def print_count(self, screen: Screen, done: int) -> None:
        """Print how many there were."""
        screen.line(str(done))
        screen.note(f"{self.past.capitalize()} {pluralize(done, 'dead letter')}.")


class DeadLetterReplay:
    """Several calls to the bus that count as one replay. ``id`` is the replay's, None before the first."""

    def __init__(self, bus: Bus) -> None:
        self.id: str | None = None
        self.expired = 0  #: how many were left, since their events had expired
        self._bus = bus

    def redeliver(self, **selection: Any) -> int:
        """Put dead letters back into the backlog. Return how many. Raises BusError."""
        done = self._bus.replay_dead_letters(**selection, replay=self.id)
        self.id = done.replay
        self.expired += done.expired
        return done


def wait_for_outcome(bus: Bus, screen: Screen, replay_id: str, seconds: float) -> ReplayOutcome:
    """Return the outcome of a replay when nothing of it is pending, or after so many seconds. Raises BusError."""
    ends = time.monotonic() + seconds
    with screen.progress("delivering") as show:
        while True:
            outcome = bus.replay_outcome(replay_id)
            show(outcome.replayed - outcome.pending)
            left = ends - time.monotonic()
            if not outcome.pending or left <= 0:
                return outcome
            time.sleep(min(POLL_INTERVAL_SECONDS, left))


def print_outcome(screen: Screen, outcome: ReplayOutcome, payload: dict[str, Any]) -> None:
    """Print an outcome, as JSON together with ``payload``. Raises CommandFailed where some are dead again."""
    if screen.as_json:
        screen.value({**payload, **to_json(outcome)})
    else:
        counts = ("delivered", "dead_again", "discarded", "filtered", "pending")
        parts = [f"{getattr(outcome, name)} {name.replace('_', ' ')}" for name in counts if getattr(outcome, name)]
        screen.note(f"Of {pluralize(outcome.replayed, 'dead letter')}: {', '.join(parts)}.")
    if outcome.pending and not screen.as_json:
        screen.note(f"Ask again by 'eventbus dead-letters outcome {outcome.replay}'.")
    if outcome.dead_again:
        raise CommandFailed(
            f"{outcome.dead_again} of {outcome.replayed} are dead again; 'eventbus dead-letters list' says why."
        )
