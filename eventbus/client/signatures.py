"""Whether a delivery is the bus's: Standard Webhooks, ``v1``, over the raw bytes, and ``Eventbus-Signature``.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
covers id, timestamp and body; ``Eventbus-Signature`` the topic and CloudEvents' headers too: docs/security.md.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from eventbus.client.errors import BadSignature, HeadersNotSigned, UsageError

PREFIX = "whsec_"
#: Bytes that a secret may have.
SHORTEST, LONGEST = 24, 64
#: Seconds that a timestamp may be off, either way.
TOLERANCE = 300.0
#: The first line of what ``Eventbus-Signature`` signs, and the headers that it covers beside ``ce-*``.
SCHEME = "eventbus-v1\n"
COVERED = frozenset({"eventbus-topic", "content-type", "content-encoding"})
#: RFC 9110, 5.5: what a header's value may hold; no newline above all, which parts what is signed.
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")


class Verifier:
    """Checks deliveries against secrets, any of which will do; with none, every delivery is taken.

    ``secrets`` are ``whsec_`` and Base64, as a list or as the bus has them, comma-separated. ``headers_signed`` says
    whether the topic and CloudEvents' headers have to be signed too, as an older bus does not, and as who wants to
    change them would leave out: True is always, False never, and None from the first such signature on that was
    good. One that is there has to be good in any case.

    ``origin`` is the name (``EVENTBUS_ORIGIN``) of the bus to whose deliveries an inbox consents when it is asked.
    Where it is not said, that is as its bus tells at registration; and any, where that tells none.
    """

    def __init__(
        self,
        secrets: str | Iterable[str] = (),
        *,
        tolerance: float = TOLERANCE,
        headers_signed: bool | None = None,
        origin: str | None = None,
    ) -> None:
        texts = secrets.split(",") if isinstance(secrets, str) else secrets
        self.secrets = tuple(secret_of(text.strip()) for text in texts if text.strip())
        self._tolerance = tolerance
        self.origin = origin
        self._learns, self._demands = headers_signed is None, headers_signed is True

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
        wanted = [signature(secret, event_id, int(stamp), body) for secret in self.secrets]
        if not _any_given(headers.get("webhook-signature", ""), wanted):
            raise BadSignature("Webhook-Signature is missing, or is by no secret that is known here.")
        self._check_headers(headers, wanted)

    def _check_headers(self, headers: Mapping[str, str], made: Sequence[str]) -> None:
        """Check the signature over the headers; ``made`` are those over the body, by each secret."""
        given = headers.get("eventbus-signature")
        if given is None:
            if self._demands:
                raise HeadersNotSigned("Eventbus-Signature is missing: the topic may be another event's.")
            return
        wanted = [header_signature(secret, one, headers) for secret, one in zip(self.secrets, made, strict=True)]
        if not _any_given(given, wanted):
            raise BadSignature("Eventbus-Signature is not over this topic and these headers.")
        self._demands = self._demands or self._learns


def _any_given(given: str, wanted: Iterable[str]) -> bool:
    """Whether one of the signatures in a header is wanted; all are compared, always."""
    theirs = [part.encode("latin-1", "replace") for part in given.split(" ")]
    ours = [each.encode() for each in wanted]
    return any([hmac.compare_digest(one, other) for one in ours for other in theirs])  # noqa: C419 - all of them


def secret_of(text: str) -> bytes:
    """A secret's bytes. Raises UsageError, which does not repeat it."""
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(PREFIX) or not SHORTEST <= len(secret) <= LONGEST:
        raise UsageError(f"A secret is {PREFIX} and the Base64 of {SHORTEST} to {LONGEST} random bytes.")
    return secret


def signature(secret: bytes, event_id: str, timestamp: int, body: bytes) -> str:
    """One signature, as it stands in ``Webhook-Signature``."""
    return _signed(secret, b"%s.%d.%s" % (event_id.encode("latin-1", "replace"), timestamp, body))


def header_signature(secret: bytes, made: str, headers: Mapping[str, str]) -> str:
    """One signature, as it stands in ``Eventbus-Signature``; ``made`` is that in ``Webhook-Signature``, by this secret.

    Names of ``headers`` are lower case. Raises BadSignature for a value that no header can have.
    """
    return _signed(secret, f"{SCHEME}{made}\n".encode() + covered_headers(headers))


def covered_headers(headers: Mapping[str, str]) -> bytes:
    """The headers that ``Eventbus-Signature`` covers: ``name:value`` and a newline for each, sorted by name.

    A value that is empty counts as not there. Raises BadSignature.
    """
    lines = []
    for name in sorted(name for name in headers if name in COVERED or name.startswith("ce-")):
        value = headers[name].strip(" \t")
        if not (name.isascii() and _VALUE.match(value)):
            raise BadSignature("A header that is signed holds a character that no header may hold.")
        if value:
            lines.append(f"{name}:{value}\n")
    return "".join(lines).encode("latin-1")


def _signed(secret: bytes, data: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(secret, data, hashlib.sha256)).decode()


def time_of(stamp: str, now: float) -> datetime:
    """When an attempt was made; now, where the delivery does not say."""
    plain = stamp.isascii() and stamp.isdigit() and len(stamp) < 12
    return datetime.fromtimestamp(int(stamp) if plain else now, UTC)
