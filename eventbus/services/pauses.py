"""Pauses by an operator: nothing new is attempted at a subscriber, a group or one member until they end."""

import logging
import math
from collections.abc import Callable
from dataclasses import replace

from eventbus.core.clock import rfc3339
from eventbus.core.records import Checkpoint, LaneRecord, Pause
from eventbus.delivery.decision import Decision
from eventbus.delivery.lane.group_lane import GroupLane
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import record_of
from eventbus.delivery.lane.member import Member
from eventbus.services.node import Node
from eventbus.services.registered_lane import check_owned, registered_target

log = logging.getLogger(__name__)


class Pauses:
    """Begins and ends pauses; each is saved before it holds."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._dispatcher = node.dispatcher
        self._clock = node.clock

    def pause(self, key: str, pause: Pause, member: str | None = None) -> None:
        """Start no attempt for a subscription, or at a member of a group, while a pause lasts.

        A pause that is there is replaced. Raises Conflict where it is not registered, NotOwner and JournalError.
        """
        lane, target = registered_target(self._node, key, member, "pause")

        def begin(now: float) -> None:
            ends = math.inf if pause.until is None else now + pause.until - self._clock.wall()
            target.begin_pause(pause, ends)

        self._save(lane, target, pause, begin)
        until = "until it is resumed" if pause.until is None else f"until {rfc3339(pause.until)}"
        self._note(target, f"is paused by an operator, {until}")

    def resume(self, key: str, member: str | None = None) -> bool:
        """End a pause, of an operator or one that the subscriber asked for; return whether there was one.

        Raises Conflict where it is not registered, NotOwner and JournalError.
        """
        lane, target = registered_target(self._node, key, member, "resume")
        resumed = False

        def end(now: float) -> None:
            nonlocal resumed
            resumed = target.resume(now)

        self._save(lane, target, None, end)
        if resumed:
            self._note(target, "is resumed by an operator")
        return resumed

    def _save(self, lane: Lane, target: Lane | Member, pause: Pause | None, apply: Callable[[float], None]) -> None:
        def change() -> Checkpoint:
            check_owned(self._node, lane)
            newest = self._dispatcher.recent.newest
            record = record_of(lane, newest, self._clock.monotonic(), self._clock.wall())
            return Checkpoint(self._clock.wall(), newest, lanes=(_with_pause(record, target.subscriber.key, pause),))

        def happen() -> None:
            now = self._clock.monotonic()
            apply(now)
            if isinstance(lane, GroupLane):
                lane.members_changed(now)
            lane.touch()
            self._dispatcher.schedule(lane)

        self._dispatcher.checkpointer.decide(Decision(change, happen, [lane], [lane.subscriber.key]))
        self._node.journal.wait_durable()

    def _note(self, target: Lane | Member, text: str) -> None:
        key = target.subscriber.key
        target.note(text, self._clock.wall())
        log.info("subscriber %s %s", key, text, extra={"address": key})


def _with_pause(record: LaneRecord, key: str, pause: Pause | None) -> LaneRecord:
    """Return the record of a lane with another pause of its own, or of one of its members."""
    if record.subscriber.key == key:
        return replace(record, pause=pause)
    members = (replace(each, pause=pause) if each.subscriber.key == key else each for each in record.members)
    return replace(record, members=tuple(members))
