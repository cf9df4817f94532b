"""Subscribers that want no more events: they deregister, or answer 410 Gone. What is pending for them is discarded."""

import logging

from eventbus.core.access import OPEN, Access
from eventbus.core.errors import NotOwner
from eventbus.core.model import is_declared
from eventbus.delivery.lane.health import Health
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane_registry import targets_of
from eventbus.services.expired import ExpiredSubscribers
from eventbus.services.expiry import LeaseExpiry
from eventbus.services.memberships import Memberships
from eventbus.services.node import Node

log = logging.getLogger(__name__)


def _check_not_declared(target: Health) -> None:
    """Raise Conflict for a subscriber that a file declares."""
    if target.subscriber.declared:
        raise is_declared(target.subscriber.text)


class Deregistrations:
    """Removes registrations."""

    def __init__(self, node: Node, expiry: LeaseExpiry, expired: ExpiredSubscribers, memberships: Memberships) -> None:
        self._dispatcher = node.dispatcher
        self._journal = node.journal
        self._leases = node.leases
        self._locks = node.locks
        self._cluster = node.cluster
        self._expiry = expiry
        self._expired = expired
        self._memberships = memberships

    def deregister(self, key: str, by: Access = OPEN) -> int:
        """Remove a registration and discard what is pending; return how many deliveries those were.

        The key is an address, or a group's. A member leaves its group, and nothing is discarded.
        Raises NotOwner and JournalError, Forbidden for one that belongs to somebody else than who asks, and Conflict
        for one that is declared.
        """
        discarded = 0
        if (found := self._memberships.find(key)) is not None:
            by.check_owner(found[0].subscriber.owner, f"The group {found[0].subscriber.text}")
            _check_not_declared(found[1])
        if self._memberships.deregister(key):
            self._journal.wait_durable()
            return 0
        with self._locks.hold(key):
            if key not in self._dispatcher.lanes:
                if self._cluster.subscription_of(key) not in (None, key):
                    raise NotOwner("Another node has acquired the group of this address; try again.")
                self._cluster.find(key)
            lane = self._dispatcher.lanes.get(key)
            if lane is None:
                self._dispatcher.checkpointer.flush()  # it may have ended just now, without being saved
                expired = self._expired.find(key)
                if expired is not None:
                    by.check_owner(expired.subscriber.owner, expired.subscriber.text)
            else:
                by.check_owner(lane.subscriber.owner, lane.subscriber.text)
                for target in targets_of(lane) if lane.ended_at is None else ():
                    _check_not_declared(target)
                try:
                    discarded = self._expiry.discard(lane)
                finally:
                    if lane.closed:
                        self._end_leases(lane)
                message = "lease of %s ended: deregistered, %d pending discarded"
                log.info(message, key, discarded, extra={"address": key})
        self._journal.wait_durable()
        self._expired.remove(key)
        return discarded

    def _end_leases(self, lane: Lane) -> None:
        for target in targets_of(lane):
            self._leases.end(target.subscriber.key)

    def subscriber_gone(self, lane: Lane, target: Health) -> None:
        """Remove the registration of a subscriber that answered 410 Gone; a group goes on with its other members."""
        if target is not lane:
            self._memberships.gone(target.subscriber.key)
            return
        key = lane.subscriber.key
        if self._expiry.discard_in_time(lane):
            self._leases.end(key)
            message = "lease of %s ended: it answered 410, %d pending discarded"
            log.info(message, key, lane.backlog, extra={"address": key})
