"""A request whose head is ordinary, and its body, whose length is known."""

import math
from typing import Any, Protocol

from eventbus.web.server.ordinary_head import OrdinaryHead


class Source(Protocol):
    """What a body is read from."""

    def read(self, size: int, read_ahead: int) -> bytes:
        """Return ``size`` bytes, fewer at the end of the connection; receive up to ``read_ahead`` at once."""


class OrdinaryRequest:
    """A request with an ordinary head, with what the worker reads from gunicorn's."""

    __slots__ = ("body", "head", "method", "path", "version")

    def __init__(self, head: OrdinaryHead, source: Source) -> None:
        self.head = head
        self.method, self.path = head.method, head.path
        self.version = (1, head.minor_version)
        self.body = LengthBody(source, head.length)

    def should_close(self) -> bool:
        """Return whether the client wants the connection to close."""
        return self.head.last


class LengthBody:
    """A body of known length, as ``wsgi.input``."""

    __slots__ = ("_source", "awaits", "failed", "left")

    def __init__(self, source: Source, length: int) -> None:
        self._source = source
        self.left = length  #: bytes that were not read yet
        self.failed = False  #: where the next request begins is unknown
        self.awaits = False  #: the client waits for 100 Continue

    def read(self, size: int = -1) -> bytes:
        """Return ``size`` bytes, all that is left without a size, fewer at the end of the connection."""
        size = self.left if size < 0 else min(size, self.left)
        try:
            data = self._source.read(size, self.left)
        except BaseException:
            self.failed = True
            raise
        self.left -= size
        return data


def unread_bytes(body: Any) -> float:
    """Return the bytes of a request's body that were not read; infinite for chunks whose end has not been read."""
    if type(body) is LengthBody:
        return body.left
    reader = body.reader
    if getattr(reader, "parser", None) is not None:
        return math.inf
    return getattr(reader, "length", 0)
