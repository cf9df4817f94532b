"""What happens to a lane when its subscriber's lease is over."""

import logging
from collections.abc import Callable

import gevent

from eventbus.clock import Clock
from eventbus.delivery.dispatcher import Dispatcher
from eventbus.delivery.ending import bury_memory, bury_page, discarded
from eventbus.delivery.lane import Lane
from eventbus.errors import Elsewhere, JournalError
from eventbus.journal.base import Journal
from eventbus.trouble import Trouble

#: Events that become dead letters in one commit.
PAGE = 1_000
#: Seconds to wait for what is under way, and after a journal that could not be written.
PATIENCE = 0.25

log = logging.getLogger(__name__)


class Endings:
    """Ends lanes: at once by discarding, or part by part by making dead letters, beside the other lanes' work."""

    def __init__(self, dispatcher: Dispatcher, journal: Journal, clock: Clock) -> None:
        self._dispatcher = dispatcher
        self._journal = journal
        self._clock = clock
        self._under_way: dict[str, gevent.Greenlet[[Lane], None]] = {}
        self.on_expired: Callable[[Lane], object] = _nobody  #: called with a lane that is closed, since its lease ended

    def discard(self, lane: Lane) -> int:
        """Close a lane, and discard what is pending: so many deliveries.

        Raises Elsewhere where it is closed, or another bus's, by now, and JournalError; then it stands all the same.
        """
        checkpointer = self._dispatcher.checkpointer
        with checkpointer.alone:
            if lane.closed:
                raise Elsewhere
            count = lane.backlog
            self._dispatcher.remove(lane)
            scanned = self._dispatcher.recent.newest
            decided = discarded(lane, scanned, self._clock.monotonic(), self._clock.wall())
            checkpointer.save(decided, stands=True, of=[lane.subscriber.key])
        return count

    def bury(self, lane: Lane) -> None:
        """Begin to make dead letters of all that is pending; the lane takes nothing new."""
        lane.ending = True
        lane.touch()
        lane.ended_at = self._clock.wall() if lane.ended_at is None else lane.ended_at
        lane.lose_interest(self._dispatcher.recent.newest)
        self._dispatcher.unindex(lane)
        key = lane.subscriber.key
        self._under_way[key] = gevent.spawn(self._bury, lane)
        self._under_way[key].link(lambda ended: self._has_ended(key, ended))

    def wait(self, key: str) -> None:
        """Return when this address has no lane that is being ended."""
        while (greenlet := self._under_way.get(key)) is not None:
            greenlet.join()

    def stop(self) -> None:
        """Leave the rest for the next start."""
        gevent.killall(list(self._under_way.values()))

    def _has_ended(self, key: str, ended: "gevent.Greenlet[[Lane], None]") -> None:
        """By now the lane may have gone to another bus, and come back, and another greenlet may be at it."""
        if self._under_way.get(key) is ended:
            del self._under_way[key]

    def _bury(self, lane: Lane) -> None:
        trouble = Trouble()
        while lane.backlog and not lane.closed:
            try:
                if not self._bury_some(lane):
                    gevent.sleep(PATIENCE)
                trouble.ends()
            except JournalError as error:
                if trouble.begins():
                    log.warning(
                        "what is pending for %s cannot be put away yet: %s",
                        lane.subscriber.key,
                        error,
                        extra={"address": lane.subscriber.key},
                    )
                gevent.sleep(PATIENCE)
        self._close(lane)

    def _bury_some(self, lane: Lane) -> bool:
        """One step; False when there is nothing to do but wait for what is under way."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        before = lane.dead
        if lane.reading:
            return False
        bury_memory(lane, now, wall)
        stretch = next((stretch for stretch in lane.stretches() if stretch.behind), None)
        if lane.deferred.spilled:
            self._dispatcher.reader.read_deferred(lane)
        elif stretch is not None:
            upto, began = self._dispatcher.recent.newest if stretch.upto is None else stretch.upto, stretch.cursor
            page = self._journal.topics(stretch.cursor, upto, PAGE)
            if stretch.cursor != began:
                return True
            bury_page(lane, stretch, [row[:2] for row in page], page[-1][0] if page else upto, wall)
            if not page:
                lane.lose(stretch)
        self._dispatcher.checkpointer.save()
        return lane.dead > before or stretch is not None or lane.deferred.count > 0

    def _close(self, lane: Lane) -> None:
        lane.closed = lane.expired = True
        lane.touch()
        self._dispatcher.checkpointer.try_save()
        self._dispatcher.remove(lane)
        self.on_expired(lane)


def _nobody(_: Lane) -> None:
    """Is told until somebody is."""
