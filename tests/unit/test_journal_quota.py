"""Who gives up what of a full journal."""

from eventbus.core.journal_quota import Cut, Held, Quota, SampledEvent, cuts, quota_of

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
    assert cuts(sample, 100 * KB, Quota(50 * KB), need=50 * KB) == {}
    assert cuts([], 100 * KB, Quota(1), need=KB) == {}


def test_the_oldest_go_until_there_is_room() -> None:
    """One that holds back all of it gives up no more than is needed, the oldest first."""
    sample = [pending(seq, "a") for seq in range(100, 0, -1)]
    assert cuts(sample, 100 * KB, Quota(25 * KB), need=10 * KB) == {"a": Cut(pending=10)}


def test_nobody_is_brought_below_its_quota() -> None:
    """Where more is needed than is held over the quota, that is all that goes."""
    sample = [pending(seq, "a") for seq in range(1, 101)]
    assert cuts(sample, 100 * KB, Quota(25 * KB), need=99 * KB) == {"a": Cut(pending=75)}


def test_the_one_that_holds_back_most_goes_first() -> None:
    """Another over its quota keeps all as long as the largest gives up enough."""
    sample = [pending(seq, "small" if seq % 10 < 3 else "large") for seq in range(1, 101)]
    found = cuts(sample, 100 * KB, Quota(25 * KB), need=10 * KB)
    assert list(found) == ["large"]
    both = cuts(sample, 100 * KB, Quota(25 * KB), need=60 * KB)
    assert set(both) == {"small", "large"}


def test_what_others_need_as_well_is_free_only_when_all_gave_it_up() -> None:
    """Two that wait for the same events give up the same ones; a third that needs one of them keeps it."""
    sample = [pending(seq, "a", "b", *(["c"] if seq == 1 else [])) for seq in range(1, 101)]
    found = cuts(sample, 100 * KB, Quota(25 * KB), need=10 * KB)
    assert found == {"a": Cut(pending=11), "b": Cut(pending=11)}


def test_bodies_of_dead_letters_go_before_what_is_pending() -> None:
    """Dead letters count against the quota, and give up their bodies first, the oldest first."""
    sample = [dead(seq, "a") if seq > 80 else pending(seq, "a") for seq in range(1, 101)]
    assert cuts(sample, 100 * KB, Quota(25 * KB), need=10 * KB) == {"a": Cut(dead=90)}
    assert cuts(sample, 100 * KB, Quota(25 * KB), need=30 * KB) == {"a": Cut(dead=100, pending=10)}


def test_bytes_count_and_not_events() -> None:
    """A few large events are more than many small ones, and the sample stands for the whole journal."""
    sample = [pending(1, "large", size=900), *(pending(seq, "small", size=1) for seq in range(2, 102))]
    found = cuts(sample, 1_000 * KB, Quota(250 * KB), need=100 * KB)
    assert found == {"large": Cut(pending=1)}


def four(seq: int) -> str:
    """One of four, in turn."""
    return "abcd"[seq % 4]


def test_those_that_fail_are_bounded_together() -> None:
    """Four within their quotas give up what they hold over three quarters in all, each about as much."""
    sample = [pending(seq, four(seq)) for seq in range(100)]
    quota = Quota(30 * KB, together=75 * KB)
    found = cuts(sample, 100 * KB, quota, need=50 * KB, failing="abcd")
    assert sorted(found) == list("abcd")
    assert {cut.pending // 4 for cut in found.values()} <= {5, 6}
    assert cuts(sample, 100 * KB, quota, need=10 * KB, failing="abcd").keys() <= set("abcd")
    assert sum(held.event.seq <= found[four(held.event.seq)].pending for held in sample) == 25


def test_those_that_do_not_fail_give_up_nothing_for_others() -> None:
    """What is pending for a healthy one goes by itself: it does not count with what is stuck, nor is it given up."""
    sample = [pending(seq, four(seq)) for seq in range(100)]
    quota = Quota(30 * KB, together=75 * KB)
    assert cuts(sample, 100 * KB, quota, need=50 * KB, failing="abc") == {}
    assert set(cuts(sample, 100 * KB, Quota(30 * KB, 50 * KB), need=50 * KB, failing="abc")) == set("abc")


def test_dead_letters_are_stuck_whoever_has_them() -> None:
    """A subscription that answers, and has many dead letters, counts with those that fail by its dead letters alone."""
    sample = [dead(seq, four(seq)) if seq < 80 else pending(seq, "a") for seq in range(100)]
    found = cuts(sample, 100 * KB, Quota(50 * KB, together=60 * KB), need=50 * KB)
    assert sorted(found) == list("abcd")
    assert all(cut.pending == 0 for cut in found.values())
    assert sum(held.event.seq <= found[four(held.event.seq)].dead for held in sample[:80]) == 20


def test_an_event_is_stuck_once_however_many_wait_for_it() -> None:
    """Those that fail and wait for the same events hold them back together once, and give up the same ones."""
    sample = [pending(seq, "a", "b", "c") for seq in range(1, 101)]
    assert cuts(sample, 100 * KB, Quota(100 * KB, together=100 * KB), need=50 * KB, failing="abc") == {}
    found = cuts(sample, 100 * KB, Quota(100 * KB, together=75 * KB), need=50 * KB, failing="abc")
    assert found == dict.fromkeys("abc", Cut(pending=25))


def test_where_only_what_is_stuck_may_go_a_healthy_one_keeps_all() -> None:
    """Over its quota or not, it gives up dead letters only; one that fails gives up as ever."""
    sample = [pending(seq, "slow" if seq % 2 else "down") for seq in range(1, 101)]
    found = cuts(sample, 100 * KB, Quota(25 * KB, only_stuck=True), need=90 * KB, failing=["down"])
    assert found == {"down": Cut(pending=50)}
    assert cuts(sample, 100 * KB, Quota(25 * KB, only_stuck=True), need=90 * KB) == {}


def test_the_quotas_are_parts_of_what_the_journal_may_hold() -> None:
    """Where it may hold less than its limit, so may each one; what is stuck has three quarters, over all nodes."""
    assert quota_of(100 * KB, 40 * KB, 100 * KB) == Quota(40 * KB, 75 * KB)
    assert quota_of(50 * KB, 40 * KB, 100 * KB) == Quota(20 * KB, 37.5 * KB)
    assert quota_of(100 * KB, 40 * KB, 100 * KB, nodes=3) == Quota(40 * KB, 25 * KB)
    assert quota_of(50 * KB, 40 * KB, 100 * KB, only_stuck=True).only_stuck
