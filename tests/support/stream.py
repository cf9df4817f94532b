"""A reader of server-sent events (WHATWG HTML, 9.2) on a raw socket, as slow as a test wants it."""

import json
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import gevent

from tests.support.message_head import Headers, read_exactly, read_head
from tests.support.ports import LOOPBACK
from tests.support.raw_client import render_request


class Stream:
    """One stream of the bus's events; its head has been read. ``timeout`` is in seconds, for one wait."""

    def __init__(self, port: int, target: str = "/events", *, last: str = "", timeout: float = 30.0) -> None:
        self._timeout = timeout
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)  # so that the bus notices who does not read
        self._socket.settimeout(timeout)
        self._socket.connect((LOOPBACK, port))
        resume = [("Last-Event-ID", last)] if last else []
        self._socket.sendall(render_request("GET", target, [("Accept", "text/event-stream"), *resume]))
        self._reader = self._socket.makefile("rb")
        self.status, self.headers = self._head()
        self._lines = self._text_lines()

    def _head(self) -> tuple[int, Headers]:
        head = read_head(self._reader)
        if head is None:
            raise EOFError("The bus closed the connection without an answer")
        return int(head[0].split(" ")[1]), head[1]

    def events(self, count: int) -> list[dict[str, Any]]:
        """The next events, as JSON, with their ``id`` fields checked against them."""
        return [self._event() for _ in range(count)]

    def ended(self) -> bool:
        """Read on to the end; whether the bus ended the stream as it should, within the time for one wait."""
        with gevent.Timeout(self._timeout, exception=False):
            for _ in self._lines:
                continue
            return True
        return False

    def _event(self) -> dict[str, Any]:
        fields: dict[str, str] = {}
        for line in self._lines:
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
            elif not line and fields:
                event: dict[str, Any] = json.loads(fields["data"])
                assert event["id"] == fields["id"]
                return event
        raise EOFError("The stream ended")

    def _text_lines(self) -> Iterator[str]:
        rest = b""
        for chunk in self._chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line.decode() for line in lines)

    def _chunks(self) -> Iterator[bytes]:
        """The chunked coding's data (RFC 9112, 7.1); EOFError where the connection ends within it."""
        while size := int(self._reader.readline().split(b";")[0] or b"", 16):
            yield read_exactly(self._reader, size)
            read_exactly(self._reader, 2)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()
        self._socket.close()
