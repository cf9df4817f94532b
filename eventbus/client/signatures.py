"""Check that a delivery is the bus's: Standard Webhooks, ``v1``, over the raw bytes, and ``Eventbus-Signature``.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
covers id, timestamp and body; ``Eventbus-Signature`` the topic and CloudEvents' headers too: docs/security.md.
"""

import hmac
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from eventbus.client.errors import BadSignature, HeadersNotSigned, UsageError
from eventbus.core.signing import SECRET_FORMAT, body_signatures, decode_secret, header_signatures, is_signed

#: Seconds that a timestamp may be off, either way.
TOLERANCE_SECONDS = 300.0
#: RFC 9110, 5.5: what a header's value may hold; no newline above all, which parts what is signed.
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")


class Verifier:
    """Checks deliveries against secrets, any of which will do; with none, every delivery is accepted.

    ``secrets`` are ``whsec_`` and Base64, as a list or separated by commas. ``headers_signed`` is whether a signature
    over the topic and CloudEvents' headers is required: always (True), never (False), or from the first valid one on
    (None). A bus of an older version sends none, and who wants to change them would remove it. One that is there has
    to be valid in any case.

    ``origin`` is the name (``EVENTBUS_ORIGIN``) of the bus to whose deliveries an inbox consents. If it is not given,
    it is the name in the response to the registration, or any if there is none.
    """

    def __init__(
        self,
        secrets: str | Iterable[str] = (),
        *,
        tolerance: float = TOLERANCE_SECONDS,
        headers_signed: bool | None = None,
        origin: str | None = None,
    ) -> None:
        texts = secrets.split(",") if isinstance(secrets, str) else secrets
        self.secrets = tuple(secret_of(text.strip()) for text in texts if text.strip())
        self._tolerance = tolerance
        self.origin = origin
        self._remembers, self._required = headers_signed is None, headers_signed is True

    def check(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Raise BadSignature unless a delivery is signed. Names of ``headers`` are lower case; ``now``: since 1970."""
        if not self.secrets:
            return
        event_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if "." in event_id:  # what is signed is ID.TIMESTAMP.BODY, which could be cut elsewhere
            raise BadSignature("Webhook-Id holds a dot, so that the signature may be another delivery's.")
        if not _VALUE.match(event_id):
            raise BadSignature("Webhook-Id holds a character that no header may hold.")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 16):
            raise BadSignature("Webhook-Timestamp is missing, or is no number of seconds.")
        if abs(now - int(stamp)) > self._tolerance:
            raise BadSignature(f"Webhook-Timestamp is more than {self._tolerance:g} seconds from this clock.")
        wanted = body_signatures(self.secrets, event_id, int(stamp), body)
        if not _any_given(headers.get("webhook-signature", ""), wanted):
            raise BadSignature("Webhook-Signature is missing, or is by no secret that is known here.")
        self._check_headers(headers, wanted)

    def _check_headers(self, headers: Mapping[str, str], made: Sequence[bytes]) -> None:
        """Check the signature over the headers; ``made`` are those over the body, by each secret."""
        given = headers.get("eventbus-signature")
        if given is None:
            if self._required:
                raise HeadersNotSigned("Eventbus-Signature is missing: the topic may be another event's.")
            return
        wanted = header_signatures(self.secrets, made, encode_headers(headers))
        if not _any_given(given, wanted):
            raise BadSignature("Eventbus-Signature is not over this topic and these headers.")
        self._required = self._required or self._remembers


def _any_given(given: str, wanted: Iterable[bytes]) -> bool:
    """Return whether one of the signatures in a header is wanted. Compare all of them, in constant time."""
    theirs = [part.encode("latin-1", "replace") for part in given.split(" ")]
    return any([hmac.compare_digest(one, other) for one in wanted for other in theirs])  # noqa: C419 - all of them


def secret_of(text: str) -> bytes:
    """Return a secret's bytes. Raises UsageError, which does not repeat it."""
    secret = decode_secret(text)
    if secret is None:
        raise UsageError(f"A secret is {SECRET_FORMAT}.")
    return secret


def encode_headers(headers: Mapping[str, str]) -> Iterator[tuple[bytes, bytes]]:
    """Yield those headers that are signed. Raises BadSignature for a character that no header may hold."""
    for name, value in headers.items():
        key = name.encode("utf-8", "replace")
        if not is_signed(key):
            continue
        if not (name.isascii() and _VALUE.match(value)):
            raise BadSignature("A header that is signed holds a character that no header may hold.")
        yield key, value.encode("latin-1")


def time_of(stamp: str, now: float) -> datetime:
    """Return the time of an attempt; ``now``, in seconds since 1970, where the delivery has none."""
    plain = stamp.isascii() and stamp.isdigit() and len(stamp) < 12
    return datetime.fromtimestamp(int(stamp) if plain else now, UTC)
