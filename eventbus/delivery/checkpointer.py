"""Saves the lanes' places: what has changed, together, a few times a second and not once a delivery."""

import logging
from collections.abc import Callable
from dataclasses import replace

import gevent
from gevent.lock import RLock

from eventbus.clock import Clock
from eventbus.delivery.lane import Lane
from eventbus.delivery.place import deferrals_of, record_of
from eventbus.errors import JournalError
from eventbus.journal.base import Journal
from eventbus.model import Checkpoint, DeadLetter, Deferral, LaneRecord

#: Seconds between two checkpoints, at least: what a crash may repeat.
INTERVAL = 0.1
#: Part of the time that making checkpoints may take; past this they come less often.
SHARE = 0.03
#: Lanes that are looked at without letting other greenlets run.
SLICE = 200

log = logging.getLogger(__name__)


class Checkpointer:
    """Collects from the lanes what has changed and saves it whole; what could not be saved is kept for next time."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        is_current: Callable[[Lane], bool],
        scanned: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._is_current = is_current
        self.changed: list[Lane] = []  #: lanes put themselves here
        self._scanned = scanned
        self._saved_scanned = 0
        self._unsaved: list[Checkpoint] = []
        self._lane_count = 0
        self.alone = RLock()  #: held by whoever changes lanes and saves that together with a decision
        self._failing = False

    def start(self) -> None:
        """Begin to save at intervals."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Save no more."""
        self._greenlet.kill()

    def _run(self) -> None:
        cost = 0.0
        while True:
            gevent.sleep(max(INTERVAL, cost / SHARE))
            began = self._clock.monotonic()
            self.try_save()
            cost = min(1.0, self._clock.monotonic() - began) if self._lane_count > SLICE else 0.0

    def try_save(self) -> None:
        """Save; a journal that cannot be written is logged once, and tried again."""
        try:
            self.save()
        except JournalError as error:
            if not self._failing:
                log.warning("places are not saved, deliveries may be repeated after a crash: %s", error)
            self._failing = True
        else:
            if self._failing:
                log.info("places are saved again")
            self._failing = False

    def probe(self) -> None:
        """Find out whether the journal can be written now. Raises JournalError."""
        self._journal.checkpoint(Checkpoint(self._clock.wall(), self._saved_scanned))

    def save(self, decided: Checkpoint | None = None, *, stands: bool = False) -> None:
        """Save all that has changed and, in the same commit, what has been decided. Raises JournalError.

        When it raises, what changed in the lanes is saved with the next one; so is a decision that ``stands``,
        while nothing is kept of any other.
        """
        with self.alone:
            while self._unsaved:
                self._journal.checkpoint(self._unsaved[0])
                self._unsaved.pop(0)
            changes = self._collect()
            if changes.empty and decided is None and changes.scanned == self._saved_scanned:
                return
            both = changes if decided is None else _joined(changes, decided)
            try:
                self._journal.checkpoint(both)
            except JournalError:
                kept = both if stands else changes
                if not kept.empty:
                    self._unsaved.append(kept)
                raise
            self._saved_scanned = changes.scanned

    def _collect(self) -> Checkpoint:
        """What has changed, lane by lane; ``scanned`` is from before the first, so that no lane is behind it."""
        scanned = self._scanned()
        lanes: list[LaneRecord] = []
        deferred: list[Deferral] = []
        undeferred: list[tuple[str, int, int]] = []
        dead: list[DeadLetter] = []
        self._lane_count = 0
        changed = [lane for lane in self.changed if self._is_current(lane)]
        self.changed.clear()
        for lane in changed:
            self._lane_count += 1
            if self._lane_count % SLICE == 0:
                gevent.sleep(0)
            lane.dirty = False
            now, wall = self._clock.monotonic(), self._clock.wall()
            lanes.append(record_of(lane, self._scanned(), now, wall))
            deferred += deferrals_of(lane, now, wall)
            undeferred += ((lane.subscriber.key, seq, run) for seq, run in lane.deferred.gone)
            dead += lane.dead_letters
            lane.deferred.saved.clear()
            lane.deferred.gone.clear()
            lane.dead_letters.clear()
        return Checkpoint(
            self._clock.wall(),
            scanned,
            tuple(lanes),
            (),
            tuple(deferred),
            tuple(undeferred),
            dead=tuple(dead),
        )


def _joined(changes: Checkpoint, decided: Checkpoint) -> Checkpoint:
    """One checkpoint of both."""
    return replace(
        changes,
        lanes=changes.lanes + decided.lanes,
        forgotten=decided.forgotten,
        undeferred=changes.undeferred + decided.undeferred,
        cleared=decided.cleared,
        dead=changes.dead + decided.dead,
        replayed=decided.replayed,
        dropped=decided.dropped,
        discards=decided.discards,
    )
