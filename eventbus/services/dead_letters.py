"""Dead letters: listed, redelivered or discarded; page by page, each page in one commit."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from eventbus.core.errors import Conflict, NotFound
from eventbus.core.event_expiry import EXPIRED
from eventbus.core.records import Checkpoint, LaneRecord
from eventbus.delivery.decision import Decision
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import record_of
from eventbus.delivery.transaction import Transaction
from eventbus.journal.base import MAX_REDELIVERIES, KeptDeadLetter, Redelivery
from eventbus.services.node import Node
from eventbus.services.registered_lane import no_lane

#: Why a dead letter cannot be redelivered.
NO_BODY = "The body of the event was given up, since the journal was full (journal quota); it can only be discarded."


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which dead letters are meant: one by its id, one subscriber's, or all."""

    key: str | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Redelivered:
    """How many dead letters were put back, and how many were not, since their events had ``expired``."""

    replayed: int
    expired: int


#: Changes a page of dead letters that was read in a transaction, and returns how many it changed.
Change = Callable[[Sequence[KeptDeadLetter], Transaction], int]


class DeadLetters:
    """Lists, redelivers and discards deliveries that will not be attempted again."""

    def __init__(self, node: Node, keep: Callable[[str], bool]) -> None:
        self._node = node
        self._dispatcher = node.dispatcher
        self._journal = node.journal
        self._clock = node.clock
        self._cluster = node.cluster
        self._page_letters = node.timing.commit_rows
        self._keep = keep  # puts an expired subscriber's lane back, and returns whether it is one

    def page(self, key: str | None, after: int, limit: int) -> list[KeptDeadLetter]:
        """Return dead letters with ids above ``after``. Raises JournalError."""
        self._save(key)
        return self._journal.dead_letters(key, after, limit)

    def replay(self, chosen: Chosen, replay: str) -> Redelivered:
        """Redeliver dead letters; return how many. They count for the ``replay`` with this id.

        Of all, only those of registered subscribers are. Those of an expired one wait for its return. What is dead
        since its event had expired is redelivered by its own id alone, and is attempted then. Raises NotFound, and
        Conflict where the one that is meant is neither.
        """
        transaction = self._dispatcher.checkpointer.optimistic_transaction()
        found = None if chosen.id is None else self._journal.dead_letter(chosen.id)
        key = chosen.key if found is None else found.letter.key
        if key is not None and not self._can_redeliver(key) and not self._keep(key) and chosen.id is None:
            raise no_lane(self._node, key)
        transaction.check()
        if found is not None and found.letter.event_id:
            raise Conflict(NO_BODY)
        bodiless, expired = 0, 0

        def change(letters: Sequence[KeptDeadLetter], transaction: Transaction) -> int:
            nonlocal bodiless, expired
            bodiless += sum(bool(letter.letter.event_id) for letter in letters)
            if chosen.id is None:
                left = len(letters)
                letters = [letter for letter in letters if letter.letter.reason != EXPIRED]
                expired += left - len(letters)
            return self._replay(replay, letters, transaction, by_id=chosen.id is not None)

        replayed = self._through(chosen, change)
        if bodiless and not replayed:
            raise Conflict(NO_BODY)
        return Redelivered(replayed, expired)

    def outcome(self, replay: str) -> Redelivery:
        """Return what became of the dead letters that a replay has redelivered. Raises NotFound."""
        self._dispatcher.checkpointer.save()
        found = self._journal.replay(replay)
        if found is None:
            raise NotFound(f"There is no replay {replay[:80]!r}; the newest {MAX_REDELIVERIES} are known.")
        return found

    def discard(self, chosen: Chosen) -> int:
        """Discard dead letters; return how many. Raises NotFound."""
        return self._through(chosen, self._discard)

    def drop(self, letters: Sequence[KeptDeadLetter]) -> int:
        """Discard these, as far as they are still there and not a peer's; return how many."""
        with self._dispatcher.checkpointer.transaction() as transaction:
            there = [one for one in letters if self._journal.dead_letter(one.id) is not None]
            return self._discard(self._mine(there), transaction)

    def expire(self, before: float) -> int:
        """Discard one page of those that were last attempted before a moment; return how many."""
        with self._dispatcher.checkpointer.transaction() as transaction:
            return self._discard(self._mine(self._journal.dead_before(before, self._page_letters)), transaction)

    def _save(self, key: str | None) -> None:
        """Save what has changed in the lane of one subscription, or in all."""
        if key is None:
            self._dispatcher.checkpointer.save()
        else:
            lane = self._dispatcher.lanes.get(key)
            self._dispatcher.checkpointer.save_lanes([] if lane is None else [lane])

    def _mine(self, letters: Sequence[KeptDeadLetter]) -> list[KeptDeadLetter]:
        """Return those whose subscriptions no peer owns."""
        keys = {letter.letter.key for letter in letters}
        foreign = {key for key in keys if key not in self._dispatcher.lanes and self._cluster.owned_by_peer(key)}
        return [letter for letter in letters if letter.letter.key not in foreign]

    def _through(self, chosen: Chosen, change: Change) -> int:
        """Change page after page of what is there now; what dies meanwhile is left out."""
        self._save(chosen.key)
        if chosen.id is not None:
            return self._one(chosen.id, change)
        changed, after = 0, 0
        last = self._journal.last_dead_letter()
        while after < last:
            with self._dispatcher.checkpointer.transaction() as transaction:
                page = self._journal.dead_letters(chosen.key, after, self._page_letters)
                changed += change(self._mine([letter for letter in page if letter.id <= last]), transaction)
            after = page[-1].id if len(page) == self._page_letters else last
        return changed

    def _one(self, letter_id: int, change: Change) -> int:
        with self._dispatcher.checkpointer.transaction() as transaction:
            found = self._journal.dead_letter(letter_id)
            if found is None:
                raise NotFound(f"There is no dead letter {letter_id}.")
            changed = change([found], transaction)
        if not changed:
            raise Conflict("Its subscriber is not registered; register it, and replay then.")
        return changed

    def _replay(self, replay: str, letters: Sequence[KeptDeadLetter], transaction: Transaction, *, by_id: bool) -> int:
        mine = [letter for letter in letters if self._can_redeliver(letter.letter.key) and not letter.letter.event_id]
        counts = Counter(letter.letter.key for letter in mine)
        lanes = {key: self._dispatcher.lanes[key] for key in counts}

        def change() -> Checkpoint:
            records = [_with(self._record(lane), dead=-counts[key]) for key, lane in lanes.items()]
            ids = tuple(letter.id for letter in mine)
            return replace(self._checkpoint(records), replayed=ids, replay=replay, replay_expires=not by_id)

        def happen() -> None:
            for key, lane in lanes.items():
                lane.requeue(counts[key])
                self._dispatcher.schedule(lane)

        self._decide(Decision(change, happen, list(lanes.values()), counts.keys()), transaction)
        return len(mine)

    def _discard(self, letters: Sequence[KeptDeadLetter], transaction: Transaction) -> int:
        counts = Counter(letter.letter.key for letter in letters)
        lanes = {key: lane for key in counts if (lane := self._dispatcher.lanes.get(key)) is not None}
        ended = [record for key in counts if key not in lanes and (record := self._journal.lane(key)) is not None]

        def change() -> Checkpoint:
            found = [(counts[record.subscriber.key], record) for record in ended]
            found += [(counts[key], self._record(lane)) for key, lane in lanes.items()]
            records = [_with(record, dead=-count, discarded=count) for count, record in found]
            return replace(self._checkpoint(records), dropped=tuple(letter.id for letter in letters))

        def happen() -> None:
            for key, lane in lanes.items():
                lane.count_discarded(counts[key])

        self._decide(Decision(change, happen, list(lanes.values()), counts.keys()), transaction)
        return len(letters)

    def _record(self, lane: Lane) -> LaneRecord:
        return record_of(lane, self._dispatcher.recent.newest, self._clock.monotonic(), self._clock.wall())

    def _checkpoint(self, records: Sequence[LaneRecord]) -> Checkpoint:
        return Checkpoint(self._clock.wall(), self._dispatcher.recent.newest, lanes=tuple(records))

    @staticmethod
    def _decide(decision: Decision, transaction: Transaction) -> None:
        if decision.keys:
            transaction.decide(decision)
        else:
            transaction.check()  # as saving does: by now there may be something

    def _can_redeliver(self, key: str) -> bool:
        """Return whether dead letters of this subscriber can be redelivered."""
        lane = self._dispatcher.lanes.get(key)
        return lane is not None and lane.renewable


def _with(record: LaneRecord, *, dead: int, discarded: int = 0) -> LaneRecord:
    """Return a record with so many more dead and discarded in its account."""
    account = record.account
    return replace(record, account=replace(account, dead=account.dead + dead, discarded=account.discarded + discarded))
