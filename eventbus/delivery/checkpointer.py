"""Saves the lanes' places: what has changed, together, a few times a second and not once a delivery."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

import gevent
from gevent.lock import RLock

from eventbus.clock import Clock
from eventbus.delivery.lane import Lane
from eventbus.delivery.place import deferrals_of, record_of
from eventbus.errors import JournalError, JournalUnavailable
from eventbus.journal.base import Journal
from eventbus.model import Checkpoint, DeadLetter, Deferral, LaneRecord
from eventbus.trouble import Trouble

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
        self._trouble = Trouble()
        self.era = 0  #: how often all was forgotten
        self._refused: set[str] = set()  # lanes of which the last commit kept nothing: they are others'

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
            if self._trouble.begins():
                log.warning("places are not saved, deliveries may be repeated after a crash: %s", error)
        else:
            if self._trouble.ends():
                log.info("places are saved again")

    def save(
        self,
        decided: Checkpoint | None = None,
        *,
        stands: bool = False,
        era: int | None = None,
        of: Collection[str] = (),
    ) -> None:
        """Save all that has changed and, in the same commit, what has been decided. Raises JournalError.

        When it raises, what changed in the lanes is saved with the next one; so is a decision that ``stands``,
        while nothing is kept of any other. A decision counts for the ``era`` in which what it is about was read;
        where one of the lanes that it is ``of`` is another bus's by now, it is refused.
        """
        with self.alone:
            now = self.era
            self.check_era(now if era is None else era)
            self._save_rest()
            changes = self._collect()
            self.check_era(now)
            if changes.empty and decided is None and changes.scanned == self._saved_scanned:
                return
            both = changes if decided is None else _joined(changes, decided)
            self._refused.clear()
            try:
                self._journal.checkpoint(both)
            except BaseException as error:
                kept = changes if isinstance(error, JournalError) and not stands else both
                if not kept.empty and now == self.era:
                    self._unsaved.append(kept)  # saving it twice is saving it once
                raise
            self._saved_scanned = changes.scanned
            if decided is not None:
                self.check_era(now)
            if not self._refused.isdisjoint(of):
                raise JournalUnavailable("This subscriber is another bus's by now; ask again.")

    def refuse(self, keys: Iterable[str]) -> None:
        """Nothing was kept of these lanes: they are another bus's."""
        self._refused.update(keys)

    def check_era(self, era: int) -> None:
        """Raise JournalUnavailable where all has been forgotten since."""
        if era != self.era:
            raise JournalUnavailable("This bus has lost its subscribers to others, and begins anew.")

    def _save_rest(self) -> None:
        """Save what could not be saved before. Raises JournalError."""
        while self._unsaved:
            oldest = self._unsaved[0]
            self._journal.checkpoint(oldest)
            if self._unsaved and self._unsaved[0] is oldest:  # else it was forgotten meanwhile
                self._unsaved.pop(0)

    def save_last(self, lanes: Sequence[Lane]) -> None:
        """Save lanes that were removed at this moment, for who carries on with them. Raises JournalError."""
        collected = _Collected()
        for lane in lanes:
            collected.take(lane, self._scanned(), self._clock)
        self._journal.checkpoint(collected.checkpoint(self._clock.wall(), self._saved_scanned))

    def forget(self) -> None:
        """Save nothing of what has changed so far: it is others' now."""
        self.era += 1
        self._saved_scanned = 0
        self.changed.clear()
        self._unsaved.clear()

    def _collect(self) -> Checkpoint:
        """What has changed, lane by lane; ``scanned`` is from before the first, so that no lane is behind it.

        Whoever ends this greenlet while others run loses nothing: what was collected is kept for next time.
        """
        scanned = self._scanned()
        waiting, collected = list(self.changed), _Collected()
        self.changed.clear()
        self._lane_count = len(waiting)
        try:
            while waiting:
                lane = waiting.pop()
                if self._is_current(lane):
                    collected.take(lane, self._scanned(), self._clock)
                if waiting and len(waiting) % SLICE == 0:
                    gevent.sleep(0)
        except BaseException:
            self.changed.extend(waiting)
            self._unsaved.append(collected.checkpoint(self._clock.wall(), self._saved_scanned))
            raise
        return collected.checkpoint(self._clock.wall(), scanned)


class _Collected:
    """Changes of lanes that have been taken out of them."""

    def __init__(self) -> None:
        self._lanes: list[LaneRecord] = []
        self._deferred: list[Deferral] = []
        self._undeferred: list[tuple[str, int, int]] = []
        self._dead: list[DeadLetter] = []

    def take(self, lane: Lane, scanned: int, clock: Clock) -> None:
        """Take what has changed in a lane, all at one moment."""
        now, wall = clock.monotonic(), clock.wall()
        lane.dirty = False
        self._lanes.append(record_of(lane, scanned, now, wall))
        self._deferred += deferrals_of(lane, now, wall)
        self._undeferred += ((lane.subscriber.key, seq, run) for seq, run in lane.deferred.gone)
        self._dead += lane.dead_letters
        lane.deferred.saved.clear()
        lane.deferred.gone.clear()
        lane.dead_letters.clear()

    def checkpoint(self, wall: float, scanned: int) -> Checkpoint:
        """All of it."""
        return Checkpoint(
            at=wall,
            scanned=scanned,
            lanes=tuple(self._lanes),
            deferred=tuple(self._deferred),
            undeferred=tuple(self._undeferred),
            dead=tuple(self._dead),
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
        replay=decided.replay,
        dropped=decided.dropped,
        discards=decided.discards,
    )
