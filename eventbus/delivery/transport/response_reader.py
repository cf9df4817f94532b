"""Reads answers: one parser in C for each connection, bounded in everything that a subscriber could overdo."""

from collections.abc import Callable

import httptools

from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.transport.base import EXCERPT_BYTES, MAX_ANSWER_BYTES, MAX_HEAD_BYTES, MAX_INTERIM_ANSWERS

FIRST_STATUS, LAST_STATUS = 200, 599
_HTTP = b"HTTP/1."
_LONG_HEAD = f"an answer's head of more than {MAX_HEAD_BYTES} bytes"
#: Headers that say where an answer ends, so that the end of the connection is not it.
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class InvalidResponse(Exception):
    """What came back is no HTTP answer that can be used; the text says why."""


class ResponseReader:
    """One answer after another on one connection. After an exception the connection is of no use."""

    __slots__ = (
        "_begun",
        "_complete",
        "_data",
        "_interim",
        "_known",
        "_parser",
        "_short_head",
        "_size",
        "headed",
        "reusable",
        "status",
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.reusable = True  # whether another request may be sent
        self.expect()

    def expect(self) -> None:
        """Another answer is to come."""
        self._begun = self._complete = False
        self.headed = False  # the head of the answer has come, which tells the status
        self._known = self._short_head = False  # what has been looked at and found sound
        self._data: list[bytes] = []
        self._size = 0
        self._interim = 0
        self.status = 0

    def feed(self, data: bytes) -> bool:
        """Take what was received; whether the answer is complete. Raises InvalidResponse."""
        self._data.append(data)
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.reusable = False
            if not self._complete:
                upgrade = isinstance(error, httptools.HttpParserUpgrade)
                raise InvalidResponse(f"no HTTP answer: {'an upgrade' if upgrade else str(error)[:100]}") from None
        if not self._complete:
            self._check_size()
        if self.headed and not self._known:
            self._check_protocol()
        if self._complete and not FIRST_STATUS <= self.status <= LAST_STATUS:
            raise InvalidResponse(f"no HTTP answer: status {self.status}")
        if self._interim > MAX_INTERIM_ANSWERS:
            raise InvalidResponse(f"more than {MAX_INTERIM_ANSWERS} answers before the answer")
        if self._size > MAX_HEAD_BYTES and not self._interim and not self._short_head:
            self._check_head()
        return self._complete

    @property
    def simple(self) -> bool:
        """Whether the answer was a success that came in one piece, and left the connection fit for another."""
        return len(self._data) == 1 and not self._interim and self.reusable and 200 <= self.status < 300

    def end(self) -> None:
        """The subscriber closed the connection, which may be how this answer ends. Raises InvalidResponse."""
        self.reusable = False
        if not self.headed or any(name in _FRAMING for name, _ in self.closely().headers):
            raise InvalidResponse("closed in the middle of an answer")
        self.status = self._parser.get_status_code()

    def cut_short(self) -> None:
        """Do not wait for the rest of a body: the head has said what there is to know. Raises InvalidResponse."""
        self.status, self.reusable, self._complete = self._parser.get_status_code(), False, True
        if not FIRST_STATUS <= self.status <= LAST_STATUS:
            raise InvalidResponse(f"no HTTP answer: status {self.status}")

    def forget(self) -> None:
        """Keep nothing of an answer that has been looked at, for as long as the connection is idle."""
        self._data = []

    def answer(self) -> DeliveryResponse:
        """What has been read. Only an answer that is not a success is looked at closely."""
        if 200 <= self.status < 300:
            return DeliveryResponse(self.status)
        read = self.closely()
        retry_after = dict(reversed(read.headers)).get(b"retry-after")
        return DeliveryResponse(
            self.status,
            None if retry_after is None else retry_after[:100].decode("latin-1"),
            excerpt=read.body[:EXCERPT_BYTES],
        )

    def closely(self) -> "CloseReading":
        """The answer with its headers and its body."""
        read = CloseReading()
        parser = httptools.HttpResponseParser(read)
        read.status_code = parser.get_status_code
        try:
            parser.feed_data(b"".join(self._data))
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            read.complete = True  # the first answer was sound: feed() saw it
        return read

    def _check_size(self) -> None:
        if self.headed and self._size > MAX_ANSWER_BYTES:
            self.cut_short()
        elif not self.headed and self._size > MAX_HEAD_BYTES:
            raise InvalidResponse(_LONG_HEAD)

    def _check_protocol(self) -> None:
        """The parser takes the answers of RTSP and ICE too, which look alike."""
        if not b"".join(self._data).startswith(_HTTP):
            raise InvalidResponse("no HTTP answer: another protocol")
        self._known = True

    def _check_head(self) -> None:
        """A long head is one though it came together with its body."""
        start = b"".join(self._data)[: MAX_HEAD_BYTES + 4]
        if b"\r\n\r\n" not in start and b"\n\n" not in start:
            raise InvalidResponse(_LONG_HEAD)
        self._short_head = True

    # What the parser calls

    def on_message_begin(self) -> None:
        """Something that should be an answer begins."""
        if self._complete:
            self.reusable = False
        self._begun = True

    def on_headers_complete(self) -> None:
        """A head has come to its end."""
        self.headed = True

    def on_message_complete(self) -> None:
        """An answer is complete; one of status 1xx is followed by another."""
        if self._complete:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self._interim += 1
            self.headed = False
            return
        self.status = status
        self._complete = True
        if not self._parser.should_keep_alive():
            self.reusable = False


class CloseReading:
    """Told by a parser what an answer holds; the interim answers before it are passed over."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []  # names in lower case
        self.body = b""
        self.complete = self.headed = False
        self.status_code: Callable[[], int] = int

    def on_message_begin(self) -> None:
        """An answer begins."""
        if not self.complete:
            self.headers, self.body, self.headed = [], b"", False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is passed over."""
        if not self.headed:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """What follows is the body, and trailers."""
        self.headed = True

    def on_body(self, part: bytes) -> None:
        """A part of the body, without its framing."""
        if not self.complete:
            self.body += part

    def on_message_complete(self) -> None:
        """An answer is complete; what follows the final one is of no interest."""
        self.complete = self.complete or not 100 <= self.status_code() < 200
