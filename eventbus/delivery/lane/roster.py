"""The roster of a group: its members, and which of them gets the next delivery. Pure."""

import heapq
import math
from collections.abc import Callable, Iterator

from eventbus.core.model import State
from eventbus.delivery.lane.member import Member, Rank

#: Old ranks that are kept before the heap is made again, beside twice as many as there are members.
SPARE_RANKS = 64


class Roster:
    """The members of one group, in the order they joined.

    A member that may get a delivery has a rank in a heap, and one that has to wait for a moment is in another. A
    member whose rank has changed leaves the former one behind, which is dropped when it comes to the top.
    """

    def __init__(self) -> None:
        self.one_at_a_time = False  #: the member that joined first gets all
        self._members: dict[str, Member] = {}
        self._ranks: list[Rank] = []
        self._later: list[tuple[float, int, Member]] = []
        self._left: set[Member] = set()  # members that have left, with deliveries in flight
        self._turn = 0

    def __iter__(self) -> Iterator[Member]:
        """Iterate over the members, those that joined first before the others."""
        return iter(self._members.values())

    def __len__(self) -> int:
        return len(self._members)

    def get(self, key: str) -> Member | None:
        """Return the member with this address."""
        return self._members.get(key)

    def add(self, member: Member, now: float) -> None:
        """Add a member."""
        self._members[member.subscriber.key] = member
        self.refresh(member, now)

    def remove(self, member: Member) -> None:
        """Remove a member; what it has in flight may still end."""
        if self._members.get(member.subscriber.key) is member:
            del self._members[member.subscriber.key]
            member.rank, member.has_left = None, True
            if member.in_flight:
                self._left.add(member)

    # Who gets a delivery

    def best(self, now: float) -> Member | None:
        """Return the member that the next delivery goes to, or None if all are full, down, paused or wait to renew."""
        if self._later:
            self._wake(now)
        if self.one_at_a_time:
            return next(self._in_order(now), None)
        ranks = self._ranks
        while ranks:
            found = ranks[0][3]
            if found.rank is ranks[0]:
                return found
            heapq.heappop(ranks)
        return None

    def _wake(self, now: float) -> None:
        """Give the members a rank whose time has come."""
        while self._later and self._later[0][0] <= now:
            member = heapq.heappop(self._later)[2]
            member.looked_at = math.inf
            if member.rank is None:
                self.refresh(member, now)

    def choose(self, now: float, suits: Callable[[Member], bool]) -> Member | None:
        """Return the best member that suits; None where none of those that suit may get a delivery now."""
        best = self.best(now)
        if best is None or suits(best):
            return best
        if self.one_at_a_time:
            return next((member for member in self._in_order(now) if suits(member)), None)
        ranks = (member.rank for member in self if member.rank is not None)
        return next((rank[3] for rank in sorted(ranks) if suits(rank[3])), None)

    def _in_order(self, now: float) -> Iterator[Member]:
        """Yield those that may get a delivery where one gets all: the one that joined first, and any before it to try.

        Those before it are down, and their next attempt is due. It takes over when all others that answer have ended.
        """
        for member in self:
            works = member.state_at(now) is State.OK and not member.starts_nothing
            if member.rank is not None and not (works and self._others_work(member)):
                yield member
            if works:
                return

    def _others_work(self, member: Member) -> bool:
        """Return whether other members that answer have deliveries in flight, or those that have left."""
        if self._left:
            return True
        return any(each.in_flight and each.state is not State.DOWN for each in self if each is not member)

    def next_moment(self) -> float:
        """Return when a member may be attempted that has to wait (monotonic seconds).

        It is -inf if one may be now, and inf if all are full or wait to renew: an answer or a renewal changes that.
        """
        if self.one_at_a_time:
            return self._next_in_order()
        if any(member.rank is not None for member in self):
            return -math.inf
        return self._later[0][0] if self._later else math.inf

    def _next_in_order(self) -> float:
        moment = math.inf
        for member in self:
            if not member.starts_nothing:
                moment = min(moment, member.ready_at())
                if member.is_fit:
                    break
        return moment

    # What changes who is best

    def begin(self, member: Member, now: float) -> None:
        """Count an attempt at a member that starts."""
        self._turn = member.used = self._turn + 1
        member.in_flight += 1
        if member.pace.space:
            member.pace.start(now)
        self.refresh(member, now)

    def end(self, member: Member, now: float) -> None:
        """Stop counting an attempt at a member."""
        member.in_flight -= 1
        if member.has_left and not member.in_flight:
            self._left.discard(member)
        self.refresh(member, now)

    def refresh(self, member: Member, now: float) -> None:
        """Give a member the rank that it has now: call this after each change of it."""
        if member.pause is not None and member.pause_at(now) is None:
            member.end_pause()
        if member.in_flight >= member.limit or member.waits_for_slot or member.has_left:
            member.rank = None
            return
        if member.not_before > now or member.pace.space:
            ready_at = member.ready_at()
            if ready_at > now:
                member.rank = None
                if ready_at < member.looked_at:  # else it has an entry that comes first, or waits for an operator
                    member.looked_at = ready_at
                    heapq.heappush(self._later, (ready_at, member.number, member))
                return
        former, ranks = member.rank, self._ranks
        member.rank = rank = (member.in_flight / member.limit, member.used, member.number, member)
        if ranks and ranks[0] is former:
            heapq.heapreplace(ranks, rank)
            return
        heapq.heappush(ranks, rank)
        if len(self._ranks) > 2 * len(self._members) + SPARE_RANKS:
            self._ranks = [each.rank for each in self if each.rank is not None]
            heapq.heapify(self._ranks)
