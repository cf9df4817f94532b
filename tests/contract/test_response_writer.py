"""What becomes of an answer that its client does not take."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from gevent import socket

from eventbus.core.errors import TooManyStreams
from eventbus.web.server.connections import ClientConnection
from eventbus.web.server.plain_socket import PlainSocket
from eventbus.web.server.response_writer import PeerGone, ResponseWriter, TooMuchUnread

#: More than a socket takes at once.
LARGE = b"x" * 16_777_216


class Held:
    """What a client holds, for which there is room or not."""

    def __init__(self, *, full: bool) -> None:
        self._full = full

    def take(self, _: int) -> None:
        """Hold more. Raises TooManyStreams."""
        if self._full:
            raise TooManyStreams("too much")


@pytest.fixture
def client() -> Iterator[Any]:
    """The bus's end of a connection whose client reads nothing."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours


@pytest.mark.parametrize(("full", "error"), [(True, TooMuchUnread), (False, PeerGone)])
def test_an_unread_answer_is_given_up_for_its_reason(full: bool, error: type[PeerGone], client: Any) -> None:
    """That clients hold as many bytes as they may is told apart from a slow client: it counts as refused."""
    request = SimpleNamespace(version=(1, 1), should_close=lambda: False)
    writer = ResponseWriter(
        request, PlainSocket(client), SimpleNamespace(), cast(ClientConnection, Held(full=full)), 0.001
    )
    with pytest.raises(PeerGone) as raised:
        writer._send(LARGE)  # noqa: SLF001 - what every part of an answer is sent with
    assert type(raised.value) is error
