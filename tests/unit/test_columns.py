"""Fields of messages and events, looked up by index."""

from eventbus.core.columns import body_bytes, head_bytes, ids_of, messages_of
from eventbus.core.model import Event, Message


def test_a_field_is_the_same_by_index_as_by_name() -> None:
    """Ids, and bytes of heads and bodies, are those of the fields by these names, of messages and of events."""
    messages = [Message("a", "t", b"12", b"123", 1.0), Message("bc", None, b"", b"1234", 2.0)]
    events = [Event(number, *message) for number, message in enumerate(messages, 7)]
    for those in (messages, events):
        assert ids_of(those) == ("a", "bc")
        assert head_bytes(those) == sum(len(each.head) for each in those) == 2
        assert body_bytes(those) == sum(len(each.body) for each in those) == 7
    assert (ids_of([]), body_bytes([])) == ((), 0)


def test_messages_that_share_all_but_ids_and_bodies_are_those_made_one_by_one() -> None:
    """Each id goes with its body; topic, head and time are the same, and there is no order key."""
    made = messages_of(["a", "b"], "t", b"head", [b"1", b"2"], 3.0)
    assert made == [Message("a", "t", b"head", b"1", 3.0), Message("b", "t", b"head", b"2", 3.0)]
    assert [each.key for each in made] == ["", ""]
    assert messages_of([], None, b"", [], 0.0) == []
