"""Reads from when to when a certificate is valid: X.509 in DER (RFC 5280, 4.1). All but the dates is skipped."""

import base64
import re
from datetime import UTC, datetime
from typing import NamedTuple

_PEM = re.compile(r"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.*?)-----END ", re.DOTALL)
#: The tag of the version, which the oldest certificates leave out, and how often the dates come after it.
_VERSION, _DATES = 0xA0, 3
_FORMATS = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}  # UTCTime, GeneralizedTime
_LONG_LENGTH = 0x80
_MAX_SOON_SECONDS = 14 * 86_400.0


class Validity(NamedTuple):
    """When a certificate begins and ends to be valid, in seconds since 1970."""

    begins: float
    expires: float

    def expires_soon(self, now: float) -> bool:
        """Whether less than two weeks are left, or less than a quarter of a short validity; or nothing."""
        return self.expires - now < min(_MAX_SOON_SECONDS, (self.expires - self.begins) / 4)

    @property
    def end(self) -> str:
        """The day and the minute at which it expires, for people."""
        return f"{datetime.fromtimestamp(self.expires, UTC):%Y-%m-%d %H:%M} UTC"


def validity_of(pem: str) -> Validity:
    """Return the validity of the first certificate in a PEM file. Raise ValueError if there is none that is whole."""
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("it holds no certificate")
    try:
        certificate = _elements(base64.b64decode("".join(found[1].split()), validate=True))[0].content
        fields = [each for each in _elements(_elements(certificate)[0].content) if each.tag != _VERSION]
        begins, expires = map(_seconds, _elements(fields[_DATES].content))
    except (LookupError, ValueError):
        raise ValueError("its first certificate is not whole") from None
    return Validity(begins, expires)


class _Element(NamedTuple):
    tag: int
    content: bytes


def _elements(data: bytes) -> list[_Element]:
    """Return the elements of a constructed value (X.690, 8.1). Raise ValueError or IndexError for a cut one."""
    found, start = [], 0
    while start < len(data):
        tag, length, start = data[start], data[start + 1], start + 2
        if length >= _LONG_LENGTH:
            size = length - _LONG_LENGTH
            length, start = int.from_bytes(data[start : start + size], "big"), start + size
        if start + length > len(data):
            raise ValueError("cut")
        found.append(_Element(tag, data[start : start + length]))
        start += length
    return found


def _seconds(date: _Element) -> float:
    return datetime.strptime(date.content.decode("ascii"), _FORMATS[date.tag]).replace(tzinfo=UTC).timestamp()
