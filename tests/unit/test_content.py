"""By what a publish is known again under its idempotency key."""

from eventbus.core.model import Message
from eventbus.journal.publish_digest import YIELD_EVERY_BYTES, content_of
from tests.support.events import message


def test_the_same_topics_and_bodies_are_the_same_content() -> None:
    """Ids, headers and times make no difference; a repeated publish has others."""
    first = [Message("a", "t", b"traceparent: 1\r\n", b"x", 1.0), message("b")]
    again = [Message("c", "t", b"traceparent: 2\r\n", b"x", 2.0), message("d")]
    assert content_of(first) == content_of(again)


def test_anything_else_is_another_content() -> None:
    """Topics, bodies, their number, order, and where one ends and the next begins."""
    contents = [
        [],
        [message("a", b"")],
        [message("a", b""), message("b", b"")],
        [message("a", b"xy")],
        [message("a", b"x"), message("b", b"y")],
        [message("a", b"y"), message("b", b"x")],
        [message("a", b"y", topic="x")],
        [message("a", b"", topic="xy")],
        [message("a", b"2:0:xy")],
        [message("a", b"x", key="k")],
        [message("a", b"x", key="kk")],
        [message("a", b"key1:kx")],
        [message("a", b"x" * YIELD_EVERY_BYTES)] * 3,
        [message("a", b"x" * YIELD_EVERY_BYTES)] * 2,
    ]
    assert len({content_of(content) for content in contents}) == len(contents)


def test_content_without_a_key_is_what_it_was_before_there_were_keys() -> None:
    """A publish without an order key has the digest that an older version has written into the journal."""
    assert content_of([message("a", b"xy", topic="t.u"), message("b", b"")]) == "0b434c00be545fedb03268b96cd335ee"
