"""What is sent of an event is its own, though another one has had its number, or has its id."""

from typing import Any

import pytest

from eventbus.core.model import Event
from eventbus.core.signing import signature_lines
from eventbus.delivery.transport.request import (
    MAX_CACHED_BODY_BYTES,
    MAX_CACHED_BYTES,
    MAX_CACHED_ENDS,
    LargeRequest,
    RequestBuilder,
    attempt_head,
    event_head,
    unsent,
)
from tests.support.events import event

SECRET = b"x" * 32
WALL = 1_795_000_000.0
HEAD = b"POST /event HTTP/1.1\r\n"


@pytest.fixture(params=[(), (SECRET,)], ids=["unsigned", "signed"])
def secrets(request: pytest.FixtureRequest) -> tuple[bytes, ...]:
    """What the bus signs with."""
    found: tuple[bytes, ...] = request.param
    return found


@pytest.fixture
def builder(secrets: tuple[bytes, ...]) -> RequestBuilder:
    """Makes messages."""
    return RequestBuilder(secrets)


def expected(secrets: tuple[bytes, ...], sent: Event, attempt: int = 1, wall: float = WALL) -> bytes:
    """A message, put together without remembering anything."""
    signed = signature_lines(secrets, sent.id, int(wall), sent.body, sent.topic, sent.head) if secrets else b""
    return HEAD + event_head(sent) + attempt_head(attempt, wall, signed) + sent.body


@pytest.mark.parametrize(
    "own",
    [
        {"id": "new", "topic": "orders", "body": b"of another length"},
        {"id": "new"},
        {"body": b"news"},
        {"seq": 8, "topic": "orders"},
        {"seq": 8, "head": b"Content-Type: text/plain\r\n"},
        {"seq": 8, "body": b"news"},
    ],
)
def test_an_event_with_the_number_or_the_id_of_another_is_sent_as_it_is(
    builder: RequestBuilder, secrets: tuple[bytes, ...], own: dict[str, Any]
) -> None:
    """After a failover that has lost events the next ones get their numbers; CloudEvents bring ids of their own."""
    one = event(7, b"lost")
    other = one._replace(**own)
    for sent in (one, other, one, other):
        assert builder.build(HEAD, sent, 1, WALL) == expected(secrets, sent)


def test_a_message_tells_its_second_and_its_attempt(builder: RequestBuilder, secrets: tuple[bytes, ...]) -> None:
    """Whether the clock goes on or is set back, and whichever attempt it is."""
    sent = event(7, b"body")
    for attempt, wall in (
        (1, WALL),
        (1, WALL + 0.9),
        (2, WALL + 0.9),
        (1, WALL + 1),
        (3, WALL + 1.5),
        (1, WALL - 90.5),
    ):
        assert builder.build(HEAD, sent, attempt, wall) == expected(secrets, sent, attempt, wall)


def test_the_end_of_a_message_is_made_once_for_all_subscribers(builder: RequestBuilder) -> None:
    """Heads that differ are followed by the same bytes, which are not put together again."""
    sent = event(7, b"body")
    end = builder.build(b"", sent, 1, WALL)
    assert isinstance(end, bytes)
    assert builder.build(b"", sent, 1, WALL) is end
    assert builder.build(b"one", sent, 1, WALL) == b"one" + end


def test_what_is_remembered_is_bounded(builder: RequestBuilder, secrets: tuple[bytes, ...]) -> None:
    """In number and in bytes; what is forgotten, or too long to be remembered, is made anew, and the same."""
    many = [event(number, b"%d" % number) for number in range(MAX_CACHED_ENDS + 10)]
    long = [event(number, b"x" * (MAX_CACHED_BODY_BYTES - number)) for number in range(80)]
    for sent in many + long + many[-5:] + long[-5:]:
        assert builder.build(HEAD, sent, 1, WALL) == expected(secrets, sent)
        assert builder.cached_count <= MAX_CACHED_ENDS
        assert builder.cached_bytes <= MAX_CACHED_BYTES
    assert builder.cached_count > 1


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_long_body_is_neither_remembered_nor_copied(
    builder: RequestBuilder, secrets: tuple[bytes, ...], attempt: int
) -> None:
    """Deliveries in flight share it: a request refers to the event's own body, and is not counted as cached."""
    sent = event(7, b"x" * (MAX_CACHED_BODY_BYTES + 1))
    built = builder.build(HEAD, sent, attempt, WALL)
    assert isinstance(built, LargeRequest)
    assert built.parts[1] is sent.body
    assert b"".join(built.parts) == expected(secrets, sent, attempt)
    assert len(built) == len(expected(secrets, sent, attempt))
    assert (builder.cached_count, builder.cached_bytes) == (0, 0)


@pytest.mark.parametrize("request_", [b"head and body", LargeRequest(b"head", b" and body")], ids=["small", "large"])
def test_what_is_left_of_a_request_is_what_follows_the_sent_bytes(request_: bytes | LargeRequest) -> None:
    """However many bytes were sent, the rest is told exactly, and no part of it is empty."""
    for sent in range(len(request_) + 1):
        left = unsent(request_, sent)
        assert b"".join(left) == b"head and body"[sent:]
        assert all(left)
