"""The subscriptions that this node delivers for: restored at the start, acquired from peers, and handed over."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager

from eventbus.cluster.base import LocalSubscriptions
from eventbus.core.clock import Clock
from eventbus.core.override import override
from eventbus.core.records import LaneRecord, Recovered
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.phase import CloseReason
from eventbus.delivery.lane_registry import targets_of
from eventbus.delivery.transaction import Transaction
from eventbus.services.expiry import LeaseExpiry
from eventbus.services.feed import Feed
from eventbus.services.node import Node
from eventbus.services.recovery import adopt, restore
from eventbus.services.retention import Retention
from eventbus.services.sweeper import Sweeper

log = logging.getLogger(__name__)


class NodeSubscriptions(LocalSubscriptions):
    """What the cluster may do to this node. It takes part in the cluster while the bus runs."""

    def __init__(self, node: Node, sweeper: Sweeper, expiry: LeaseExpiry, retention: Retention, feed: Feed) -> None:
        self._node = node
        self._dispatcher = node.dispatcher
        self._checkpointer = node.dispatcher.checkpointer
        self._sweeper = sweeper
        self._expiry = expiry
        self._retention = retention
        self._feed = feed

    def start(self) -> None:
        """Take part in the cluster. Raises JournalError."""
        self._node.cluster.start(self)

    def stop(self) -> None:
        """Take part in the cluster no more."""
        self._node.cluster.stop()

    def restore(self, recovered: Recovered) -> list[Lane]:
        """Put back the lanes that the journal held, and deliver for them. Raises JournalError."""
        node = self._node
        lanes = restore(recovered, node.journal, node.dispatcher, node.rules, node.clock)
        for lane in lanes:
            self.resume(lane)
        _log_waiting(lanes)
        return lanes

    @property
    @override
    def lanes(self) -> Mapping[str, Lane]:
        return self._dispatcher.lanes

    @property
    @override
    def clock(self) -> Clock:
        return self._node.clock

    @override
    def hold(self, *keys: str) -> AbstractContextManager[None]:
        return self._node.locks.hold(*keys)

    @override
    def transaction(self) -> AbstractContextManager[Transaction]:
        return self._checkpointer.transaction()

    @override
    def optimistic_transaction(self) -> Transaction:
        return self._checkpointer.optimistic_transaction()

    @override
    def adopt(self, records: Sequence[tuple[LaneRecord, int]]) -> list[Lane]:
        lanes = adopt(records, self._node.journal, self._dispatcher, self._node.rules, self._node.clock)
        _log_waiting(lanes)
        return lanes

    @override
    def resume(self, lane: Lane) -> None:
        if lane.ended_at is None:
            for target in targets_of(lane):
                self._node.leases.restore(target.lease)
            self._sweeper.wake()
        elif not lane.subscriber.options.resume and not lane.expired:
            self._expiry.dead_letter(lane)
        self._dispatcher.schedule(lane)

    @override
    def is_idle(self, lane: Lane) -> bool:
        return not lane.in_flight and not self._dispatcher.reader.is_reading(lane)

    @override
    def schedule(self, lane: Lane) -> None:
        self._dispatcher.schedule(lane)

    @override
    def save(self, lanes: Sequence[Lane]) -> None:
        self._checkpointer.save_lanes(lanes)

    @override
    def save_removed(self, lanes: Sequence[Lane]) -> None:
        self._checkpointer.save_last(lanes)

    @override
    def remove(self, keys: Iterable[str]) -> None:
        self._retention.lanes_moved()
        for key in keys:
            self._node.leases.end(key)
            lane = self._dispatcher.lanes.get(key)
            if lane is not None:
                for target in targets_of(lane):
                    self._node.leases.end(target.subscriber.key)
                self._dispatcher.registry.remove(lane, CloseReason.LOST)

    @override
    def refuse(self, keys: Sequence[str]) -> None:
        self._checkpointer.refuse(keys)
        self.remove(keys)

    @override
    def remove_all(self) -> None:
        self._dispatcher.recent.expire()
        self.remove(list(self._dispatcher.lanes))
        self._checkpointer.reset()

    @override
    def reset(self, newest: int) -> None:
        self._dispatcher.reset(newest)
        self._feed.committed()  # whoever waits reads again

    @override
    def deliver_until(self, moment: float) -> None:
        self._dispatcher.deliver_until(moment)

    @override
    def give_way(self) -> None:
        self._dispatcher.load.give_way()


def _log_waiting(lanes: Iterable[Lane]) -> None:
    """Log how many subscribers get nothing until they renew: their credentials are in nobody's memory."""
    count = sum(target.lacks_credentials for lane in lanes for target in targets_of(lane))
    if count:
        log.info("%d subscribers wait for their credentials, which come with their next renewals", count)
