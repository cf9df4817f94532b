"""Closes lanes: of expired leases, by dead-lettering what is pending; of subscribers that left, by discarding it."""

import logging
from collections.abc import Callable, Container

import gevent

from eventbus.core.errors import JournalError, NotOwner
from eventbus.core.log_once import LogOnce
from eventbus.core.records import Checkpoint
from eventbus.delivery.decision import Decision
from eventbus.delivery.lane.closing import dead_letter_memory, dead_letter_page, discard_checkpoint, discard_pending
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.phase import CloseReason, Phase
from eventbus.services.node import Node

log = logging.getLogger(__name__)


class LeaseExpiry:
    """Closes lanes, each in a greenlet of its own that tries again until it is saved.

    A lane stays in the dispatcher, with its account, until its end is saved.
    """

    def __init__(self, node: Node, on_expired: Callable[[Lane], object]) -> None:
        self._dispatcher = node.dispatcher
        self._journal = node.journal
        self._clock = node.clock
        self._page_events = node.timing.commit_rows
        self._retry_seconds = node.timing.retry_delay_seconds
        self._greenlets: dict[str, gevent.Greenlet[..., None]] = {}
        self._on_expired = on_expired  # called with a lane that is closed, since its lease expired
        self._failing: dict[str, JournalError] = {}  # whose end could not be saved, when that was last tried

    def discard(self, lane: Lane) -> int:
        """Close a lane, and discard what is pending; return how many deliveries that was.

        Raises NotOwner where it is closed, or a peer's, by now, and JournalError; see ``Checkpointer.decide``.
        """
        count = 0

        def change() -> Checkpoint:
            nonlocal count
            if lane.closed:
                raise NotOwner
            count = lane.backlog
            return discard_checkpoint(lane, self._dispatcher.recent.newest, self._clock.monotonic(), self._clock.wall())

        def happen() -> None:
            if not lane.closed:
                discard_pending(lane, self._dispatcher.recent.newest, self._clock.wall())
                self._dispatcher.registry.remove(lane, CloseReason.DISCARDED)

        decision = Decision(change, happen, lanes=[lane], keys=[lane.subscriber.key])
        self._dispatcher.checkpointer.decide(decision)
        return count

    def discard_in_time(self, lane: Lane) -> bool:
        """Begin to discard what is pending, and start no attempt meanwhile; return False where that had begun."""
        if lane.phase is Phase.DISCARDING:
            return False
        lane.begin_discarding(self._clock.monotonic())
        self._begin(lane, self._discard)
        return True

    def dead_letter(self, lane: Lane) -> None:
        """Begin to dead-letter all that is pending; the lane is offered nothing new."""
        lane.begin_ending(self._dispatcher.recent.newest, self._clock.wall())
        self._dispatcher.registry.unindex(lane)
        self._begin(lane, self._dead_letter_all)

    def wait(self, key: str) -> None:
        """Return when no lane of this subscriber is being closed. Raises JournalError while that cannot be saved."""
        while (greenlet := self._greenlets.get(key)) is not None:
            if key in self._failing:
                lane = self._dispatcher.lanes.get(key)
                self._dispatcher.checkpointer.save_lanes([] if lane is None else [lane])
                greenlet.join(2 * self._retry_seconds)  # in which it is tried again
                if key in self._failing:
                    raise self._failing[key].with_traceback(None)
            greenlet.join(self._retry_seconds)

    def start(self) -> None:
        """Do nothing: each lane that is closed gets a greenlet."""

    def stop(self) -> None:
        """Leave the lanes that are being closed to the next start."""
        gevent.killall(list(self._greenlets.values()))

    def _begin(self, lane: Lane, end: Callable[[Lane], None]) -> None:
        key = lane.subscriber.key
        self._greenlets[key] = gevent.spawn(end, lane)
        self._greenlets[key].link(lambda ended: self._forget_greenlet(key, ended))

    def _forget_greenlet(self, key: str, ended: "gevent.Greenlet[..., None]") -> None:
        """Forget a greenlet; by now the lane may have been a peer's and come back, and have another one."""
        if self._greenlets.get(key) is ended:
            del self._greenlets[key]
            self._failing.pop(key, None)

    def _discard(self, lane: Lane) -> None:
        self._repeat(lane, lambda: self.discard(lane), {Phase.DISCARDING})

    def _dead_letter_all(self, lane: Lane) -> None:
        self._repeat(lane, lambda: self._dead_letter_next(lane), {Phase.ENDING, Phase.EMPTIED})

    def _repeat(self, lane: Lane, step: Callable[[], object], phases: Container[Phase]) -> None:
        """Take one step after another, each until it is saved, as long as the lane is in one of these phases."""
        log_once, key = LogOnce(), lane.subscriber.key
        while lane.phase in phases:
            try:
                step()
            except NotOwner:
                return
            except JournalError as error:
                self._failing[key] = error
                if log_once.raised():
                    log.warning("what is pending for %s cannot be put away yet: %s", key, error, extra={"address": key})
                gevent.sleep(self._retry_seconds)
            else:
                log_once.cleared()
                self._failing.pop(key, None)

    def _dead_letter_next(self, lane: Lane) -> None:
        """Save what is dead already, dead-letter the next part, and close the lane when none is left."""
        if not lane.backlog and lane.phase is Phase.ENDING:
            lane.finish_ending()
        self._dispatcher.checkpointer.save_lanes([lane])
        if lane.phase is Phase.EMPTIED and not lane.dirty:
            self._dispatcher.registry.remove(lane, CloseReason.EXPIRED)
            self._on_expired(lane)
        elif (
            lane.phase is not Phase.ENDING
            or self._dispatcher.reader.is_reading(lane)
            or not self._dead_letter_part(lane)
        ):
            gevent.sleep(self._retry_seconds)

    def _dead_letter_part(self, lane: Lane) -> bool:
        """Dead-letter what is next; return whether there was anything but what is in flight."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        before = lane.dead
        dead_letter_memory(lane, now, wall)
        part = next((part for part in lane.ranges() if part.remaining), None)
        if lane.retries.spilled:
            self._dispatcher.reader.read_retries(lane)
        elif part is not None:
            end, began = self._dispatcher.recent.newest if part.end is None else part.end, part.cursor
            page = self._journal.topics(part.cursor, end, self._page_events)
            if part.cursor != began:
                return True
            dead_letter_page(lane, part, [row[:2] for row in page], page[-1][0] if page else end, wall)
            if not page:
                lane.drop_remaining(part)
        return lane.dead > before or part is not None or lane.retries.count > 0
