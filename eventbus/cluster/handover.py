"""Hands lanes over to other buses: a few, so that each has a fair share, or all of a bus that is about to end."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

import gevent

from eventbus.core.errors import JournalError
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.phase import Phase
from eventbus.journal.cluster_journal import Members
from eventbus.services.bus import Bus

#: Seconds that deliveries under way may take before a lane that is to be handed over stays where it is.
PATIENCE = 5.0
#: Seconds between two looks whether they have ended.
LOOK = 0.05
#: Seconds that what is being handed over may take when the bus stops.
STOP_SECONDS = 2.0
#: Seconds until it is tried again where the journal could not be written.
TRY_AGAIN = 1.0
#: Lanes that are handed over in one step.
SLICE = 200

log = logging.getLogger(__name__)


class Handover:
    """A lane goes when nothing is under way for it, and when all that it did is saved.

    ``lose`` is called with the lanes that go, and lets go of them here.
    """

    def __init__(self, bus: Bus, members: Members, lose: Callable[[Sequence[str]], object]) -> None:
        self._bus = bus
        self._members = members
        self._lose = lose
        self._under_way: gevent.Greenlet[..., None] | None = None
        self._ends = False  # this bus is about to end
        self._stopped = False

    def give(self, count: int) -> None:
        """Let another bus have so many lanes, those with the least to do; not while that is under way already."""
        if self._under_way is None or self._under_way.dead:
            self._under_way = gevent.spawn(self._give_some, count)

    def give_all(self) -> None:
        """Let others have all lanes: at once those for which nothing is under way, the others as that ends."""
        self._ends = True
        self._under_way = gevent.spawn(self._give_all, self._under_way)

    def stop(self) -> None:
        """Hand over nothing more; what is being handed over is, first."""
        self._ends = self._stopped = True
        if self._under_way is not None:
            self._under_way.join(STOP_SECONDS)
            self._under_way.kill()

    def _give_some(self, count: int) -> None:
        lanes = sorted(self._lanes(), key=lambda lane: lane.backlog)[:count]
        for lane in lanes:
            if lane.phase is not Phase.LEAVING:
                lane.leave()
        ends, gone = self._bus.clock.monotonic() + PATIENCE, 0
        try:
            for lane in lanes:
                while lane.in_flight and self._bus.clock.monotonic() < ends and not self._ends:
                    gevent.sleep(LOOK)
                gone += self._hand([lane])
                self._keep(lane)
        finally:
            for lane in lanes:
                self._keep(lane)
            _tell(gone)

    def _give_all(self, before: "gevent.Greenlet[..., None] | None") -> None:
        if before is not None:
            before.join()
        gone = 0
        if self._withdrawn():
            while not self._stopped and (lanes := self._lanes()):
                for lane in lanes:
                    if lane.phase is not Phase.LEAVING:
                        lane.leave()
                free = [lane for lane in lanes if self._is_idle(lane)][:SLICE]
                handed = self._hand(free) if free else 0
                gone += handed
                if not handed:
                    gevent.sleep(TRY_AGAIN if free else LOOK)
        _tell(gone)

    def _withdrawn(self) -> bool:
        """Tell the others, if there are any; whether they can have what this bus has."""
        try:
            others = self._members.peers()
            if others:
                self._members.withdraw()
        except JournalError as error:
            log.warning("subscribers are not handed over before this bus has ended: %s", error)
            return False
        return bool(others)

    def _lanes(self) -> list[Lane]:
        return [lane for lane in self._bus.dispatcher.lanes.values() if lane.renewable]

    def _is_idle(self, lane: Lane) -> bool:
        return not lane.in_flight and not self._bus.dispatcher.reader.is_reading(lane)

    def _keep(self, lane: Lane) -> None:
        """Go on with a lane that stays, unless it has gone."""
        if lane.phase is Phase.LEAVING:
            lane.stay()
            self._bus.dispatcher.schedule(lane)

    def _hand(self, lanes: Sequence[Lane]) -> int:
        """Save lanes for the last time here, and let other buses have them; how many went, the others stay.

        What could not be saved is done again by who has the lane next.
        """
        dispatcher = self._bus.dispatcher
        with (
            self._bus.registrations.locked(*(lane.subscriber.key for lane in lanes)),
            dispatcher.checkpointer.transaction(),
        ):
            try:
                dispatcher.checkpointer.save()
                free = [lane for lane in lanes if self._is_idle(lane) and not lane.closed]
                if not free:
                    return 0
                keys = [lane.subscriber.key for lane in free]
                self._lose(keys)
                dispatcher.checkpointer.save_last(free)
            except JournalError as error:
                log.warning("the last of %d subscribers could not be saved: %s", len(lanes), error)
                return 0
            with suppress(JournalError):  # then it is mended later
                self._members.release(keys)
        return len(free)


def _tell(gone: int) -> None:
    if gone:
        log.info("%d subscribers are another bus's now", gone)
