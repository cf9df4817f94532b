"""Pairs of texts in memory that does not grow: an error, and the beginning of an answer. Pure."""

import struct

#: The position of no texts.
NO_TEXT = 0
_LENGTHS = struct.Struct("<HH")


class TextRing:
    """Errors and answers, one after the other, each at a position that rises; the oldest are overwritten."""

    def __init__(self, size: int) -> None:
        self._bytes = bytearray(size)
        self._end = 1  # after NO_TEXT
        self._latest: tuple[bytes, bytes] | None = None
        self._latest_at = NO_TEXT

    def keep(self, error: bytes, answer: bytes) -> int:
        """Keep both, once where the latest are the same; return their position."""
        if (error, answer) == self._latest:
            return self._latest_at
        entry = _LENGTHS.pack(len(error), len(answer)) + error + answer
        size = len(self._bytes)
        if self._end % size + len(entry) > size:  # none is in two pieces
            self._end += size - self._end % size
        at = self._end % size
        self._bytes[at : at + len(entry)] = entry
        self._latest, self._latest_at = (error, answer), self._end
        self._end += len(entry)
        return self._latest_at

    def read(self, position: int) -> tuple[str, bytes]:
        """Return both; empty ones if they are overwritten, or there were none."""
        size = len(self._bytes)
        if position == NO_TEXT or position < self._end - size:
            return "", b""
        at = position % size
        error, answer = _LENGTHS.unpack_from(self._bytes, at)
        at += _LENGTHS.size
        text = self._bytes[at : at + error].decode(errors="replace")
        return text, bytes(self._bytes[at + error : at + error + answer])
