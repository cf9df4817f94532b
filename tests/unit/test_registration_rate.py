"""How often new addresses may register on one host."""

from eventbus.core.registration_rate import MAX_HOSTS, RegistrationRate


def test_so_many_may_come_at_once_and_then_some_each_second() -> None:
    """A burst is let in whole; after it only as many as the time that has passed allows."""
    new = RegistrationRate(burst=100, per_second=10)
    assert [new.take("a", 0.0) for _ in range(101)] == [True] * 100 + [False]
    assert [new.take("a", 1.0) for _ in range(11)] == [True] * 10 + [False]
    assert [new.take("a", 1_000.0) for _ in range(101)] == [True] * 100 + [False]


def test_what_was_refused_is_not_counted() -> None:
    """Whoever asks again and again is let in as soon as anybody else would be."""
    new = RegistrationRate(burst=1, per_second=1)
    assert new.take("a", 0.0)
    assert not any(new.take("a", 0.01 * number) for number in range(90))
    assert new.take("a", 1.0)


def test_hosts_do_not_share_and_only_so_many_are_remembered() -> None:
    """One host's addresses leave another's alone, and hosts without end take no memory without end."""
    new = RegistrationRate(burst=1, per_second=0.001)
    assert all(new.take(f"host-{number}", 0.0) for number in range(MAX_HOSTS + 10))
    assert not new.take(f"host-{MAX_HOSTS}", 0.0)
    assert len(new._used) == MAX_HOSTS  # noqa: SLF001 - what is remembered cannot be seen from outside
