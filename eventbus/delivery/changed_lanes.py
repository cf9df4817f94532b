"""The lanes that have changed since they were saved last, divided into parts, each for one commit. Pure."""

from collections import deque
from collections.abc import Iterator

from eventbus.delivery.lane.lane import Lane

#: What one commit saves of lanes, at most, unless one lane alone has more; a unit takes the journal's thread about
#: 10 microseconds, in which nobody's publish is committed.
PART_WEIGHT = 640
#: What a lane weighs by itself, and a member of a group.
LANE_WEIGHT = 10
#: Patterns of topics that weigh one unit; so does a row: of a retry, a dead letter, or a discard.
PATTERNS_PER_UNIT = 4
#: Lanes in a part that have no rows and few patterns.
PART_LANES = PART_WEIGHT // LANE_WEIGHT
#: Seconds between two rounds, at least: what a crash may repeat.
INTERVAL_SECONDS = 0.1
#: Lanes in a round beyond which there are pauses between its parts: so long that saving takes this share of the time,
#: but no longer than would make a round take so many seconds.
UNPACED_LANES, MAX_TIME_SHARE, MAX_ROUND_SECONDS = 200, 0.03, 30.0


class ChangedLanes:
    """Keeps the lanes that have changed in rounds, and a round in parts.

    A round has all lanes that had changed when it began; what changes meanwhile comes with the next one. So no lane
    waits for longer than two rounds. When the last part of a round is saved, every event up to its ``scanned`` is in
    the saved account of each lane that it is for, and not before.
    """

    def __init__(self) -> None:
        self.reported: list[Lane] = []  #: lanes add themselves at their first change after they were saved
        self._round: deque[Lane] = deque()
        self.scanned = 0  #: up to which event the lanes had been offered all when the round began
        self.size = 0  #: lanes in the round
        self.begun = 0  #: rounds so far

    @property
    def in_round(self) -> bool:
        """Whether a part of the round is left."""
        return bool(self._round)

    def begin_round(self, scanned: int) -> None:
        """Begin a round, where none is under way; every event up to ``scanned`` has been offered to the lanes."""
        self._round.extend(self.reported)
        self.reported.clear()
        self.scanned, self.size = scanned, len(self._round)
        self.begun += 1

    def take_part(self) -> list[Lane]:
        """Remove and return the lanes of the next part, those that have changed and not been saved meanwhile.

        Where many lanes wait, half of the part is for those that have delivered something, of whatever round, since a
        crash repeats that; and for those that attempt nothing until they are saved.
        """
        found: dict[Lane, None] = {}
        weight = 0
        for lane in self._urgent() if len(self._round) > PART_LANES else ():
            found[lane] = None
            weight += weight_of(lane)
            if weight >= PART_WEIGHT // 2:
                break
        while self._round and weight < PART_WEIGHT:
            lane = self._round.popleft()
            if lane.dirty and not lane.closed and lane not in found:
                found[lane] = None
                weight += weight_of(lane)
        return list(found)

    def _urgent(self) -> Iterator[Lane]:
        """Yield the lanes that go before others, those first that have waited for longest."""
        for lanes in (self._round, self.reported):
            for lane in lanes:
                if (lane.unsaved_deliveries or lane.waits_for_save()) and lane.dirty and not lane.closed:
                    yield lane

    def clear(self) -> None:
        """Forget all lanes."""
        self.reported.clear()
        self._round.clear()


def weight_of(lane: Lane) -> int:
    """Return what saving a lane weighs; see ``PART_WEIGHT``."""
    rows = lane.unsaved() + len(lane.discards)
    patterns = sum(len(interest.topics) for interest in lane.interests)
    members = 0 if lane.roster is None else len(lane.roster)
    return LANE_WEIGHT * (1 + members) + rows + patterns // PATTERNS_PER_UNIT


def pause_after(cost: float, lanes: int, *, over: bool) -> float:
    """Return the seconds until the next part is saved, after one that took ``cost`` in a round of so many lanes.

    ``over`` says whether the round is over, or could not be saved.
    """
    shortest = INTERVAL_SECONDS if over else 0.0
    if lanes <= UNPACED_LANES:
        return shortest
    return max(shortest, min(cost / MAX_TIME_SHARE, MAX_ROUND_SECONDS * PART_LANES / lanes))
