"""Removes settled events from the journal, the oldest first: those that no subscription of any node still needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eventbus.delivery.held_events import HeldEvents, RemoteLane, floor_of
from eventbus.services.journal_room import JournalRoom
from eventbus.services.node import Node

#: Part of the journal's limit that idempotency keys may take together.
KEYS_SHARE = 1 / 8


class Trimmer:
    """Walks the journal from its oldest event on, page by page."""

    def __init__(self, node: Node, room: JournalRoom, page_events: int) -> None:
        self._dispatcher = node.dispatcher
        self._journal = node.journal
        self._cluster = node.cluster
        self._room = room
        self._page_events = page_events
        self._holders: _Holders | None = None  # None: to be read again
        self._moves = 0  # how often lanes have moved between nodes

    def lanes_moved(self) -> None:
        """Read the peers' lanes again before anything is removed: some have got lanes of this node."""
        self._moves += 1
        self._holders = None

    def trim(self, before: float) -> None:
        """Remove settled events that were accepted before a moment, and later ones while room is needed.

        Raises NotOwner and JournalError.
        """
        self._holders = None
        cursor, newest, goal = 0, self._dispatcher.recent.newest, self._room.goal
        moves = self._moves
        while rows := self._journal.topics(cursor, newest, self._page_events):
            early = self._room.low_memory or (goal is not None and self._room.bytes > goal)
            old = rows if early else [row for row in rows if row[2] < before]
            self._trim_page([(seq, topic) for seq, topic, _ in old], before, moves)
            if early:
                self._room.measure()
            if len(old) < len(rows):
                break
            cursor, moves = rows[-1][0], self._moves

    def forget(self, before: float) -> None:
        """Remove idempotency keys and other things that the journal remembers since before a moment."""
        self._remove((), before)

    def _trim_page(self, events: Sequence[tuple[int, str | None]], before: float, moves: int) -> None:
        """Remove those that are settled, unless lanes have moved since they were read; no replay begins meanwhile."""
        with self._dispatcher.checkpointer.transaction():
            settled = self._settled(events)
            if moves != self._moves:  # some lanes were perhaps not asked: the next run removes these
                self._holders = None
            elif settled:
                self._dispatcher.recent.forget(settled[-1])
                self._remove(settled, before)

    def _remove(self, settled: Sequence[int], before: float) -> None:
        self._journal.trim(settled, before, int(KEYS_SHARE * self._room.limit))

    def _settled(self, events: Sequence[tuple[int, str | None]]) -> list[int]:
        """Return the events that no lane still has to deliver."""
        if not events:
            return []
        registry = self._dispatcher.registry
        holders = self._holders
        if holders is None or holders.no_longer_held != registry.no_longer_held:
            holders = self._holders = self._read_holders()
        before = tuple(registry.held)  # also what is no longer held soon: a lane may need it then
        floor = min((holders.floor, *(part.after + 1 for part in before)))
        if events[-1][0] < floor:
            return [seq for seq, _ in events]
        give_way = self._give_way()
        settled: list[int] = []
        for seq, topic in events:
            if seq >= floor:
                give_way()
                held = any(each.holds(seq, topic) for each in holders.each)
                if held or any(part.covers(seq, topic) for part in (*before, *registry.held)):
                    continue
            settled.append(seq)
        return settled

    def _read_holders(self) -> "_Holders":
        """Read what lanes of all nodes hold. They hold fewer events later, but for replays that begin meanwhile."""
        remote = [RemoteLane(record) for record in self._cluster.records()]
        self._dispatcher.checkpointer.save()
        registry = self._dispatcher.registry
        no_longer_held = registry.no_longer_held
        lanes = (*registry.lanes.values(), *registry.announced.values())
        local = [lane for lane in lanes if lane.backlog or lane.dead_letters]
        floor = min((*map(floor_of, local), *(lane.floor for lane in remote)), default=2**63)
        return _Holders((HeldEvents(local, self._give_way()), *remote), floor, no_longer_held)

    def _give_way(self) -> Callable[[], None]:
        load = self._dispatcher.load
        return load.give_way_urgently if self._room.under_pressure else load.give_way  # publishers wait for room


@dataclass(frozen=True, slots=True)
class _Holders:
    """What lanes held when they were read; ``floor`` is the first event of these."""

    each: tuple[HeldEvents | RemoteLane, ...]
    floor: int
    no_longer_held: int  # the registry's count at that moment
