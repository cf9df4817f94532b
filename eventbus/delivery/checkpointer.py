"""The checkpointer: saves what has changed in the lanes, many in one commit, and not once a delivery."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import gevent
from gevent.lock import RLock

from eventbus.core.clock import Clock
from eventbus.core.errors import Conflict, JournalError, JournalTimeout, NotOwner
from eventbus.core.records import Checkpoint, LaneRecord, Retry
from eventbus.delivery.changed_lanes import ChangedLanes, pause_after
from eventbus.delivery.decision import Decision, LaneChanges, merge, unsaved_rows_of
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.transaction import Transaction
from eventbus.journal.base import Journal
from eventbus.telemetry.failure_log import FailureLog

log = logging.getLogger(__name__)


class Checkpointer:
    """Saves what has changed in the lanes, part by part; what a commit fails to save goes with the next.

    A lane is saved whole or not at all: its account with its retries and dead letters. Lanes need not be saved
    together, since the record of each says up to which event it is complete. Up to which event all lanes are is saved
    with the last part of a round.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        scanned: Callable[[], int],
        saved: Callable[[Sequence[LaneRecord]], object] = lambda _: None,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._changed = ChangedLanes()
        self._scanned = scanned
        self._saved = saved  # called with the lanes of each commit
        self._saved_scanned = 0
        self._unsaved: list[Checkpoint] = []
        self._lock = RLock()  # held by whoever changes lanes and saves that together with a decision
        self._failures = FailureLog(
            log, "positions are not saved, deliveries may be repeated after a crash", "positions are saved again"
        )
        self._epoch = 0  # how often everything was reset
        self._watching: dict[object, set[str]] = {}  # by commit in progress: lanes whose changes were refused

    def watch(self, lane: Lane) -> None:
        """Save a lane whenever it changes from now on, and what has changed in it so far."""
        lane.report_changes_to(self._changed.reported)

    def start(self) -> None:
        """Begin to save at intervals."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Stop saving."""
        self._greenlet.kill()

    def _run(self) -> None:
        pause = pause_after(0.0, 0, over=True)
        while True:
            gevent.sleep(pause)
            began, saved = self._clock.monotonic(), False
            with self._failures.logged(JournalError):
                self._save_part()
                saved = True
            cost = self._clock.monotonic() - began
            pause = pause_after(cost, self._changed.size, over=not (saved and self._changed.in_round))

    def try_save(self) -> None:
        """Save all; log once that the journal cannot be written, and save again later."""
        with self._failures.logged(JournalError):
            self.save()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run the block while nobody else saves or decides; what it reads and decides belongs to one epoch.

        The transaction raises StaleEpoch where this node loses all its subscriptions before a decision is saved.
        """
        with self._lock:
            yield self.optimistic_transaction()

    def optimistic_transaction(self) -> Transaction:
        """Begin a transaction that holds up nobody: for reads that take long."""
        return Transaction(self._epoch, lambda: self._epoch, self._decide, self._introduce)

    def save(self) -> None:
        """Save all that has changed so far, part by part; others save and decide between two parts.

        Raises JournalError; then the rest is saved later.
        """
        changed = self._changed
        last = changed.begun + 1  # the round that has what has changed since the one under way began
        while changed.begun < last or (changed.begun == last and changed.in_round):
            self._save_part()
            gevent.sleep(0)  # whoever waits for the lock gets it
        with self.transaction() as transaction:  # no other part is being saved then
            self._prepare(transaction)

    def save_lanes(self, lanes: Collection[Lane]) -> None:
        """Save what has changed in these lanes, in one commit with others that wait. Raises JournalError."""
        with self.transaction() as transaction:
            self._prepare(transaction)
            if any(lane.dirty for lane in lanes):
                self._save_part(lanes)

    def _save_part(self, lanes: Iterable[Lane] = ()) -> None:
        """Save these lanes and the next part in one commit. Raises JournalError."""
        with self.transaction() as transaction:
            self._prepare(transaction)
            if not self._changed.in_round:
                self._changed.begin_round(self._scanned())
            part = dict.fromkeys([*lanes, *self._changed.take_part()])
            scanned = self._saved_scanned if self._changed.in_round else self._changed.scanned
            changes = self._collect(part, scanned)
            if not changes.empty or changes.scanned != self._saved_scanned:
                self._commit(changes, changes, None)

    def decide(self, decision: Decision) -> None:
        """Save a decision, and all that has changed in its lanes before, in one commit; only then apply it.

        Raises JournalError, NotOwner, or whatever refuses the decision, and then it is not applied. Where the journal
        does not tell whether it was saved (JournalTimeout), it is applied, and saved with the next commit again.
        """
        with self.transaction() as transaction:
            transaction.decide(decision)

    def _decide(self, decision: Decision, transaction: Transaction) -> None:
        with self._lock:
            self._prepare(transaction)
            changes = self._collect(decision.lanes, self._saved_scanned)
            try:
                decided = decision.change()
            except BaseException:
                self._keep(changes)
                raise
            self._commit(merge(changes, decided), changes, decision)

    def _introduce(self, decision: Decision, transaction: Transaction) -> None:
        self.flush()
        transaction.check()
        changes = Checkpoint(self._clock.wall(), self._saved_scanned)
        self._commit(merge(changes, decision.change()), changes, decision)

    def flush(self) -> None:
        """Save what could not be saved before. Raises JournalError."""
        if self._unsaved:
            with self._lock:
                self._save_rest()

    def _prepare(self, transaction: Transaction) -> None:
        """Return once nothing is left that could not be saved before. Raises StaleEpoch and JournalError."""
        transaction.check()
        self._save_rest()
        transaction.check()

    def _commit(self, both: Checkpoint, changes: Checkpoint, decision: Decision | None) -> None:
        """Save changes, and the decision that is among ``both``; then apply the decision."""
        transaction, commit = self.optimistic_transaction(), object()
        refused = self._watching[commit] = set()
        try:
            self._journal.checkpoint(both)
        except BaseException as error:
            if not transaction.stale:
                known = isinstance(error, JournalError | Conflict) and not isinstance(error, JournalTimeout)
                self._keep(changes if known else both)  # saving it twice is saving it once
                if decision is not None and not known:
                    decision.happen()
            raise
        finally:
            del self._watching[commit]
        if not transaction.stale:
            self._saved_scanned = both.scanned
        if decision is not None:
            transaction.check()
            if not refused.isdisjoint(decision.keys):
                raise NotOwner("Another node owns this subscription now; ask again.")
            decision.happen()
        self._saved(both.lanes)

    def _keep(self, changes: Checkpoint) -> None:
        """Save changes with the next commit. Who may register was decided when that was asked for, and is no more."""
        if not changes.empty:
            self._unsaved.append(replace(changes, registers=()))

    def refuse(self, keys: Iterable[str]) -> None:
        """Note that the journal refused changes of these lanes: other nodes own them."""
        lost = set(keys)
        for refused in self._watching.values():
            refused.update(lost)

    def _save_rest(self) -> None:
        """Save what could not be saved before. Raises JournalError."""
        while self._unsaved:
            oldest = self._unsaved[0]
            self._journal.checkpoint(oldest)
            if self._unsaved and self._unsaved[0] is oldest:  # else it was forgotten meanwhile
                self._unsaved.pop(0)

    def unsaved_rows(self, lane: Lane) -> dict[tuple[int, int], Retry | None]:
        """Return the rows of a lane that could not be saved yet; None stands for one to be removed."""
        return unsaved_rows_of(self._unsaved, lane, self._clock)

    def save_last(self, lanes: Sequence[Lane]) -> None:
        """Save lanes that were removed just now, for the nodes that go on with them. Raises JournalError."""
        collected = LaneChanges()
        for lane in lanes:
            collected.take(lane, self._scanned(), self._clock)
        self._journal.checkpoint(collected.checkpoint(self._clock.wall(), self._saved_scanned))

    def reset(self) -> None:
        """Drop what has changed so far, and begin another epoch: other nodes own the lanes."""
        self._epoch += 1
        self._saved_scanned = 0
        self._changed.clear()
        self._unsaved.clear()

    def _collect(self, lanes: Iterable[Lane], scanned: int) -> Checkpoint:
        """Collect what has changed in lanes, at one moment; all lanes are complete up to the event ``scanned``."""
        collected = LaneChanges()
        for lane in lanes:
            if not lane.closed:
                collected.take(lane, self._scanned(), self._clock)
        return collected.checkpoint(self._clock.wall(), scanned)
