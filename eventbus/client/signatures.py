"""Whether a delivery is the bus's: Standard Webhooks, ``v1``, over the raw bytes.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from eventbus.client.errors import BadSignature, Misused

PREFIX = "whsec_"
#: Bytes that a secret may have.
SHORTEST, LONGEST = 24, 64
#: Seconds that a timestamp may be off, either way.
TOLERANCE = 300.0


class Verifier:
    """Checks deliveries against secrets, any of which will do; with none, every delivery is taken.

    ``secrets`` are ``whsec_`` and Base64, as a list or as the bus has them, comma-separated.
    """

    def __init__(self, secrets: str | Iterable[str] = (), *, tolerance: float = TOLERANCE) -> None:
        texts = secrets.split(",") if isinstance(secrets, str) else secrets
        self.secrets = tuple(secret_of(text.strip()) for text in texts if text.strip())
        self._tolerance = tolerance

    def check(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Raises BadSignature. Names of ``headers`` are lower case, ``now`` is seconds since 1970."""
        if not self.secrets:
            return
        event_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if "." in event_id:  # what is signed is ID.TIMESTAMP.BODY, which could be cut elsewhere
            raise BadSignature("Webhook-Id holds a dot, so that the signature may be another delivery's.")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 16):
            raise BadSignature("Webhook-Timestamp is missing, or is no number of seconds.")
        if abs(now - int(stamp)) > self._tolerance:
            raise BadSignature(f"Webhook-Timestamp is more than {self._tolerance:g} seconds from this clock.")
        given = [part.encode("latin-1", "replace") for part in headers.get("webhook-signature", "").split(" ")]
        wanted = [signature(secret, event_id, int(stamp), body).encode() for secret in self.secrets]
        if not any([hmac.compare_digest(mine, theirs) for mine in wanted for theirs in given]):  # noqa: C419 - all of
            raise BadSignature("Webhook-Signature is missing, or is by no secret that is known here.")  # them, always


def secret_of(text: str) -> bytes:
    """A secret's bytes. Raises Misused, which does not repeat it."""
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(PREFIX) or not SHORTEST <= len(secret) <= LONGEST:
        raise Misused(f"A secret is {PREFIX} and the Base64 of {SHORTEST} to {LONGEST} random bytes.")
    return secret


def signature(secret: bytes, event_id: str, timestamp: int, body: bytes) -> str:
    """One signature, as it stands in ``Webhook-Signature``."""
    signed = b"%s.%d.%s" % (event_id.encode("latin-1", "replace"), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def time_of(stamp: str, now: float) -> datetime:
    """When an attempt was made; now, where the delivery does not say."""
    plain = stamp.isascii() and stamp.isdigit() and len(stamp) < 12
    return datetime.fromtimestamp(int(stamp) if plain else now, UTC)
