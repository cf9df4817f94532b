"""What became of dead letters that were put back: waited for, and told."""

import time
from typing import Any

from eventbus.cli.screen import Screen, counted
from eventbus.cli.shown import as_json
from eventbus.cli.status import Failed
from eventbus.client import Bus, ReplayOutcome

#: Seconds that are waited for deliveries, and between two times that they are asked about.
PATIENCE, ASK_EVERY = 30.0, 0.25


def settled(bus: Bus, screen: Screen, replay: str, seconds: float) -> ReplayOutcome:
    """The outcome of a replay, once nothing of it is pending, or when so many seconds are over."""
    ends = time.monotonic() + seconds
    with screen.progress("delivering") as bar:
        while True:
            outcome = bus.replay_outcome(replay)
            bar.to(outcome.replayed - outcome.pending)
            left = ends - time.monotonic()
            if not outcome.pending or left <= 0:
                return outcome
            time.sleep(min(ASK_EVERY, left))


def tell(screen: Screen, outcome: ReplayOutcome, said: dict[str, Any]) -> None:
    """Print an outcome, as JSON after what else there is to say. Raises Failed where some are dead again."""
    if screen.as_json:
        screen.value({**said, **as_json(outcome)})
    else:
        counts = ("delivered", "dead_again", "discarded", "pending")
        parts = [f"{getattr(outcome, name)} {name.replace('_', ' ')}" for name in counts if getattr(outcome, name)]
        screen.note(f"Of {counted(outcome.replayed, 'dead letter')}: {', '.join(parts)}.")
    if outcome.pending and not screen.as_json:
        screen.note(f"Ask again by 'eventbus dead-letters outcome {outcome.replay}'.")
    if outcome.dead_again:
        raise Failed(
            f"{outcome.dead_again} of {outcome.replayed} are dead again; 'eventbus dead-letters list' says why."
        )
