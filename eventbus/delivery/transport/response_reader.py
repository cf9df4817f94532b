"""Reads HTTP responses with one C parser for each connection, and bounds their size."""

from collections.abc import Callable
from dataclasses import replace

import httptools

from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.transport.limits import EXCERPT_BYTES, MAX_HEAD_BYTES, MAX_INTERIM_RESPONSES, MAX_RESPONSE_BYTES

MIN_STATUS, MAX_STATUS = 200, 599
_HTTP = b"HTTP/1."
_LONG_HEAD = f"a response head of more than {MAX_HEAD_BYTES} bytes"
#: Headers that say where a response ends, so that closing the connection does not end it.
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class InvalidResponse(Exception):
    """The received bytes are not a valid HTTP response; the text says why."""


class ResponseReader:
    """The responses on one connection, one after another. After an exception the connection is unusable."""

    __slots__ = (
        "_begun",
        "_complete",
        "_data",
        "_head_checked",
        "_interim_count",
        "_max_bytes",
        "_parser",
        "_protocol_checked",
        "_size",
        "_skipped",
        "head_complete",
        "reusable",
        "status",
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.reusable = True  # whether the connection may send another request
        self.start_response()

    def start_response(self, max_bytes: int = MAX_RESPONSE_BYTES) -> None:
        """Reset for the next response, of which ``max_bytes`` are read."""
        self._max_bytes, self._skipped = max_bytes, False
        self._begun = self._complete = False
        self.head_complete = False  # the head, and so the status, has been received
        self._protocol_checked = self._head_checked = False
        self._data: list[bytes] = []
        self._size = 0
        self._interim_count = 0
        self.status = 0

    def feed(self, data: bytes) -> bool:
        """Parse received bytes; return whether the response is complete. Raise InvalidResponse."""
        self._data.append(data)
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.reusable = False
            if not self._complete:
                upgrade = isinstance(error, httptools.HttpParserUpgrade)
                raise InvalidResponse(
                    f"not an HTTP response: {'an upgrade' if upgrade else str(error)[:100]}"
                ) from None
        if not self._complete:
            self._check_size()
        if self.head_complete and not self._protocol_checked:
            self._check_protocol()
        if self._complete:
            self._check_status()
        if self._interim_count > MAX_INTERIM_RESPONSES:
            raise InvalidResponse(f"more than {MAX_INTERIM_RESPONSES} interim responses")
        if self._size > MAX_HEAD_BYTES and not self._interim_count and not self._head_checked:
            self._check_head()
        return self._complete

    @property
    def cacheable(self) -> bool:
        """Whether the response was a 2xx that came in one read and left the connection reusable."""
        return len(self._data) == 1 and not self._interim_count and self.reusable and 200 <= self.status < 300

    def end(self) -> None:
        """End a response whose connection was closed. Raise InvalidResponse if the response is incomplete."""
        self.reusable = False
        if not self.head_complete or any(name in _FRAMING for name, _ in self.parse().headers):
            raise InvalidResponse("closed in the middle of a response")
        self.status = self._parser.get_status_code()
        self._check_status()

    def skip_body(self) -> None:
        """Complete the response without the rest of its body. Raise InvalidResponse for a status that is not HTTP's."""
        self.status, self.reusable, self._complete = self._parser.get_status_code(), False, True
        self._skipped = True
        self._check_status()

    def clear(self) -> None:
        """Release the response's bytes, so that an idle connection holds none."""
        self._data = []

    def response(self) -> DeliveryResponse:
        """Return the response. Only one that is not a 2xx is parsed in full."""
        if 200 <= self.status < 300:
            return DeliveryResponse(self.status)
        parsed = self.parse()
        retry_after = dict(reversed(parsed.headers)).get(b"retry-after")
        return DeliveryResponse(
            self.status,
            None if retry_after is None else retry_after[:100].decode("latin-1"),
            excerpt=parsed.body[:EXCERPT_BYTES],
        )

    def batch_response(self) -> DeliveryResponse:
        """Return the response to a batch: of a 2xx with its body. Raise InvalidResponse if that is incomplete."""
        response = self.response()
        if not 200 <= self.status < 300:
            return response
        if self._skipped:
            raise InvalidResponse("the body of the response to a batch is too long, or did not come in time")
        return replace(response, body=self.parse().body)

    def parse(self) -> "ParsedResponse":
        """Parse the response again, with its headers and its body."""
        parsed = ParsedResponse()
        parser = httptools.HttpResponseParser(parsed)
        parsed.status_code = parser.get_status_code
        try:
            parser.feed_data(b"".join(self._data))
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            parsed.complete = True  # feed() has found the first response valid
        parsed.status_code = int  # the parser refers to it: a cycle would keep both for a while
        return parsed

    def _check_status(self) -> None:
        if not MIN_STATUS <= self.status <= MAX_STATUS:
            raise InvalidResponse(f"not an HTTP response: status {self.status}")

    def _check_size(self) -> None:
        if self.head_complete and self._size > self._max_bytes:
            self.skip_body()
        elif not self.head_complete and self._size > MAX_HEAD_BYTES:
            raise InvalidResponse(_LONG_HEAD)

    def _check_protocol(self) -> None:
        """Refuse responses of RTSP and ICE, which the parser accepts too."""
        if not b"".join(self._data).startswith(_HTTP):
            raise InvalidResponse("not an HTTP response: another protocol")
        self._protocol_checked = True

    def _check_head(self) -> None:
        """Refuse a head that is too long although head and body came together."""
        start = b"".join(self._data)[: MAX_HEAD_BYTES + 4]
        if b"\r\n\r\n" not in start and b"\n\n" not in start:
            raise InvalidResponse(_LONG_HEAD)
        self._head_checked = True

    # Called by the parser

    def on_message_begin(self) -> None:
        """Begin a response; bytes after a complete one make the connection unusable."""
        if self._complete:
            self.reusable = False
        self._begun = True

    def on_headers_complete(self) -> None:
        """Note that the head is complete."""
        self.head_complete = True

    def on_message_complete(self) -> None:
        """Complete a response; one of status 1xx is followed by another."""
        if self._complete:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self._interim_count += 1
            self.head_complete = False
            return
        self.status = status
        self._complete = True
        if not self._parser.should_keep_alive():
            self.reusable = False


class ParsedResponse:
    """The headers and the body of a response, filled by a parser; interim responses are skipped."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []  # names in lower case
        self.body = b""
        self.complete = self.head_complete = False
        self.status_code: Callable[[], int] = int

    def on_message_begin(self) -> None:
        """Begin a response."""
        if not self.complete:
            self.headers, self.body, self.head_complete = [], b"", False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header; ignore trailers."""
        if not self.head_complete:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """End the headers; a body and trailers follow."""
        self.head_complete = True

    def on_body(self, part: bytes) -> None:
        """Add a part of the body, without its framing."""
        if not self.complete:
            self.body += part

    def on_message_complete(self) -> None:
        """Complete a response; ignore what follows the final one."""
        self.complete = self.complete or not 100 <= self.status_code() < 200
