"""Signatures by which a subscriber knows that a delivery is the bus's: Standard Webhooks, ``v1``, and one of our own.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
covers id, timestamp and body. ``Eventbus-Signature`` covers the topic and CloudEvents' headers too: docs/security.md.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from eventbus.core.errors import SettingsError

PREFIX = "whsec_"
#: Bytes that a secret may have.
SHORTEST, LONGEST = 24, 64
#: The first line of what ``Eventbus-Signature`` signs. It holds no dot, and no id holds a newline: so it is never what
#: ``Webhook-Signature`` signs.
SCHEME = b"eventbus-v1\n"
#: Kept headers that are signed beside ``ce-*``; ``traceparent`` and ``tracestate`` may be changed by what forwards.
SIGNED_HEADERS = frozenset({b"content-type", b"content-encoding"})


def secrets_of(text: str) -> tuple[bytes, ...]:
    """Read secrets, comma-separated, the newest first. Raises SettingsError, which does not repeat them."""
    return tuple(_secret(number, part) for number, part in enumerate(filter(None, map(str.strip, text.split(","))), 1))


def _secret(number: int, text: str) -> bytes:
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(PREFIX) or not SHORTEST <= len(secret) <= LONGEST:
        raise SettingsError(
            f"EVENTBUS_SIGNING_SECRETS: number {number} is not {PREFIX} and the Base64 of"
            f" {SHORTEST} to {LONGEST} random bytes"
        )
    return secret


def signable(event_id: str) -> str:
    """An id with no dot, since what is signed is ``ID.TIMESTAMP.BODY``: one that has any could be cut elsewhere.

    The bus gives no such id. Those of an older version's journal may be anything.
    """
    return event_id.replace(".", "%2E")


def signature(secrets: Sequence[bytes], event_id: str, timestamp: int, body: bytes) -> bytes:
    """The value of ``Webhook-Signature``: one signature for each secret, in their order."""
    return b" ".join(_signatures(secrets, event_id, timestamp, body))


def signature_lines(
    secrets: Sequence[bytes], event_id: str, timestamp: int, body: bytes, topic: str | None, head: bytes
) -> bytes:
    """Both headers of signatures, as lines on the wire; ``head`` holds the kept headers."""
    made, covered = _signatures(secrets, event_id, timestamp, body), covered_headers(topic, head)
    both = (_signed(secret, b"%s%s\n%s" % (SCHEME, one, covered)) for secret, one in zip(secrets, made, strict=True))
    return b"Webhook-Signature: %s\r\nEventbus-Signature: %s\r\n" % (b" ".join(made), b" ".join(both))


def covered_headers(topic: str | None, head: bytes) -> bytes:
    """What ``Eventbus-Signature`` covers of the headers: ``name:value`` and a newline for each, sorted by name.

    Names are lower case, values have no spaces and tabs around them; one that is empty counts as not there.
    """
    found = [(b"eventbus-topic", b"" if topic is None else topic.encode("latin-1"))]
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in SIGNED_HEADERS or name.startswith(b"ce-"):
            found.append((name, value.strip(b" \t")))
    return b"".join(b"%s:%s\n" % pair for pair in sorted(found) if pair[1])


def _signatures(secrets: Sequence[bytes], event_id: str, timestamp: int, body: bytes) -> list[bytes]:
    signed = b"%s.%d.%s" % (event_id.encode("latin-1"), timestamp, body)
    return [_signed(secret, signed) for secret in secrets]


def _signed(secret: bytes, data: bytes) -> bytes:
    return b"v1," + base64.b64encode(hmac.digest(secret, data, hashlib.sha256))
