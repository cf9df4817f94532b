"""Ownership: which subscriptions this node delivers for, in a cluster whose nodes share a journal.

The journal decides which node owns a subscription; here is what that means for the lanes in memory.
"""

import logging
from collections.abc import Collection, Iterable, Sequence

import gevent
from gevent.pool import Group

from eventbus.cluster.base import Cluster, LocalSubscriptions
from eventbus.cluster.handover import Handover
from eventbus.cluster.timing import DEFAULT_TIMING, ClusterTiming
from eventbus.core.errors import JournalError, NotOwner
from eventbus.core.override import override
from eventbus.core.records import LaneRecord
from eventbus.delivery.topic_index import TopicIndex
from eventbus.delivery.transaction import Transaction
from eventbus.journal.cluster_journal import ClusterJournal, Nodes, OwnershipListener

#: Subscriptions that are read without letting other greenlets run.
YIELD_EVERY_LANES = 200

log = logging.getLogger(__name__)


class Ownership(Cluster, OwnershipListener):
    """The cluster of a node that shares its journal: acquires subscriptions, loses them, and hands them over."""

    def __init__(self, journal: ClusterJournal, timing: ClusterTiming = DEFAULT_TIMING) -> None:
        self._journal = journal
        self._members = journal.members
        self._timing = timing
        self._local: LocalSubscriptions  # from the start on
        self._handover: Handover
        self._greenlets = Group()  # they adopt what was acquired, read the peers' topics, and repair
        self._topics_version = -1
        self._peers_topics: TopicIndex[str] = TopicIndex()
        self._ends = False  # this node is about to end

    @override
    def start(self, local: LocalSubscriptions) -> None:
        """Acquire subscriptions from now on; return when the first are adopted, or that takes long."""
        self._local = local
        self._handover = Handover(local, self._members, self._timing)
        self._members.start(self)
        self._greenlets.join(self._timing.start_seconds)
        self._greenlets.spawn(self._repair_at_intervals)

    @property
    @override
    def nodes(self) -> Nodes:
        return self._journal.nodes

    @override
    def withdraw(self) -> None:
        """Hand over all subscriptions; without peers, they stay until this node has ended."""
        self._ends = True
        self._handover.hand_over_all()

    @override
    def stop(self) -> None:
        self._ends = True
        self._handover.stop()
        self._greenlets.kill()

    @override
    def subscription_of(self, address: str) -> str | None:
        found = self._journal.subscription_of(address)
        lane = None if found is None else self._local.lanes.get(found)
        if lane is not None:  # this node may know better, and not have saved that yet
            self._local.save([lane])
            found = self._journal.subscription_of(address)
        return found

    @override
    def owned_by_peer(self, key: str) -> bool:
        return self._members.owner(key) is not None

    @property
    @override
    def declared_grace_seconds(self) -> float:
        return self._timing.declared_grace_seconds

    @override
    def declare(self, names: Collection[str]) -> Collection[str]:
        return self._journal.declare(names, self._timing.declared_seconds)

    @override
    def try_acquire_trimmer(self) -> bool:
        return self._journal.try_acquire_trimmer()

    @override
    def claim(self, key: str) -> None:
        transaction = self._local.optimistic_transaction()
        if self._members.claim(key) is not None:
            raise NotOwner("A peer owns this subscription; the next request goes there.")
        if key not in self._local.lanes:
            self._adopt_part([key], transaction)
        if transaction.stale:
            raise NotOwner("This node has just lost its subscriptions, and may own this one or not; ask again.")

    @override
    def find(self, key: str) -> None:
        if key not in self._local.lanes and any(record.open for record, _ in self._journal.lane_records([key])):
            with self._local.hold(key):  # it may be handed over at this moment
                self.claim(key)

    @override
    def reach(self, topics: Iterable[str | None]) -> int:
        """Return how many subscribers of the peers get events with one of these topics, as of a second ago."""
        return len(self._peers_topics.among(topics, self._local.give_way) - self._local.lanes.keys())

    @override
    def records(self) -> list[LaneRecord]:
        keys = [key for key in self._journal.open_lanes() if key not in self._local.lanes]
        found: list[LaneRecord] = []
        for start in range(0, len(keys), YIELD_EVERY_LANES):
            found += [record for record, _ in self._journal.lane_records(keys[start : start + YIELD_EVERY_LANES])]
            gevent.sleep(0)
        return found

    # What the journal tells

    @override
    def acquired(self, lanes: Sequence[str]) -> None:
        # In a greenlet: adopting may take longer than the time between two heartbeats.
        self._greenlets.spawn(self._adopt, lanes, self._local.optimistic_transaction())

    @override
    def rebalance(self, count: int) -> None:
        self._handover.hand_over(count)

    @override
    def heartbeat(self, until: float, changes: int) -> None:
        self._local.deliver_until(until)
        if changes != self._topics_version:
            self._topics_version = changes
            self._greenlets.spawn(self._read_peers_topics)

    @override
    def lost(self) -> None:
        self._local.remove_all()
        self._local.reset(self._journal.skip_to_end())

    @override
    def refused(self, lanes: Sequence[str]) -> None:
        self._local.refuse(lanes)

    # What follows from that

    def _read_peers_topics(self) -> None:
        index = TopicIndex[str]()
        try:
            for key, topics in self._journal.topics_by_lane().items():
                index.put(key, topics, key)
                self._local.give_way()
        except JournalError as error:
            log.debug("the topics of the peers' subscriptions are not known: %s", error)
            self._topics_version = -1
        else:
            self._peers_topics = index

    def _adopt(self, keys: Sequence[str], transaction: Transaction) -> None:
        """Adopt subscriptions part by part; those that fail are adopted later (``_repair``).

        The ``transaction`` began before the subscriptions became this node's.
        """
        count = 0
        try:
            for start in range(0, len(keys), YIELD_EVERY_LANES):
                count += self._adopt_part(keys[start : start + YIELD_EVERY_LANES], transaction)
        except JournalError as error:
            log.warning("subscriptions cannot be acquired yet: %s", error)
        if count:
            log.info("%d subscriptions acquired", count)

    def _adopt_part(self, keys: Sequence[str], transaction: Transaction) -> int:
        """Adopt subscriptions while nobody registers or deregisters; return how many. Raises JournalError."""
        with self._local.hold(*keys):
            if transaction.stale:
                return 0
            missing = [key for key in keys if key not in self._local.lanes]
            kept = [(record, count) for record, count in self._journal.lane_records(missing) if record.open]
            self._journal.wait_until_read(max((record.scanned for record, _ in kept), default=0))
            lanes = self._local.adopt(kept)
            if transaction.stale:  # peers own them, or the journal has another content
                self._local.remove([lane.subscriber.key for lane in lanes])
                return 0
            for lane in lanes:
                self._local.resume(lane)
        return len(lanes)

    def _repair_at_intervals(self) -> None:
        before: set[str] = set()
        while not self._ends:
            gevent.sleep(self._timing.repair_interval_seconds)
            try:
                before = self._repair(before)
            except JournalError as error:
                log.debug("ownership could not be compared with the journal: %s", error)
            except Exception:  # the next time it is tried again
                log.exception("unexpected error while ownership was compared with the journal")

    def _repair(self, before: set[str]) -> set[str]:
        """Adopt and remove what was left half-done while the journal did not answer.

        Only what differed ``before``, too, is repaired: the rest may be under way. Return what differs now.
        """
        transaction, lanes = self._local.optimistic_transaction(), self._local.lanes
        owned = self._members.owned()
        missing = owned - lanes.keys()
        if late := sorted(missing & before):
            self._adopt(late, transaction)
            if transaction.stale:
                return set()
            with self._local.hold(*late):  # nobody registers them meanwhile
                self._members.release([key for key in late if key not in lanes])  # the journal has nothing of these
        self._local.remove([key for key in list(lanes) if key not in owned and key in before])
        return missing | (lanes.keys() - owned)
