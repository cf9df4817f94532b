"""Publishes that wait until every subscription has settled their event: delivered, filtered, dead or discarded."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import gevent

from eventbus.core.errors import JournalError, TooMany
from eventbus.core.model import Event
from eventbus.delivery.awaited import AwaitedEvent, DeliveryState
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.phase import CloseReason
from eventbus.services.history import Fate, History
from eventbus.services.node import Node
from eventbus.services.settled_fates import FatePeers, Fates, PeerFates, Settled, SettledFate, merged

#: Publishes that may wait on one node at once, and the deliveries that they may wait for together: each takes memory.
MAX_WAITING, MAX_AWAITED_DELIVERIES = 100, 200_000
#: Events that this node may watch for publishes which wait on other nodes, and the seconds for which it goes on beyond
#: the time that those have.
MAX_WATCHED, WATCH_MORE_SECONDS = 1_000, 5.0
#: The longest time, in seconds, between two looks at other nodes.
MAX_LOOK_SECONDS = 1.0


def too_many_waiting(publishes: int, deliveries: int) -> TooMany:
    """Return the error where so many publishes wait, for so many deliveries together."""
    return TooMany(
        f"{publishes} publishes wait for {deliveries} deliveries to be settled, of {MAX_WAITING} and "
        f"{MAX_AWAITED_DELIVERIES} that may; nothing of this was kept. Publish without settle, or try again later."
    )


class Settling:
    """Waits for the fate of events."""

    def __init__(self, node: Node, history: History) -> None:
        self._node = node
        self._history = history
        self._awaited = node.dispatcher.awaited
        self._clock = node.clock
        self._timing = node.timing
        self._counters = node.dispatcher.counters
        self._reserved = 0  # deliveries that all who wait may wait for
        self._watched: dict[str, AwaitedEvent] = {}  # for peers
        self._stops = False

    def start(self) -> None:
        """Do nothing: each publish waits in its own greenlet."""

    def stop(self) -> None:
        """Let everybody who waits be answered with what is known."""
        self._stops = True
        self._awaited.wake()

    # This node's publishes

    @contextmanager
    def awaiting(self, event_id: str, topic: str | None) -> Iterator[AwaitedEvent]:
        """Note what becomes of an event that is published in the block. Raises TooMany before that."""
        count = len(self._node.dispatcher.registry.matching(topic))
        if self._counters.settling >= MAX_WAITING or self._reserved + count > MAX_AWAITED_DELIVERIES:
            raise too_many_waiting(self._counters.settling, self._reserved)
        awaited = AwaitedEvent(event_id)
        self._counters.settling += 1
        self._reserved += count
        self._awaited.add(awaited)
        try:
            yield awaited
        finally:
            self._awaited.remove(awaited)
            self._reserved -= count
            self._counters.settling -= 1

    def wait(
        self, awaited: AwaitedEvent, seconds: float, gone: Callable[[], bool], peers: FatePeers | None = None
    ) -> Settled:
        """Return what became of an event: when nothing is pending, or after so many seconds.

        Return at once where the bus stops, or the client is ``gone``.
        """
        look_at, pause = self._clock.monotonic(), self._timing.settle_look_seconds
        ends, peer_fates = look_at + seconds, PeerFates(complete=peers is None)
        while True:
            awaited.changed.clear()
            awaited.doubt_closed()
            now = self._clock.monotonic()
            over = self._stops or now >= ends or gone()
            asks_peers = peers is not None and (over or awaited.is_settled)
            beyond_memory = (not awaited.is_settled and awaited.uncertain) or asks_peers
            if beyond_memory and (over or now >= look_at):
                self._look(awaited)
                if peers is not None and asks_peers:
                    peer_fates = peers.ask(awaited.id)
                if awaited.absent:
                    return Settled({})
                look_at, pause = self._clock.monotonic() + pause, min(2 * pause, MAX_LOOK_SECONDS)
            if over or (awaited.is_settled and peer_fates.settled):
                return self._settled(awaited, peer_fates)
            wake = min(ends, now + self._timing.settle_check_seconds, look_at if beyond_memory else math.inf)
            awaited.changed.wait(max(0.0, wake - self._clock.monotonic()))

    def follow(self, awaited: AwaitedEvent, event_id: str) -> None:
        """Wait for an event that was published before, with the same idempotency key."""
        self._awaited.remove(awaited)
        awaited.id = event_id
        event = None
        with suppress(JournalError):
            event = self._node.journal.event(event_id)
        if event is None:  # it may be scheduled, and enter the journal meanwhile
            self._awaited.add(awaited)
        else:
            self._awaited.follow(awaited, event)
        awaited.doubt()

    def _look(self, awaited: AwaitedEvent) -> None:
        """Read what became of an event that memory cannot tell; leave it as it is if the journal does not answer."""
        awaited.uncertain = False
        fates = self._read(awaited)
        if fates is None:
            awaited.uncertain = True
            return
        awaited.known = True
        lanes, known = self._node.dispatcher.lanes, set[str]()
        for fate in fates:
            key, state, row = fate.subscription.key, fate.state, fate.deferral
            known.add(key)
            if key in awaited.settled:
                continue
            if state != "pending":
                awaited.settle(fate.subscription, _state_of(fate))
            elif key in lanes:
                attempt = None if row is None else DeliveryState(state, row.attempts, row.status)
                if not awaited.expect(lanes[key], attempt):
                    awaited.uncertain = True  # it may have been settled since
        for lane in awaited.lanes():
            if lane.subscriber.key not in known:
                self._note_missing(awaited, lane)

    def _read(self, awaited: AwaitedEvent) -> list[Fate] | None:
        """Return what the journal knows of an event; None where that cannot be read, or it does not have the event."""
        node = self._node
        try:
            event = awaited.event or self._find(awaited)
            if event is None:
                return None
            node.dispatcher.checkpointer.save_lanes(awaited.lanes())
            return self._history.fates(event, replays=False)
        except JournalError:
            return None

    def _find(self, awaited: AwaitedEvent) -> Event | None:
        """Return the journal's event; None while it is scheduled, and where it is ``absent``. Raises JournalError."""
        journal = self._node.journal
        event = journal.event(awaited.id)
        if event is None and journal.scheduled_event(awaited.id) is None:
            event = journal.event(awaited.id)  # it may have entered the journal in between
            awaited.absent = event is None
        return event

    @staticmethod
    def _note_missing(awaited: AwaitedEvent, lane: Lane) -> None:
        """Note that an event is not pending any more in a lane which is not there any more, or another one now."""
        if lane.close_reason is CloseReason.LOST:
            awaited.drop(lane.subscriber.key)
        elif lane.closed:
            awaited.settle(lane.subscriber, DeliveryState("discarded"))

    def _settled(self, awaited: AwaitedEvent, peer_fates: PeerFates) -> Settled:
        own = _own_fates(awaited)
        fates = merged(own, peer_fates.fates)
        if not awaited.known:
            return Settled(fates, 1)  # at least
        if peer_fates.complete or awaited.event is None:
            return Settled(fates)
        expected = len(own) + self._node.cluster.reach({awaited.event.topic})
        return Settled(fates, max(0, expected - len(fates)))

    # Those of other nodes

    def report(self, event_id: str, seconds: float) -> Fates | None:
        """Return what became of an event in the lanes of this node; None where the journal does not have it.

        What becomes of it in the next seconds is noted. Raises JournalError.
        """
        awaited = self._watch(event_id, seconds)
        event = awaited.event or self._node.journal.event(event_id)
        if event is None:
            return None
        is_watched = self._watched.get(event_id) is awaited
        if is_watched and awaited.event is None and event.seq <= self._node.dispatcher.recent.newest:
            self._awaited.follow(awaited, event)
        self._look(awaited)
        return _own_fates(awaited) if awaited.known else None

    def _watch(self, event_id: str, seconds: float) -> AwaitedEvent:
        awaited = self._watched.get(event_id)
        if awaited is None:
            awaited = AwaitedEvent(event_id)
            if len(self._watched) < MAX_WATCHED:
                self._watched[event_id] = awaited
                self._awaited.add(awaited)
                gevent.spawn_later(seconds + WATCH_MORE_SECONDS, self._end_watch, awaited)
        return awaited

    def _end_watch(self, awaited: AwaitedEvent) -> None:
        del self._watched[awaited.id]
        self._awaited.remove(awaited)


def _state_of(fate: Fate) -> DeliveryState:
    """Return what the journal knows of a delivery that is settled."""
    if fate.failed is None or fate.state != "dead":
        return DeliveryState(fate.state)
    return DeliveryState(fate.state, fate.failed.attempts, fate.failed.status)


def _own_fates(awaited: AwaitedEvent) -> dict[str, SettledFate]:
    return {key: SettledFate(awaited.subscriptions[key], outcome) for key, outcome in awaited.outcomes().items()}
