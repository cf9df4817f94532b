from hypothesis import given
from hypothesis import strategies as st

from eventbus.client.seen import EventStatus, Seen


def test_an_event_is_new_then_busy_then_done() -> None:
    """While it is being handled an event is neither new nor done."""
    seen = Seen()
    assert seen.begin("a") is EventStatus.NEW
    assert seen.begin("a") is EventStatus.BUSY
    seen.done("a")
    assert seen.begin("a") is EventStatus.DONE
    assert seen.begin("b") is EventStatus.NEW


def test_an_event_that_failed_is_new_again() -> None:
    """What was not handled may come again."""
    seen = Seen()
    seen.begin("a")
    seen.forget("a")
    assert seen.begin("a") is EventStatus.NEW


@given(st.lists(st.integers(0, 30).map(str), max_size=200), st.integers(1, 10))
def test_the_newest_are_remembered(ids: list[str], limit: int) -> None:
    """Exactly the ``limit`` ids that came last are known."""
    seen = Seen(limit)
    for event_id in ids:
        if seen.begin(event_id) is EventStatus.NEW:
            seen.done(event_id)
    newest = list(dict.fromkeys(reversed(ids)))[:limit]
    status = {event_id: seen.begin(event_id) for event_id in set(ids)}
    assert {event_id for event_id, found in status.items() if found is EventStatus.DONE} == set(newest)


def test_with_no_room_nothing_is_remembered() -> None:
    """A limit of 0 lets every repetition through."""
    seen = Seen(0)
    for _ in range(3):
        assert seen.begin("a") is EventStatus.NEW
        seen.done("a")
