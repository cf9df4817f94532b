import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.addresses import parse_address
from eventbus.core.leases import Lease, Leases
from eventbus.core.model import Options, Subscriber

HOSTS = ["a", "b", "c", "d"]
NAMES = st.sampled_from(HOSTS)
SECONDS = st.integers(5, 60)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("renew"), NAMES, SECONDS),
        st.tuples(st.just("end"), NAMES, st.just(0)),
        st.tuples(st.just("pass"), st.just(""), SECONDS),
        st.tuples(st.just("sweep"), st.just(""), st.just(0)),
    ),
    max_size=40,
)


def subscriber(host: str = "a", lease_seconds: float = 120) -> Subscriber:
    """A subscriber with a lease of so many seconds."""
    return Subscriber(parse_address(host), Options(lease=lease_seconds))


def hosts(leases: list[Lease]) -> list[str]:
    """Whose leases they are."""
    return [lease.subscriber.address.text for lease in leases]


def live(leases: Leases, now: float) -> list[Lease]:
    """The live leases, by host."""
    found = (leases.get(parse_address(host).key, now) for host in HOSTS)
    return [lease for lease in found if lease is not None]


def test_a_lease_lives_to_its_last_second_and_no_longer() -> None:
    """A lease of 120 seconds is live just before they are over, and over when they are, whoever sweeps."""
    leases = Leases()
    key = leases.renew(subscriber(), 10.0, 1_000.0).subscriber.key
    assert leases.get(key, 129.999) is not None
    assert len(live(leases, 129.999)) == 1
    assert leases.get(key, 130.0) is None
    assert live(leases, 130.0) == []


def test_a_renewal_lasts_a_whole_term_from_its_own_moment() -> None:
    """A renewal begins the term anew and keeps the time of the first registration."""
    leases = Leases()
    leases.renew(subscriber(), 0.0, 1_000.0)
    lease = leases.renew(subscriber(), 100.0, 1_100.0)
    assert (lease.registered_at, lease.renewed_at, lease.ends) == (1_000.0, 1_100.0, 220.0)
    assert list(leases.take_expired(219.9)) == []
    assert list(leases.take_expired(220.0)) == [lease]


def test_the_lease_of_a_declared_subscriber_has_no_end() -> None:
    """From its first renewal as one on, until it is renewed as one that is not."""
    leases, one = Leases(), subscriber()
    leases.renew(one, 0.0, 1_000.0)
    assert leases.renew(replace(one, declared=True), 100.0, 1_100.0).ends == math.inf
    assert (list(leases.take_expired(1e9)), leases.next_expiry(), len(live(leases, 1e9))) == ([], None, 1)
    assert leases.renew(one, 1e9, 2_000.0).ends == 1e9 + 120
    assert leases.next_expiry() == 1e9 + 120


def test_who_comes_back_after_the_end_is_registered_anew() -> None:
    """A lease that was over begins again as a new one, even where no sweep has come by."""
    leases = Leases()
    leases.renew(subscriber(), 0.0, 1_000.0)
    assert leases.renew(subscriber(), 119.9, 1_119.9).registered_at == 1_000.0
    assert leases.renew(subscriber(), 239.9, 1_239.9).registered_at == 1_239.9


def test_a_renewal_may_shorten_a_lease() -> None:
    """A lease that is renewed for a shorter term ends after the shorter term."""
    leases = Leases()
    leases.renew(subscriber(lease_seconds=86_400), 0.0, 0.0)
    leases.renew(subscriber(lease_seconds=5), 1.0, 1.0)
    assert leases.next_expiry() == 6.0
    assert hosts(list(leases.take_expired(6.0))) == ["a"]
    assert len(leases) == 0
    assert leases.next_expiry() in (None, 86_400.0)
    assert list(leases.take_expired(86_400.0)) == []


def test_a_lease_that_was_kept_goes_on() -> None:
    """A lease that a journal kept is live until the end it was given, and is swept then."""
    leases = Leases()
    kept = Lease(subscriber(), 1_000.0, 1_500.0, 77.0)
    leases.restore(kept)
    assert leases.get(kept.subscriber.key, 76.9) is kept
    assert leases.next_expiry() == 77.0
    assert list(leases.take_expired(77.0)) == [kept]


def test_ended_leases_are_taken_once_and_in_the_order_of_their_ends() -> None:
    """A sweep takes the leases that are over, the earliest first and each once, and leaves the others."""
    leases = Leases()
    for host, seconds in (("c", 30), ("a", 10), ("d", 40), ("b", 20)):
        leases.renew(subscriber(host, seconds), 0.0, 0.0)
    assert hosts(list(leases.take_expired(30.0))) == ["a", "b", "c"]
    assert list(leases.take_expired(30.0)) == []
    assert hosts(live(leases, 30.0)) == ["d"]


def test_a_renewal_moves_a_lease_behind_the_others_in_the_sweep() -> None:
    """A lease that was renewed is swept by its new end, not by the one it was registered with."""
    leases = Leases()
    leases.renew(subscriber("a", 10), 0.0, 0.0)
    leases.renew(subscriber("b", 20), 0.0, 0.0)
    leases.renew(subscriber("a", 10), 9.0, 9.0)
    leases.renew(subscriber("a", 10), 18.0, 18.0)
    assert hosts(list(leases.take_expired(40.0))) == ["b", "a"]


def test_a_lease_that_was_ended_is_swept_no_more() -> None:
    """A lease that was taken out is not live, is not swept, and can begin again."""
    leases = Leases()
    lease = leases.renew(subscriber(), 0.0, 0.0)
    assert leases.end(lease.subscriber.key) is lease
    assert leases.end(lease.subscriber.key) is None
    assert list(leases.take_expired(500.0)) == []
    again = leases.renew(subscriber(), 500.0, 1_500.0)
    assert again.registered_at == 1_500.0
    assert list(leases.take_expired(620.0)) == [again]


@pytest.mark.parametrize("deregister", [True, False])
def test_registering_again_and_again_takes_no_memory(deregister: bool) -> None:
    """A subscriber that renews, or registers and deregisters, a hundred thousand times leaves nothing behind."""
    leases = Leases()
    for turn in range(100_000):
        lease = leases.renew(subscriber_again(turn), float(turn), float(turn))
        if deregister:
            leases.end(lease.subscriber.key)
    assert len(leases._ends) <= 66  # noqa: SLF001 - that it is bounded shows nowhere else
    assert len(leases) == len(leases._checks) == (0 if deregister else 1)  # noqa: SLF001


_SHORT, _LONG = subscriber("a", 5), subscriber("a", 86_400)


def subscriber_again(turn: int) -> Subscriber:
    """The same address with a long term and a short one in turn."""
    return _SHORT if turn % 2 else _LONG


@given(STEPS)
def test_any_history_of_leases_ends_each_at_its_second(steps: list[tuple[str, str, int]]) -> None:
    """Whatever is registered, renewed, ended and swept, who is live, whom a sweep takes, and when to look holds."""
    leases, ends, now = Leases(), dict[str, float](), 0.0
    for step, host, seconds in steps:
        if step == "renew":
            leases.renew(subscriber(host, seconds), now, now)
            ends[host] = now + seconds
        elif step == "end":
            leases.end(parse_address(host).key)
            ends.pop(host, None)
        elif step == "pass":
            now += seconds
        else:
            over = [host for host, end in sorted(ends.items(), key=lambda item: item[1]) if end <= now]
            taken = list(leases.take_expired(now))
            assert sorted(hosts(taken)) == sorted(over)
            assert [lease.ends for lease in taken] == sorted(lease.ends for lease in taken)
            for gone in over:
                del ends[gone]
        assert hosts(live(leases, now)) == sorted(host for host, end in ends.items() if end > now)
        look = leases.next_expiry()
        assert not ends or (look is not None and look <= min(ends.values()))
