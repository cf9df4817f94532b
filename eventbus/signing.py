"""Signatures by which a subscriber knows that a delivery is the bus's: Standard Webhooks, ``v1``.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from eventbus.errors import SettingsError

PREFIX = "whsec_"
#: Bytes that a secret may have.
SHORTEST, LONGEST = 24, 64


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
    signed = b"%s.%d.%s" % (event_id.encode("latin-1"), timestamp, body)
    digests = (hmac.digest(secret, signed, hashlib.sha256) for secret in secrets)
    return b" ".join(b"v1," + base64.b64encode(digest) for digest in digests)
