"""Which subscriptions hold back more of a full journal than their quota, and what each of them drops. Pure.

The bytes of each subscription are estimated from a sample of the events, since they are not counted as events come.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

#: Bytes of a quota, or of the journal's limit, for each dead letter that there may be.
BYTES_PER_LETTER = 4_096
#: Dead letters that there may be, however small the quota or the limit.
MIN_LETTERS = 100


def max_letters(size: int) -> int:
    """Return how many dead letters a full journal may have, of one subscription by its quota, or in all by its limit.

    Both are in bytes. Beyond that they are discarded, or are not made.
    """
    return max(MIN_LETTERS, size // BYTES_PER_LETTER)


@dataclass(frozen=True, slots=True)
class SampledEvent:
    """An event of the sample: its bytes in the journal, and the keys of subscriptions that need it.

    ``waiting``: those with a retry of it. ``dead``: those with a dead letter of it, and that letter's bytes.
    """

    seq: int
    topic: str | None
    size: int
    waiting: tuple[str, ...] = ()
    dead: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """An event of the sample, and the keys of the subscriptions for which it is pending."""

    event: SampledEvent
    pending: frozenset[str]


@dataclass(slots=True)
class Cut:
    """What a subscription drops: all up to these sequence numbers; 0 is nothing."""

    dead: int = 0  # bodies of dead letters
    pending: int = 0


@dataclass(slots=True)
class _Holder:
    bytes: float = 0.0
    dead: deque[tuple[int, float]] = field(default_factory=deque)  # index in the sample, and bytes; oldest first
    pending: deque[tuple[int, float]] = field(default_factory=deque)


def cuts(sample: Sequence[Held], journal_bytes: int, quota: int, need: float) -> dict[str, Cut]:
    """Return what each subscription drops so that about ``need`` bytes of the journal become free.

    The next to drop something is always the one that holds back most, while that is more than the quota: first the
    body of its oldest dead letter, without dead letters its oldest pending event.
    """
    sample = sorted(sample, key=lambda held: held.event.seq)
    sampled_bytes = sum(held.event.size + sum(size for _, size in held.event.dead) for held in sample)
    scale = journal_bytes / sampled_bytes if sampled_bytes else 0.0
    holders = _holders(sample, scale)
    needed = [len(held.pending) + len(held.event.dead) for held in sample]
    order = [(-holder.bytes, key) for key, holder in holders.items()]
    heapq.heapify(order)
    found: dict[str, Cut] = defaultdict(Cut)
    while need > 0 and order and -order[0][0] > quota:
        _, key = heapq.heappop(order)
        holder = holders[key]
        index, size = (holder.dead or holder.pending).popleft() if holder.dead or holder.pending else (-1, 0.0)
        if index < 0:
            continue
        seq = sample[index].event.seq
        if any(dead == key for dead, _ in sample[index].event.dead) and key not in sample[index].pending:
            found[key].dead = max(found[key].dead, seq)
        else:
            found[key].pending = max(found[key].pending, seq)
        holder.bytes -= size
        needed[index] -= 1
        if not needed[index]:
            need -= sample[index].event.size * scale
        heapq.heappush(order, (-holder.bytes, key))
    return dict(found)


def _holders(sample: Sequence[Held], scale: float) -> dict[str, _Holder]:
    holders: dict[str, _Holder] = defaultdict(_Holder)
    for index, held in enumerate(sample):
        for key, size in held.event.dead:
            bytes_held = (held.event.size + size) * scale
            holders[key].dead.append((index, bytes_held))
            holders[key].bytes += bytes_held
        for key in held.pending:
            holders[key].pending.append((index, held.event.size * scale))
            holders[key].bytes += held.event.size * scale
    return holders
