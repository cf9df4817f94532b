"""A decision, and the changes of lanes that are saved with it."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from eventbus.core.clock import Clock
from eventbus.core.records import Checkpoint, DeadLetter, Discard, LaneRecord, Retry
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import record_of
from eventbus.delivery.lane.retry_rows import retry_rows_of


@dataclass(frozen=True, slots=True)
class Decision:
    """A change that is saved first, and applied in memory then: a registration, a deregistration, a replay, ....

    ``change`` returns what to save and changes nothing; what it raises refuses the decision. ``happen`` applies it in
    memory; it does not wait, and cannot fail. Between the two, its ``lanes`` go on.
    """

    change: Callable[[], Checkpoint]
    happen: Callable[[], object]
    lanes: Sequence[Lane] = ()  # everything that has changed in these is saved with it
    keys: Collection[str] = ()  # lanes that this node has to own for the decision to count


class LaneChanges:
    """Collects the changes of lanes."""

    def __init__(self) -> None:
        self._lanes: list[LaneRecord] = []
        self._retries: list[Retry] = []
        self._settled_retries: list[tuple[str, int, int]] = []
        self._filtered_retries: list[tuple[str, int, int]] = []
        self._dead: list[DeadLetter] = []
        self._discards: list[Discard] = []

    def take(self, lane: Lane, scanned: int, clock: Clock) -> None:
        """Move what has changed in a lane into this collection, at one moment."""
        now, wall = clock.monotonic(), clock.wall()
        self._lanes.append(record_of(lane, scanned, now, wall))
        self._retries += retry_rows_of(lane, now, wall)
        self._settled_retries += ((lane.subscriber.key, seq, replay_id) for seq, replay_id in lane.retries.removed_rows)
        self._filtered_retries += ((lane.subscriber.key, seq, replay_id) for seq, replay_id in lane.filtered_rows)
        self._dead += lane.dead_letters
        self._discards += lane.discards
        lane.clear_changes()

    def checkpoint(self, wall: float, scanned: int) -> Checkpoint:
        """Return all changes as one checkpoint."""
        return Checkpoint(
            at=wall,
            scanned=scanned,
            lanes=tuple(self._lanes),
            retries=tuple(self._retries),
            settled_retries=tuple(self._settled_retries),
            filtered_retries=tuple(self._filtered_retries),
            dead=tuple(self._dead),
            discards=tuple(self._discards),
        )


def merge(changes: Checkpoint, decided: Checkpoint) -> Checkpoint:
    """Return one checkpoint of changes and of what was decided after them; if a lane is in both, the latter counts."""
    later = {record.subscriber.key for record in decided.lanes}
    return replace(
        decided,
        scanned=changes.scanned,
        lanes=(*(record for record in changes.lanes if record.subscriber.key not in later), *decided.lanes),
        retries=changes.retries + decided.retries,
        settled_retries=changes.settled_retries + decided.settled_retries,
        filtered_retries=changes.filtered_retries + decided.filtered_retries,
        dead=changes.dead + decided.dead,
        discards=changes.discards + decided.discards,
    )


def unsaved_rows_of(unsaved: Iterable[Checkpoint], lane: Lane, clock: Clock) -> dict[tuple[int, int], Retry | None]:
    """Return the rows of a lane that are in checkpoints, or have changed since; None stands for a removed one."""
    key, rows = lane.subscriber.key, dict[tuple[int, int], Retry | None]()
    for checkpoint in unsaved:
        rows.update(((seq, replay_id), None) for of, seq, replay_id in checkpoint.settled_retries if of == key)
        rows.update(((row.seq, row.replay_id), row) for row in checkpoint.retries if row.key == key)
    rows.update((row, None) for row in lane.retries.removed_rows)
    waiting = retry_rows_of(lane, clock.monotonic(), clock.wall())
    rows.update(((row.seq, row.replay_id), row) for row in waiting)
    return rows
