"""A bus that shares its journal with others: it carries on with the lanes that are its own, and hands them over.

Redis decides whose a lane is (``eventbus.journal.redis.cluster.membership``); here is what that means for lanes in
memory.
"""

import logging
from collections.abc import Iterable, Sequence

import gevent
from gevent.event import Event as Signal
from gevent.pool import Group

from eventbus.cluster.handover import Handover
from eventbus.core.errors import JournalError, NotOwner
from eventbus.core.model import LaneRecord
from eventbus.core.override import override
from eventbus.delivery.lane.phase import CloseReason
from eventbus.delivery.topic_index import TopicIndex
from eventbus.delivery.transaction import Transaction
from eventbus.journal.cluster_journal import ClusterJournal, Nodes, OwnershipListener
from eventbus.services.bus import Bus

#: Seconds that the start waits for what was handed out at once to be adopted.
PATIENCE = 5.0
#: Seconds between two looks for what was left half-done.
MEND_EVERY = 5.0
#: Seconds that adopting and mending get to end when the bus stops.
STOP_SECONDS = 2.0
#: Lanes that are read at once, without letting other greenlets run.
SLICE = 200

log = logging.getLogger(__name__)


class Ownership(OwnershipListener):
    """The company of a bus that shares its journal (``eventbus.cluster.cluster.Company``); adopts lanes for it."""

    def __init__(self, bus: Bus, journal: ClusterJournal) -> None:
        self._bus = bus
        self._journal = journal
        self._members = journal.members
        self._beside = Group()  # adopts what is handed out, finds out about others, and mends what was left half-done
        self._handover = Handover(bus, self._members, self._lose)
        bus.join(self)
        self._changes = -1
        self._elsewhere: TopicIndex[str] = TopicIndex()  # other buses' subscribers
        self._ends = False  # this bus is about to end
        self._stopping = Signal()

    def start(self) -> None:
        """Take part from now on; returns when what was handed out at once is adopted, or that takes long."""
        self._members.start(self)
        self._beside.join(PATIENCE)
        self._beside.spawn(self._look_after)

    def _transaction(self) -> Transaction:
        """Begin to adopt subscriptions: it is stale once this node has lost all that it had."""
        return self._bus.dispatcher.checkpointer.optimistic_transaction()

    @property
    def nodes(self) -> Nodes:
        """See Company.nodes."""
        return self._journal.nodes

    def withdraw(self) -> None:
        """See Company.withdraw. Where there are no others, the lanes stay until this bus has ended."""
        self._ends = True
        self._handover.give_all()

    def stop(self) -> None:
        """See Company.stop."""
        self._ends = True
        self._stopping.set()
        self._handover.stop()
        self._beside.join(STOP_SECONDS)  # one that is killed while it connects leaves half of a connection behind
        self._beside.kill()

    def has(self, key: str) -> bool:
        """See Company.has."""
        return self._members.owner(key) is not None

    def try_acquire_trimmer(self) -> bool:
        """See Company.trims."""
        return self._journal.try_acquire_trimmer()

    @override
    def acquired(self, lanes: Sequence[str]) -> None:
        # Adopting may take longer than may pass between two heartbeats.
        self._beside.spawn(self._adopt, lanes, self._transaction())

    def claim(self, key: str) -> None:
        """See Company.claim; the lane is carried on with."""
        transaction = self._transaction()
        other = self._members.claim(key)
        if other is not None:
            raise NotOwner("Another bus has this subscriber; it is asked the next time.")
        if key not in self._bus.dispatcher.lanes:
            self._adopt_some([key], transaction)
        if transaction.stale:
            raise NotOwner("This bus has just begun anew, and may have this subscriber or not; ask again.")

    def find(self, key: str) -> None:
        """See Company.find."""
        if key not in self._bus.dispatcher.lanes and any(
            record.open for record, _ in self._journal.lane_records([key])
        ):
            with self._bus.registrations.locked(key):  # it may be handed over at this moment
                self.claim(key)

    @override
    def surplus(self, count: int) -> None:
        self._handover.give(count)

    @override
    def heartbeat(self, until: float, changes: int) -> None:
        self._bus.dispatcher.until = until
        if changes != self._changes:
            self._changes = changes
            self._beside.spawn(self._look_around)

    def _look_around(self) -> None:
        """Find out who gets what from other buses."""
        index = TopicIndex[str]()
        try:
            for key, topics in self._journal.topics_by_lane().items():
                index.put(key, topics, key)
                self._bus.dispatcher.load.give_way()
        except JournalError as error:
            log.debug("what others get is not known: %s", error)
            self._changes = -1
        else:
            self._elsewhere = index

    def reach(self, topics: Iterable[str | None]) -> int:
        """See Company.reach: as of a second ago."""
        return len(
            self._elsewhere.among(topics, self._bus.dispatcher.load.give_way) - self._bus.dispatcher.lanes.keys()
        )

    def _adopt(self, keys: Sequence[str], transaction: Transaction) -> None:
        """Carry on with lanes that are this bus's now, part by part; what fails is mended later.

        The ``transaction`` began before they became this node's.
        """
        count = 0
        try:
            for start in range(0, len(keys), SLICE):
                count += self._adopt_some(keys[start : start + SLICE], transaction)
        except JournalError as error:
            log.warning("subscribers of another bus cannot be taken over yet: %s", error)
        if count:
            log.info("%d subscribers are this bus's now", count)

    def _adopt_some(self, keys: Sequence[str], transaction: Transaction) -> int:
        """How many lanes are carried on with. Nobody registers or deregisters meanwhile. Raises JournalError."""
        with self._bus.registrations.locked(*keys):
            if transaction.stale:
                return 0
            missing = [key for key in keys if key not in self._bus.dispatcher.lanes]
            kept = [(record, count) for record, count in self._journal.lane_records(missing) if record.open]
            self._journal.wait_until_read(max((record.scanned for record, _ in kept), default=0))
            lanes = self._bus.adopt(kept)
            if transaction.stale:  # they are others', or the journal is not what it was
                self._lose([lane.subscriber.key for lane in lanes])
                return 0
            for lane in lanes:
                self._bus.resume(lane)
        return len(lanes)

    @override
    def refused(self, lanes: Sequence[str]) -> None:
        self._bus.dispatcher.checkpointer.refuse(lanes)
        self._lose(lanes)

    def _lose(self, keys: Sequence[str]) -> None:
        """Others have these lanes: nothing more is done for them here."""
        self._bus.retention.moved()
        for key in keys:
            self._bus.registrations.leases.end(key)
            lane = self._bus.dispatcher.lanes.get(key)
            if lane is not None:
                self._bus.dispatcher.remove(lane, CloseReason.LOST)

    @override
    def lost(self) -> None:
        self._bus.dispatcher.recent.expire()
        self._lose(list(self._bus.dispatcher.lanes))
        self._bus.dispatcher.checkpointer.forget()
        self._bus.reset(self._journal.skip_to_end())

    def _look_after(self) -> None:
        """Mend, again and again, what was left half-done where Redis did not answer."""
        before: set[str] = set()
        while not self._ends:
            if self._stopping.wait(MEND_EVERY):
                return
            try:
                before = self._mend(before)
            except JournalError as error:
                log.debug("nothing was mended: %s", error)
            except Exception:  # the next time it is tried again
                log.exception("what was left half-done could not be mended, in a way that was not foreseen")

    def _mend(self, before: set[str]) -> set[str]:
        """Adopt what has been this bus's for a while, and is not in memory; answers what is not now."""
        transaction, lanes = self._transaction(), self._bus.dispatcher.lanes
        mine = self._members.owned()
        missing = mine - lanes.keys()
        if late := sorted(missing & before):
            self._adopt(late, transaction)
            if transaction.stale:
                return set()
            with self._bus.registrations.locked(*late):  # nobody registers them meanwhile
                self._members.release([key for key in late if key not in lanes])  # nothing is kept of these
        self._lose([key for key in list(lanes) if key not in mine and key in before])
        return missing | (lanes.keys() - mine)

    def records(self) -> list[LaneRecord]:
        """See Company.records."""
        mine = self._bus.dispatcher.lanes
        keys = [key for key in self._journal.open_lanes() if key not in mine]
        found: list[LaneRecord] = []
        for start in range(0, len(keys), SLICE):
            found += [record for record, _ in self._journal.lane_records(keys[start : start + SLICE])]
            gevent.sleep(0)
        return found
