"""A response is framed as HTTP wants it, and given up where its client does not take it."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from gevent import socket

from eventbus.core.errors import TooManyStreams
from eventbus.web.server.connections import ClientConnection
from eventbus.web.server.ordinary_request import LengthBody, Source
from eventbus.web.server.plain_socket import PlainSocket
from eventbus.web.server.response_writer import PeerGone, ResponseWriter, TooMuchUnread

#: More than a socket takes at once.
LARGE = b"x" * 16_777_216


class Held:
    """A client's connection, which may hold more or not."""

    def __init__(self, client: Any, *, full: bool) -> None:
        self.client = PlainSocket(client)
        self._full = full

    def take(self, _: int) -> None:
        """Hold more. Raises TooManyStreams."""
        if self._full:
            raise TooManyStreams("too much")


def asked(method: str = "POST", version: tuple[int, int] = (1, 1), *, last: bool = False, unread: int = 0) -> Any:
    """A request; ``last``: its client wants the connection to close; ``unread``: bytes of its body."""
    body = LengthBody(cast(Source, None), unread)
    return SimpleNamespace(method=method, version=version, should_close=lambda: last, body=body)


def answered(request: Any, status: str, headers: list[tuple[str, str]], *parts: bytes) -> tuple[str, bool]:
    """A response without what is the same in each, and whether the connection closes after it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        writer = ResponseWriter(request, cast(ClientConnection, Held(ours, full=True)), 1)
        writer.start_response(status, headers)
        for part in parts:
            writer.write(part)
        writer.close()
        text = theirs.recv(1_000_000).decode("latin-1")
    first, server, date, rest = text.split("\r\n", 3)
    assert (server, date[:6]) == ("Server: eventbus", "Date: ")
    return f"{first}\r\n{rest}", writer.should_close()


@pytest.fixture
def client() -> Iterator[Any]:
    """The bus's end of a connection whose client reads nothing."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours


@pytest.mark.parametrize(("full", "error"), [(True, TooMuchUnread), (False, PeerGone)])
def test_an_unread_answer_is_given_up_for_its_reason(full: bool, error: type[PeerGone], client: Any) -> None:
    """That clients hold as many bytes as they may is told apart from a slow client: it counts as refused."""
    writer = ResponseWriter(asked(), cast(ClientConnection, Held(client, full=full)), 0.001)
    with pytest.raises(PeerGone) as raised:
        writer._send(LARGE)  # noqa: SLF001 - what every part of an answer is sent with
    assert type(raised.value) is error


KEPT, CLOSED = "Connection: keep-alive\r\n", "Connection: close\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
SIZED = ("Content-Length", "2")


@pytest.mark.parametrize(
    ("request_", "status", "headers", "parts", "text"),
    [
        (asked(), "200 OK", [SIZED], [b"ab"], f"HTTP/1.1 200 OK\r\n{KEPT}Content-Length: 2\r\n\r\nab"),
        (asked(), "200 OK", [SIZED], [b"a", b"", b"bcd"], f"HTTP/1.1 200 OK\r\n{KEPT}Content-Length: 2\r\n\r\nab"),
        (asked(), "200 OK", [], [b"ab", b"", b"c"],
         f"HTTP/1.1 200 OK\r\n{KEPT}{CHUNKED}\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
        (asked(), "200 OK", [], [], f"HTTP/1.1 200 OK\r\n{KEPT}{CHUNKED}\r\n0\r\n\r\n"),
        (asked(last=True), "200 OK", [SIZED], [b"ab"], f"HTTP/1.1 200 OK\r\n{CLOSED}Content-Length: 2\r\n\r\nab"),
        (asked(unread=10**6), "413 No", [SIZED], [b"ab"], f"HTTP/1.1 413 No\r\n{CLOSED}Content-Length: 2\r\n\r\nab"),
        (asked(version=(1, 0)), "200 OK", [], [b"ab"], f"HTTP/1.0 200 OK\r\n{CLOSED}\r\nab"),
        (asked(version=(1, 0)), "200 OK", [SIZED], [b"ab"], f"HTTP/1.0 200 OK\r\n{KEPT}Content-Length: 2\r\n\r\nab"),
        (asked("HEAD"), "200 OK", [SIZED], [b"ab"], f"HTTP/1.1 200 OK\r\n{KEPT}Content-Length: 2\r\n\r\n"),
        (asked("HEAD"), "200 OK", [], [b"ab"], f"HTTP/1.1 200 OK\r\n{KEPT}\r\n"),
        (asked(), "204 No Content", [SIZED], [b"ab"], f"HTTP/1.1 204 No Content\r\n{KEPT}\r\n"),
        (asked(), "304 Not Modified", [SIZED], [], f"HTTP/1.1 304 Not Modified\r\n{KEPT}Content-Length: 2\r\n\r\n"),
        (asked(), "200 OK", [SIZED, ("connection", "close"), ("Date", "now"), ("X", "caf\xe9")], [b"ab"],
         f"HTTP/1.1 200 OK\r\n{KEPT}Content-Length: 2\r\nX: caf\xe9\r\n\r\nab"),
    ],
)  # fmt: skip
def test_a_response_is_framed(
    request_: Any, status: str, headers: list[tuple[str, str]], parts: list[bytes], text: str
) -> None:
    """By its length, by chunks, by the end of the connection, or without a body; the connection is the writer's."""
    assert answered(request_, status, headers, *parts) == (text, CLOSED in text)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("OK", []),
        ("200 a\r\nb", []),
        ("200 OK", [("X: a", "b")]),
        ("200 OK", [("X", "a\r\nY: b")]),
        ("200 OK", [("X", "a\x00")]),
        ("200 OK", [("X", "\u20ac")]),
        ("200 OK", [("Content-Length", "two")]),
    ],
)
def test_what_no_head_can_hold_is_not_sent(status: str, headers: list[tuple[str, str]]) -> None:
    """A status or a header with a line break, or other than HTTP allows, raises before anything is sent."""
    with pytest.raises(ValueError, match=r"status|name|header|literal"):
        answered(asked(), status, headers)


def test_a_response_begins_once(client: Any) -> None:
    """It may begin anew with an error until its head is sent, which raises that error then (PEP 3333)."""
    writer = ResponseWriter(asked(), cast(ClientConnection, Held(client, full=True)), 1)
    writer.start_response("200 OK", [SIZED])
    with pytest.raises(AssertionError):
        writer.start_response("200 OK", [SIZED])
    error = KeyError("late")
    writer.start_response("500 Error", [SIZED], (KeyError, error, None))
    writer.write(b"ab")
    with pytest.raises(KeyError, match="late"):
        writer.start_response("500 Error", [SIZED], (KeyError, error, None))
