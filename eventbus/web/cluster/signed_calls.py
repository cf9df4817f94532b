"""Signs and verifies calls between nodes: a call carries no token, but a signature. No I/O.

The forwarding node has checked its client's token. It signs the call, with what that token permits, by each of its own
tokens that permits at least that, and by a key of its whole file of named tokens. The other node accepts the call if
it has one of these. So whoever writes to Redis has to know a token, and gains nothing beyond what that permits; for a
client with a name only administrators can sign, and those who have the whole file. A call is valid for one node, once,
until its deadline. A request with something secret is sealed for those who have such a token.
"""

import functools
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from eventbus.core.access import Access, OneOf, access_fields, access_of_fields
from eventbus.core.errors import BadRequest, CallRefused, Conflict
from eventbus.core.tokens import Scope
from eventbus.web.cluster.sealing import seal, unseal

#: Milliseconds by which two nodes' clocks may differ, and by which a deadline may be ahead.
MAX_SKEW_MS, MAX_DEADLINE_MS = 5_000, 15_000
#: Calls that are remembered, so that none is accepted twice. Beyond it calls are refused until the oldest expire.
MAX_SEEN = 100_000
#: Signatures of one call that are checked, at most.
MAX_SIGNATURES = 1_000
#: scrypt's parameters. Whoever reads Redis may guess tokens by a signature: each guess costs about 50 ms and 16 MiB.
_SCRYPT_N, _SCRYPT_R = 2**14, 8

UNSEALABLE = (
    "Another node has this subscription, and the credentials can only be passed on to it sealed by a token. Set"
    " EVENTBUS_SUBSCRIBE_TOKENS or EVENTBUS_ADMIN_TOKENS, to the same on all nodes."
)
#: A key, and whom it speaks for.
Key = tuple[bytes, Access | OneOf]


@functools.lru_cache(maxsize=256)
def key_of(digest: bytes) -> bytes:
    """Derive a key that signs calls from the digest of a token."""
    return hashlib.scrypt(digest, salt=b"eventbus calls 1", n=_SCRYPT_N, r=_SCRYPT_R, p=1, dklen=32)


@dataclass(frozen=True, slots=True)
class SignedCall:
    """A call as it is sent, and the keys of which one has to sign its response."""

    name: str
    text: bytes
    keys: tuple[bytes, ...]

    def verify(self, reply: bytes) -> bytes:
        """Return the response in a peer's reply. Raises CallRefused without a valid signature, if tokens are set."""
        signature, _, answer = reply.partition(b"\n")
        if self.keys and not _is_signed(signature, self.keys, _answer_text(self.name, answer)):
            raise CallRefused("its response is not signed by any of this node's tokens; set the same ones on all nodes")
        return answer


@dataclass(frozen=True, slots=True)
class OpenedCall:
    """A valid call: the request, and what its client may do; None if no tokens are set."""

    name: str
    request: dict[str, str] = field(repr=False)
    access: Access | None
    key: bytes | None

    def reply(self, answer: bytes) -> bytes:
        """Return a response, signed for this call only."""
        signature = b"" if self.key is None else _signature(self.key, _answer_text(self.name, answer))
        return b"%s\n%s" % (signature, answer)


def sign(
    keys: Iterable[Key],
    node: str,
    until: float,
    request: Mapping[str, str],
    access: Access,
    *,
    secret: Mapping[str, str] | None = None,
) -> SignedCall:
    """Return a call to a node, valid until ``until`` (milliseconds by the nodes' clock).

    With ``secret`` fields the whole request is sealed. Raises Conflict where there is no token to do so.
    """
    name, able = uuid4().hex, tuple(key for key, may in keys if may.covers(access))
    fields: dict[str, Any] = {"to": node, "name": name, "until": int(until), **access_fields(access)}
    if secret:
        if not able:
            raise Conflict(UNSEALABLE)
        fields["sealed"] = seal(able, json.dumps({**request, **secret}).encode(), _bound(fields))
    else:
        fields["request"] = dict(request)
    text = json.dumps(fields).encode()
    signatures = b",".join(_signature(key, b"call\n" + text) for key in able)
    return SignedCall(name, b"%s\n%s" % (signatures, text), able)


class CallReader:
    """Verifies calls, and remembers the ones that it has accepted."""

    def __init__(self, max_seen: int = MAX_SEEN) -> None:
        self._max_seen = max_seen
        self._seen: dict[str, float] = {}  # by name: until when (ms) a call has to be remembered

    def open(self, call: bytes, keys: Sequence[Key], node: str, now: float) -> OpenedCall:
        """Read a call to this node, signed by one of its keys; ``now`` in milliseconds by the nodes' clock.

        Raises CallRefused.
        """
        signatures, _, text = call.partition(b"\n")
        signed = b"call\n" + text
        known = [key for key in keys if _is_listed(signatures, key[0], signed)]
        if keys and not known:
            raise CallRefused("it is not signed by any of this node's tokens; set the same ones on all nodes")
        fields = _read(text, [key for key, _ in known])
        if not known:
            return OpenedCall(fields["name"], fields["request"], None, None)
        self._check(fields, node, now)
        return OpenedCall(fields["name"], fields["request"], _permitted(fields["access"], known), known[0][0])

    def _check(self, fields: Mapping[str, Any], node: str, now: float) -> None:
        """Raise CallRefused for a call to another node, one outside of its time, and one that was accepted before."""
        if fields["to"] != node:
            raise CallRefused("it is for another node")
        if not now - MAX_SKEW_MS <= fields["until"] <= now + MAX_DEADLINE_MS + MAX_SKEW_MS:
            raise CallRefused("its deadline has passed, or is too far ahead")
        while self._seen and next(iter(self._seen.values())) < now:
            del self._seen[next(iter(self._seen))]
        if fields["name"] in self._seen:
            raise CallRefused("it was accepted before")
        if len(self._seen) >= self._max_seen:
            raise CallRefused("too many calls arrived at once")
        self._seen[fields["name"]] = now + MAX_DEADLINE_MS + 3 * MAX_SKEW_MS  # equal for all: the oldest is first


def _permitted(claimed: Access, known: Sequence[Key]) -> Access:
    """Return what a call's client may do. Raises CallRefused where nobody who signed it may speak for such a client."""
    if any(may.covers(claimed) for _, may in known):
        return claimed
    if claimed != Access(claimed.scopes):
        raise CallRefused("it names a client for whom none of the tokens that signed it may speak")
    return Access(claimed.scopes & frozenset[Scope]().union(*(may.scopes for _, may in known)))


def _bound(fields: Mapping[str, Any]) -> bytes:
    """Return what a sealed request belongs to: this call to this node."""
    return f"{fields['name']} {fields['to']}".encode()


def _read(text: bytes, keys: Sequence[bytes]) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = json.loads(text)
        if "sealed" in fields:  # a node of an older version finds no request, and refuses it
            fields["request"] = json.loads(unseal(keys, fields.pop("sealed"), _bound(fields)))
        request = fields["request"]
        if all(isinstance(value, str) for value in (fields["name"], fields["to"], *request.values())):
            return {**fields, "until": float(fields["until"]), "access": access_of_fields(fields)}
    except (BadRequest, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CallRefused(f"it is malformed ({type(error).__name__})") from error
    raise CallRefused("it is malformed")


def _answer_text(name: str, answer: bytes) -> bytes:
    return b"answer %s\n%s" % (name.encode("utf-8", "replace"), answer)


def _signature(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).hexdigest().encode()


def _is_listed(signatures: bytes, key: bytes, text: bytes) -> bool:
    listed = signatures.split(b",", MAX_SIGNATURES)[:MAX_SIGNATURES]
    right = _signature(key, text)
    return any(hmac.compare_digest(right, given) for given in listed)


def _is_signed(signature: bytes, keys: Iterable[bytes], text: bytes) -> bool:
    return any(hmac.compare_digest(signature, _signature(key, text)) for key in keys)
