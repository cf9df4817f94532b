"""Who gives up what of a full journal."""

from eventbus.core.journal_quota import Cut, Held, SampledEvent, cuts

KB = 1_000


def pending(seq: int, *keys: str, size: int = KB) -> Held:
    """An event that is pending for these."""
    return Held(SampledEvent(seq, None, size), frozenset(keys))


def dead(seq: int, key: str, size: int = KB) -> Held:
    """An event to which a dead letter refers."""
    return Held(SampledEvent(seq, None, size, dead=((key, 0),)), frozenset())


def test_who_is_within_its_quota_gives_up_nothing() -> None:
    """However full the journal is, what holds no more than its quota keeps everything."""
    sample = [pending(seq, "a" if seq % 2 else "b") for seq in range(1, 101)]
    assert cuts(sample, 100 * KB, quota=50 * KB, need=50 * KB) == {}
    assert cuts([], 100 * KB, quota=1, need=KB) == {}


def test_the_oldest_go_until_there_is_room() -> None:
    """One that holds back all of it gives up no more than is needed, the oldest first."""
    sample = [pending(seq, "a") for seq in range(100, 0, -1)]
    assert cuts(sample, 100 * KB, quota=25 * KB, need=10 * KB) == {"a": Cut(pending=10)}


def test_nobody_is_brought_below_its_quota() -> None:
    """Where more is needed than is held over the quota, that is all that goes."""
    sample = [pending(seq, "a") for seq in range(1, 101)]
    assert cuts(sample, 100 * KB, quota=25 * KB, need=99 * KB) == {"a": Cut(pending=75)}


def test_the_one_that_holds_back_most_goes_first() -> None:
    """Another over its quota keeps all as long as the largest gives up enough."""
    sample = [pending(seq, "small" if seq % 10 < 3 else "large") for seq in range(1, 101)]
    found = cuts(sample, 100 * KB, quota=25 * KB, need=10 * KB)
    assert list(found) == ["large"]
    both = cuts(sample, 100 * KB, quota=25 * KB, need=60 * KB)
    assert set(both) == {"small", "large"}


def test_what_others_need_as_well_is_free_only_when_all_gave_it_up() -> None:
    """Two that wait for the same events give up the same ones; a third that needs one of them keeps it."""
    sample = [pending(seq, "a", "b", *(["c"] if seq == 1 else [])) for seq in range(1, 101)]
    found = cuts(sample, 100 * KB, quota=25 * KB, need=10 * KB)
    assert found == {"a": Cut(pending=11), "b": Cut(pending=11)}


def test_bodies_of_dead_letters_go_before_what_is_pending() -> None:
    """Dead letters count against the quota, and give up their bodies first, the oldest first."""
    sample = [dead(seq, "a") if seq > 80 else pending(seq, "a") for seq in range(1, 101)]
    assert cuts(sample, 100 * KB, quota=25 * KB, need=10 * KB) == {"a": Cut(dead=90)}
    assert cuts(sample, 100 * KB, quota=25 * KB, need=30 * KB) == {"a": Cut(dead=100, pending=10)}


def test_bytes_count_and_not_events() -> None:
    """A few large events are more than many small ones, and the sample stands for the whole journal."""
    sample = [pending(1, "large", size=900), *(pending(seq, "small", size=1) for seq in range(2, 102))]
    found = cuts(sample, 1_000 * KB, quota=250 * KB, need=100 * KB)
    assert found == {"large": Cut(pending=1)}
