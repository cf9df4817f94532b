"""Which member of a group gets the next delivery: the one with the fewest in flight, then the one idle for longest."""

import math
import tracemalloc
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.credentials import NO_CREDENTIALS, CredentialKind, Credentials, SigningSecret
from eventbus.core.model import State
from eventbus.core.records import Pause
from eventbus.delivery.lane.member import Member
from eventbus.delivery.lane.roster import Roster
from tests.support.groups import A, B, C, member_of


def roster_of(*members: Member, one_at_a_time: bool = False) -> Roster:
    """A roster with these members."""
    roster = Roster()
    roster.one_at_a_time = one_at_a_time
    for member in members:
        roster.add(member, 0.0)
    return roster


def text(member: Member | None) -> str | None:
    """The address of a member."""
    return None if member is None else member.subscriber.key


def turns(roster: Roster, count: int) -> list[str | None]:
    """The members that get so many deliveries, none of which ends."""
    found = []
    for _ in range(count):
        best = roster.best(0.0)
        found.append(text(best))
        if best is not None:
            roster.begin(best, 0.0)
    return found


def test_members_get_deliveries_in_turn() -> None:
    """Of members that have as many in flight, the one that was chosen longest ago is next, until all are full."""
    roster = roster_of(*(member_of(each, number, max_in_flight=2) for number, each in enumerate((A, B, C))))
    assert turns(roster, 7) == [A, B, C, A, B, C, None]


def test_the_load_is_in_relation_to_the_limit() -> None:
    """A member with twice the limit gets twice as many."""
    big, small = member_of(A, 1, max_in_flight=4), member_of(B, 2, max_in_flight=2)
    found = turns(roster_of(big, small), 6)
    assert (found.count(A), found.count(B)) == (4, 2)
    assert found[:3] == [A, B, A]


def test_a_member_that_is_full_down_or_draining_is_passed_over() -> None:
    """It gets nothing, and the others get all."""
    full, down, draining, fit = (member_of(each, number, max_in_flight=1) for number, each in enumerate((A, B, C, "d")))
    roster = roster_of(full, down, draining, fit)
    roster.begin(full, 0.0)
    down.state, down.not_before = State.DOWN, 50.0
    down.hold(50.0)
    draining.set_draining(draining=True)
    for member in (down, draining):
        roster.refresh(member, 0.0)
    assert text(roster.best(0.0)) == "d"
    roster.begin(fit, 0.0)
    assert roster.best(0.0) is None
    assert roster.next_moment() == 50.0
    assert text(roster.best(50.0)) == B


def test_one_at_a_time_is_the_first_that_is_fit() -> None:
    """All goes to the member that registered first, though it is full; where it is down, to the next."""
    first, second = member_of(A, 1, max_in_flight=1), member_of(B, 2)
    roster = roster_of(first, second, one_at_a_time=True)
    assert turns(roster, 2) == [A, None]
    first.state = State.DOWN
    first.hold(0.0)
    roster.refresh(first, 0.0)
    assert text(roster.best(0.0)) == B


def test_one_that_lacks_its_credentials_is_passed_over() -> None:
    """Where one gets all, the next does, until the first has them."""
    for one_at_a_time in (False, True):
        first, second = member_of(A, 1), member_of(B, 2)
        first.subscriber = replace(first.subscriber, credentials=(CredentialKind.SECRET,))
        first.take_credentials(NO_CREDENTIALS)
        roster = roster_of(first, second, one_at_a_time=one_at_a_time)
        assert turns(roster, 1) == [B]
        roster.end(second, 0.0)
        first.take_credentials(Credentials(secrets=(SigningSecret(b"x" * 24),)))
        roster.refresh(first, 0.0)
        assert turns(roster, 1) == [A]


def test_one_that_was_down_is_tried_again_where_one_gets_all() -> None:
    """When its next attempt is due it goes before those that joined later, and one that takes it gets all again."""
    first, second = member_of(A, 1), member_of(B, 2)
    roster = roster_of(first, second, one_at_a_time=True)
    first.state = State.DOWN
    first.hold(50.0)
    roster.refresh(first, 0.0)
    assert text(roster.best(0.0)) == B
    assert text(roster.best(50.0)) == A
    assert text(roster.choose(50.0, lambda member: member is not first)) == B
    roster.begin(first, 50.0)
    first.count_success(50.0)
    roster.end(first, 50.0)
    assert turns(roster, 2) == [A, A]


def test_one_whose_pause_is_over_gets_all_again() -> None:
    """Until then the next one does; it ends what it has before the other takes over."""
    first, second = member_of(A, 1), member_of(B, 2)
    roster = roster_of(first, second, one_at_a_time=True)
    first.state = State.PAUSED
    first.hold(50.0)
    roster.refresh(first, 0.0)
    roster.begin(second, 0.0)
    assert text(roster.best(0.0)) == B
    assert roster.best(50.0) is None
    roster.end(second, 50.0)
    assert text(roster.best(50.0)) == A


def test_no_two_members_that_answer_work_at_once_where_one_gets_all() -> None:
    """What is in flight to one that drains, or has left, ends before another gets anything."""
    first, second, third = (member_of(each, number) for number, each in enumerate((A, B, C)))
    roster = roster_of(first, second, third, one_at_a_time=True)
    roster.begin(first, 0.0)
    first.set_draining(draining=True)
    roster.refresh(first, 0.0)
    assert roster.best(0.0) is None
    roster.end(first, 0.0)
    assert turns(roster, 1) == [B]
    roster.remove(second)
    assert roster.best(0.0) is None
    roster.end(second, 0.0)
    assert text(roster.best(0.0)) == C


def test_where_one_gets_all_the_others_do_not_say_when_it_may() -> None:
    """The next moment is that of the first member which works, or of one before it that is tried again sooner."""
    first, second = member_of(A, 1), member_of(B, 2)
    roster = roster_of(first, second, one_at_a_time=True)
    first.consent(per_minute=6, now=0.0)
    roster.refresh(first, 0.0)
    assert (roster.best(0.0), roster.next_moment()) == (None, 10.0)


def test_a_member_that_left_gets_nothing() -> None:
    """What it has in flight still ends, and gives it no new turn."""
    first, second = member_of(A, 1), member_of(B, 2)
    roster = roster_of(first, second)
    roster.begin(first, 0.0)
    roster.remove(first)
    roster.end(first, 0.0)
    assert turns(roster, 3) == [B, B, B]
    assert len(roster) == 1


def test_a_member_that_is_looked_at_again_and_again_takes_no_memory() -> None:
    """While it is paused until further notice, or waits for its rate, others come and renew for days."""
    first, second = member_of(A, 1), member_of(B, 2)
    roster = roster_of(first, second)
    first.begin_pause(Pause("an operator", 0.0, None), math.inf)
    second.consent(per_minute=1, now=0.0)
    tracemalloc.start()
    for _ in range(10_000):
        roster.refresh(first, 0.0)
        roster.refresh(second, 0.0)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 10_000
    assert (roster.best(59.9), text(roster.best(60.0))) == (None, B)
    first.end_pause()
    roster.refresh(first, 60.0)
    assert text(roster.best(60.0)) == A


@given(st.lists(st.tuples(st.sampled_from(["begin", "end", "drain", "go on"]), st.integers(0, 3)), max_size=200))
def test_the_best_is_what_a_search_through_all_finds(steps: list[tuple[str, int]]) -> None:
    """After any history the roster names the member that a look at each of them would find."""
    members = [member_of(f"127.0.0.1:{8000 + number}", number, max_in_flight=number + 1) for number in range(4)]
    roster = roster_of(*members)
    for what, which in steps:
        _step(roster, members[which], what)
        ready = [each for each in members if each.in_flight < each.limit]
        expected = min(ready, key=lambda each: (each.in_flight / each.limit, each.used, each.number), default=None)
        assert roster.best(0.0) is expected


def _step(roster: Roster, member: Member, what: str) -> Any:
    if what == "begin" and member.in_flight < member.limit:
        roster.begin(member, 0.0)
    elif what == "end" and member.in_flight:
        roster.end(member, 0.0)
    elif what in ("drain", "go on"):
        member.set_draining(draining=what == "drain")
        roster.refresh(member, 0.0)
