"""How a subscriber's lane begins: offered what is new from a moment on, and there when its registration is saved."""

import logging
from collections.abc import Callable, Collection

from eventbus.core.model import Checkpoint, LaneRecord, Subscriber
from eventbus.delivery.decision import Decision
from eventbus.delivery.dispatcher import Dispatcher
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import continued_record, lane_of, new_record, record_of
from eventbus.delivery.lane.phase import CloseReason
from eventbus.delivery.transaction import Transaction
from eventbus.journal.base import Journal
from eventbus.services.admission import Admission
from eventbus.services.replays import Counted, Replays

log = logging.getLogger(__name__)


class NewLanes:
    """Makes lanes for addresses that have none. A registration, and the replay that it asks for, are one commit."""

    def __init__(
        self, dispatcher: Dispatcher, journal: Journal, admission: Admission, replays: Replays, rules: Rules
    ) -> None:
        self._dispatcher = dispatcher
        self._journal = journal
        self._admission = admission
        self._replays = replays
        self._rules = rules
        self._clock = dispatcher.clock

    def begin(
        self, subscriber: Subscriber, ips: Collection[str], replay: Counted | None, lease: Callable[[Lane], None]
    ) -> Lane:
        """A lane that is saved, and in the dispatcher, with a lease that has begun when it came there.

        ``ips`` are what its host has resolved to.
        Raises JournalError and TooMany; then there is none.
        """
        key, checkpointer = subscriber.key, self._dispatcher.checkpointer
        transaction = checkpointer.optimistic_transaction()
        if self._journal.lane(key) is None:
            self._admission.check_rate(subscriber.address)
            lane = self._make(subscriber, ips, None, transaction)
            self._introduce(lane, replay, transaction, lease)
        else:
            with checkpointer.transaction():  # else its account may change meanwhile, or be forgotten
                lane = self._make(subscriber, ips, self._journal.lane(key), transaction)
                self._introduce(lane, replay, transaction, lease)
        log.info("lease of %s began", key, extra={"address": key})
        return lane

    def _make(
        self, subscriber: Subscriber, ips: Collection[str], past: LaneRecord | None, transaction: Transaction
    ) -> Lane:
        """A lane that is offered what is new."""
        transaction.check()  # else there may be a lane with what is pending, which nobody has
        self._admission.check_room(subscriber.address, ips)  # others may have come while this one was looked at
        now, wall = self._clock.monotonic(), self._clock.wall()
        record = new_record(subscriber, wall, self._dispatcher.recent.newest)
        if past is not None:
            record = continued_record(record, past)
        lane = lane_of(record, self._rules, retries=0, ends=now, now=now, wall=wall)
        lane.mark_not_durable()
        self._dispatcher.announce(lane, ips)
        return lane

    def _introduce(
        self, lane: Lane, replay: Counted | None, transaction: Transaction, lease: Callable[[Lane], None]
    ) -> None:
        """Save a lane, and add it then."""

        def change() -> Checkpoint:
            now, wall, newest = self._clock.monotonic(), self._clock.wall(), self._dispatcher.recent.newest
            return Checkpoint(wall, newest, lanes=(record_of(lane, newest, now, wall),))

        def happen() -> None:
            self._dispatcher.add(lane)
            lease(lane)
            self._dispatcher.schedule(lane)

        try:
            if replay is not None:
                self._replays.add(lane, replay)
            transaction.introduce(Decision(change, happen, keys=[lane.subscriber.key]))
        finally:
            if self._dispatcher.lanes.get(lane.subscriber.key) is not lane:
                self._dispatcher.remove(lane, CloseReason.NOT_SAVED)
