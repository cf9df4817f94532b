"""Retries at once: what waits for its backoff need not wait any longer, since an operator says so."""

from eventbus.core.model import State
from eventbus.core.records import Checkpoint
from eventbus.delivery.decision import Decision
from eventbus.delivery.lane.lane_record import record_of
from eventbus.delivery.lane.status import status
from eventbus.services.node import Node
from eventbus.services.registered_lane import check_owned, registered_lane


class RetryNow:
    """Ends backoffs."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._dispatcher = node.dispatcher
        self._clock = node.clock

    def retry(self, key: str) -> tuple[int, State]:
        """Have all retries of a subscription due, and a subscriber that is down attempted.

        Return how many wait, and the subscription's state: while it is paused, or waits for its credentials, they stay.
        Raises Conflict where it is not registered, NotOwner and JournalError.
        """
        lane = registered_lane(self._node, key, "retry")
        count = 0

        def change() -> Checkpoint:
            check_owned(self._node, lane)
            now, wall, newest = self._clock.monotonic(), self._clock.wall(), self._dispatcher.recent.newest
            return Checkpoint(wall, newest, lanes=(record_of(lane, newest, now, wall),), hastened=(key,))

        def happen() -> None:
            nonlocal count
            count = lane.retry_now(self._clock.monotonic())
            self._dispatcher.schedule(lane)

        self._dispatcher.checkpointer.decide(Decision(change, happen, [lane], [key]))
        return count, status(lane, self._clock.monotonic())
