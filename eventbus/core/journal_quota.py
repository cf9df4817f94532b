"""Who holds back more of a full journal than its quota, and what each of those gives up. Pure.

It goes by a sample of the events, since nobody counts bytes for each subscription while events come and go.
"""

import heapq
import math
from collections import defaultdict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

#: Part of the limit, or of the memory of the journal's server, past which settled events go early; and the part of the
#: limit to which they are brought back.
HIGH, LOW = 0.9, 0.8
#: The part of a journal that may be stuck: what does not go by itself.
STUCK_SHARE = 3 / 4


@dataclass(frozen=True, slots=True)
class SampledEvent:
    """An event of the sample: its bytes in the journal, and by key the subscriptions that need it.

    ``waiting`` are those for which it is deferred; ``dead`` those with a dead letter of it, and the bytes of that.
    """

    seq: int
    topic: str | None
    size: int
    waiting: tuple[str, ...] = ()
    dead: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """An event, and who needs it: pending there, or as a dead letter."""

    event: SampledEvent
    pending: frozenset[str]


@dataclass(slots=True)
class Cut:
    """What a subscription gives up: all up to these numbers; 0 is nothing."""

    dead: int = 0  # bodies of dead letters
    pending: int = 0


@dataclass(frozen=True, slots=True)
class Quota:
    """Bytes of a full journal that may be held back: by ``each`` subscription, and by all that are stuck ``together``.

    Stuck is what does not go by itself: dead letters, and what is pending for subscriptions that fail. ``only_stuck``
    says that nothing else is given up.
    """

    each: float
    together: float = math.inf
    only_stuck: bool = False


def quota_of(limit: float, each: float, of: float, *, nodes: int = 1, only_stuck: bool = False) -> Quota:
    """Return the quotas of a journal that may hold ``limit`` bytes, where ``each`` counts for one that may hold ``of``.

    Each of several nodes judges by what it knows, its own subscriptions, and has its part of what may be stuck.
    """
    return Quota(each * limit / of, STUCK_SHARE * limit / nodes, only_stuck)


def cuts(
    sample: Sequence[Held],
    journal_bytes: int,
    quota: Quota,
    need: float,
    failing: Collection[str] = (),
) -> dict[str, Cut]:
    """What is given up, so that about ``need`` bytes of the journal become free, by whom.

    Always the one gives up next that holds back most, as long as that is more than the quota of each; then the one that
    holds back most of what is stuck, as long as that is more than they may together. It gives up the body of its oldest
    dead letter, and where it has none its oldest pending event. ``failing`` are the keys of subscriptions that fail.
    """
    holdings = _Holdings(sample, journal_bytes, need, frozenset(failing))
    holdings.give_up(quota.each, stuck=quota.only_stuck)
    holdings.give_up(0.0, stuck=True, together=quota.together)
    return dict(holdings.found)


@dataclass(slots=True)
class _Holder:
    fails: bool
    dead: deque[tuple[int, float]] = field(default_factory=deque)  # index in the sample, and bytes; the oldest first
    pending: deque[tuple[int, float]] = field(default_factory=deque)
    dead_bytes: float = 0.0
    pending_bytes: float = 0.0

    def bytes(self, *, stuck: bool) -> float:
        """What it holds back, or only what is stuck of it."""
        return self.dead_bytes + (self.pending_bytes if self.fails or not stuck else 0.0)


class _Holdings:
    """Who holds back what of a sample that stands for a journal, and what has been given up of it."""

    def __init__(self, sample: Sequence[Held], journal_bytes: int, need: float, failing: frozenset[str]) -> None:
        self.found: dict[str, Cut] = defaultdict(Cut)
        self._need = need
        self._sample = sorted(sample, key=lambda held: held.event.seq)
        whole = sum(held.event.size + sum(size for _, size in held.event.dead) for held in sample)
        self._scale = journal_bytes / whole if whole else 0.0
        self._holders: dict[str, _Holder] = {}
        self._needed = [len(held.pending) + len(held.event.dead) for held in self._sample]
        self._stuck = [len(held.pending & failing) + len(held.event.dead) for held in self._sample]
        self._together = (
            sum(held.event.size for held, stuck in zip(self._sample, self._stuck, strict=True) if stuck) * self._scale
        )
        for index, held in enumerate(self._sample):
            for key, size in held.event.dead:
                holder, count = self._holder(key, failing), (held.event.size + size) * self._scale
                holder.dead.append((index, count))
                holder.dead_bytes += count
            for key in held.pending:
                holder, count = self._holder(key, failing), held.event.size * self._scale
                holder.pending.append((index, count))
                holder.pending_bytes += count

    def _holder(self, key: str, failing: frozenset[str]) -> _Holder:
        found = self._holders.get(key)
        if found is None:
            found = self._holders[key] = _Holder(key in failing)
        return found

    def give_up(self, floor: float, *, stuck: bool, together: float = -1.0) -> None:
        """Let the one that holds back most give up its oldest, as long as that is more than ``floor``.

        With ``together`` only as long as all hold back more than that of what is stuck.
        """
        order = [(-holder.bytes(stuck=stuck), key) for key, holder in self._holders.items()]
        heapq.heapify(order)
        while self._need > 0 and order and -order[0][0] > floor and self._together > together:
            _, key = heapq.heappop(order)
            if self._give_up_oldest(key, stuck=stuck):
                heapq.heappush(order, (-self._holders[key].bytes(stuck=stuck), key))

    def _give_up_oldest(self, key: str, *, stuck: bool) -> bool:
        """Give up the body of a dead letter, or else a pending event; whether there was any."""
        holder = self._holders[key]
        was_stuck = bool(holder.dead) or holder.fails
        if holder.dead:
            index, count = holder.dead.popleft()
            holder.dead_bytes -= count
            self.found[key].dead = max(self.found[key].dead, self._sample[index].event.seq)
        elif holder.pending and (holder.fails or not stuck):
            index, count = holder.pending.popleft()
            holder.pending_bytes -= count
            self.found[key].pending = max(self.found[key].pending, self._sample[index].event.seq)
        else:
            return False
        self._free(index, was_stuck=was_stuck)
        return True

    def _free(self, index: int, *, was_stuck: bool) -> None:
        """Count that one needs an event no longer; whoever is the last one frees its bytes."""
        size = self._sample[index].event.size * self._scale
        self._needed[index] -= 1
        if not self._needed[index]:
            self._need -= size
        if was_stuck:
            self._stuck[index] -= 1
            if not self._stuck[index]:
                self._together -= size
