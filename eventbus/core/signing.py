"""Sign deliveries and check signatures: Standard Webhooks, ``v1``, and ``Eventbus-Signature``.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
covers id, timestamp and body. ``Eventbus-Signature`` also covers the topic and CloudEvents' headers: docs/security.md.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence

from eventbus.core.errors import SettingsError

PREFIX = "whsec_"
#: Bytes in a secret.
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
#: The first line of what ``Eventbus-Signature`` signs. It has no dot and no id has a newline, so ``Webhook-Signature``
#: never signs the same.
SCHEME = b"eventbus-v1\n"
#: Headers that are signed beside ``ce-*``; ``traceparent`` and ``tracestate`` may be changed by what forwards.
SIGNED_HEADERS = frozenset({b"eventbus-topic", b"content-type", b"content-encoding"})
#: What a secret has to be, for error messages.
SECRET_FORMAT = f"{PREFIX} and the Base64 of {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} random bytes"


def secrets_of(text: str) -> tuple[bytes, ...]:
    """Read secrets, comma-separated, newest first. Raises SettingsError, which does not repeat them."""
    return tuple(_secret(number, part) for number, part in enumerate(filter(None, map(str.strip, text.split(","))), 1))


def _secret(number: int, text: str) -> bytes:
    secret = decode_secret(text)
    if secret is None:
        raise SettingsError(f"EVENTBUS_SIGNING_SECRETS: number {number} is not {SECRET_FORMAT}")
    return secret


def decode_secret(text: str) -> bytes | None:
    """Return the bytes of a secret, or None for a text that is none."""
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return secret if text.startswith(PREFIX) and MIN_SECRET_BYTES <= len(secret) <= MAX_SECRET_BYTES else None


def signable(event_id: str) -> str:
    """Return an id with no dot, since what is signed is ``ID.TIMESTAMP.BODY``: one that has any could be cut elsewhere.

    The bus gives no such id. Those of an older version's journal may be anything.
    """
    return event_id.replace(".", "%2E")


def signature_lines(
    secrets: Sequence[bytes], event_id: str, timestamp: int, body: bytes, topic: str | None, head: bytes
) -> bytes:
    """Return both headers of signatures, as lines on the wire; ``head`` holds the kept headers."""
    made = body_signatures(secrets, event_id, timestamp, body)
    both = header_signatures(secrets, made, _headers_in(topic, head))
    return b"Webhook-Signature: %s\r\nEventbus-Signature: %s\r\n" % (b" ".join(made), b" ".join(both))


def _headers_in(topic: str | None, head: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the headers in a head, with the topic's, by their names in lower case."""
    yield b"eventbus-topic", b"" if topic is None else topic.encode("latin-1")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        yield name.lower(), value


def body_signatures(secrets: Sequence[bytes], event_id: str, timestamp: int, body: bytes) -> list[bytes]:
    """Return the signatures in ``Webhook-Signature``: one for each secret, in their order."""
    signed = b"%s.%d.%s" % (event_id.encode("latin-1"), timestamp, body)
    return [_sign(secret, signed) for secret in secrets]


def header_signatures(
    secrets: Sequence[bytes], made: Sequence[bytes], headers: Iterable[tuple[bytes, bytes]]
) -> list[bytes]:
    """Return the signatures in ``Eventbus-Signature``: one for each secret.

    ``made`` holds the signature over the body by each secret. Names of ``headers`` are lower case.
    """
    covered = covered_headers(headers)
    return [_sign(secret, b"%s%s\n%s" % (SCHEME, one, covered)) for secret, one in zip(secrets, made, strict=True)]


def covered_headers(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return what ``Eventbus-Signature`` covers: ``name:value`` and a newline for each signed header, sorted by name.

    Names are lower case. Values lose the spaces and tabs around them; an empty one counts as not there.
    """
    found = [(name, value.strip(b" \t")) for name, value in headers if is_signed(name)]
    return b"".join(b"%s:%s\n" % pair for pair in sorted(found) if pair[1])


def is_signed(name: bytes) -> bool:
    """Tell whether ``Eventbus-Signature`` covers the header of this lower-case name."""
    return name in SIGNED_HEADERS or name.startswith(b"ce-")


def _sign(secret: bytes, data: bytes) -> bytes:
    return b"v1," + base64.b64encode(hmac.digest(secret, data, hashlib.sha256))
