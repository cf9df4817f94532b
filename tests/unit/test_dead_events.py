"""What is published for a dead letter: its event under another topic, with headers that say where it comes from."""

import pytest

from eventbus.client.batches import events_in_batch
from eventbus.core.batch_format import DEAD_ATTRIBUTES
from eventbus.core.dead_events import DEAD_HEADERS, MAX_VALUE_LENGTH, dead_message
from eventbus.core.headers import is_dead_event, is_valid_head
from eventbus.core.model import Event, Message, Options
from eventbus.core.options import registration_options
from eventbus.delivery.transport.batch_request import element_of

HEAD = b"Content-Type: text/plain\r\nce-id: 7\r\n"


def event(head: bytes = HEAD, topic: str | None = "orders.created") -> Event:
    """An event that is dead."""
    return Event(7, "id-7", topic, head, b"body", 1.0, "customer 7")


def test_body_headers_and_order_key_are_the_events() -> None:
    """What differs are id, topic and time, and four headers more."""
    made = dead_message(event(), "orders.dead", "rejected", "127.0.0.1:80?path=/a", "new", 2.0)
    lines = (
        b"Eventbus-Dead-Reason: rejected\r\nEventbus-Dead-Subscriber: 127.0.0.1:80?path=/a\r\n"
        b"Eventbus-Dead-Event: id-7\r\nEventbus-Dead-Topic: orders.created\r\n"
    )
    assert made == Message("new", "orders.dead", HEAD + lines, b"body", 2.0, "customer 7")
    assert is_valid_head(made.head)


def test_an_event_without_a_topic_has_no_header_for_it() -> None:
    """Three headers are enough then."""
    made = dead_message(event(b"", None), "t", "lease ended", "group=mailer", "new", 2.0)
    assert made.head.count(b"\r\n") == 3
    assert b"Eventbus-Dead-Topic" not in made.head


@pytest.mark.parametrize("text", ["a\r\nX: y", "ü", "\0", "x" * 10_000])
def test_no_reason_ends_the_line(text: str) -> None:
    """Whatever stands in the journal, the head may be sent, and is bounded."""
    made = dead_message(event(), "t", text, "a", "new", 2.0)
    assert is_valid_head(made.head)
    assert len(made.head) < len(HEAD) + MAX_VALUE_LENGTH + 200


def test_what_was_published_for_a_dead_letter_is_known_by_its_headers() -> None:
    """So that it is not published again when it dies, too."""
    assert not is_dead_event(HEAD)
    assert is_dead_event(dead_message(event(), "t", "rejected", "a", "new", 2.0).head)


def test_the_option_takes_a_topic_or_nothing() -> None:
    """Of a group it holds for all members."""
    (option,) = (one for one in registration_options() if one.name == "dead_to")
    assert (option.default, option.shared, Options(dead_to="a.dead").of_member().dead_to) == ("", True, "")
    for good in ("", "orders.dead", "a" * 256):
        assert option.kind.parse("dead_to", [good]) == good
    for bad in ("orders.*", ">", "a..b", "a b", "ü", "a" * 257):
        with pytest.raises(Exception, match="dead_to"):
            option.kind.parse("dead_to", [bad])


def test_a_batch_has_an_attribute_for_each_header() -> None:
    """Who takes batches learns as much, and the client gives it by the same names."""
    assert list(DEAD_ATTRIBUTES.values()) == [name.lower() for name in DEAD_HEADERS]
    made = dead_message(event(b""), "orders.dead", "rejected", "group=mailer", "new", 2.0)
    element = element_of(Event(9, *made))
    (taken,) = events_in_batch({}, b"[" + element.text + b"]", 3.0)
    assert (taken.id, taken.topic) == ("new", "orders.dead")
    assert taken.headers["eventbus-dead-reason"] == "rejected"
    assert taken.headers["eventbus-dead-event"] == "id-7"
