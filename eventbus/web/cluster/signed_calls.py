"""Calls from node to node carry no token, and count only where they are signed. Pure, but for the seen calls' memory.

A node has checked its client's token. It signs what it passes on, with what that token may do, by every token of its
own that may do as much; the other node takes the call where it has one of these tokens. So whoever writes to Redis has
to know a token, and gains nothing beyond what that token may do. A call counts for one node, once, until its deadline.
"""

import functools
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from eventbus.core.errors import CallRefused
from eventbus.core.tokens import Scope

#: Milliseconds that two nodes' clocks may differ, and that a deadline may be away.
SKEW_MS, LONGEST_MS = 5_000, 15_000
#: Calls that are remembered so that none counts twice. Past it calls are refused until the oldest can count no more.
MAX_SEEN = 100_000
#: Signatures of one call that are looked at.
MAX_SIGNATURES = 1_000
#: Whoever reads Redis may try tokens on a signature: each try costs some 50 ms and 16 MiB.
_COST, _BLOCK = 2**14, 8

#: A key, and what the token it is made of may do.
Key = tuple[bytes, frozenset[Scope]]


@functools.lru_cache(maxsize=256)
def key_of(digest: bytes) -> bytes:
    """Make a token's digest a key for nothing but calls."""
    return hashlib.scrypt(digest, salt=b"eventbus calls 1", n=_COST, r=_BLOCK, p=1, dklen=32)


@dataclass(frozen=True, slots=True)
class SignedCall:
    """A call as it is sent, and the keys by one of which its answer has to be signed."""

    name: str
    text: bytes
    keys: tuple[bytes, ...]

    def answer_in(self, reply: bytes) -> bytes:
        """Return what the other node has answered. Raises CallRefused where it is not signed, and has to be."""
        signature, _, answer = reply.partition(b"\n")
        if self.keys and not _is_signed(signature, self.keys, _answer_text(self.name, answer)):
            raise CallRefused("its answer is signed by none of this node's tokens; set the same tokens on all nodes")
        return answer


@dataclass(frozen=True, slots=True)
class OpenedCall:
    """A call that counts: the request, and what its client may do; None where no token is needed."""

    name: str
    request: dict[str, str]
    scopes: frozenset[Scope] | None
    key: bytes | None

    def reply(self, answer: bytes) -> bytes:
        """Sign an answer, for this call only."""
        signature = b"" if self.key is None else _signature(self.key, _answer_text(self.name, answer))
        return b"%s\n%s" % (signature, answer)


def sign(
    keys: Iterable[Key], node: str, until: float, request: Mapping[str, str], scopes: frozenset[Scope]
) -> SignedCall:
    """Make a call to a node of a request whose client may do this; ``until`` in ms by the nodes' clock."""
    name = uuid4().hex
    told = {"to": node, "name": name, "until": int(until), "scopes": sorted(scopes), "request": dict(request)}
    text = json.dumps(told).encode()
    able = tuple(key for key, may in keys if scopes <= may)
    signatures = b",".join(_signature(key, b"call\n" + text) for key in able)
    return SignedCall(name, b"%s\n%s" % (signatures, text), able)


class CallReader:
    """Opens calls; knows which ones it has opened."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = keys
        self._seen: dict[str, float] = {}  # a call's name to the moment from which on it is too late

    def open(self, call: bytes, node: str, now: float) -> OpenedCall:
        """Read a call to this node; ``now`` in ms by the nodes' clock. Raises CallRefused."""
        signatures, _, text = call.partition(b"\n")
        signed = b"call\n" + text
        known = [key for key in self._keys if _is_listed(signatures, key[0], signed)]
        if self._keys and not known:
            raise CallRefused("it is signed by none of this node's tokens; set the same tokens on all nodes")
        told = _read(text)
        if not known:
            return OpenedCall(told["name"], told["request"], None, None)
        self._check(told, node, now)
        allowed = frozenset[Scope]().union(*(may for _, may in known))
        return OpenedCall(told["name"], told["request"], allowed & frozenset(told["scopes"]), known[0][0])

    def _check(self, told: Mapping[str, Any], node: str, now: float) -> None:
        """Raises CallRefused for one that is another node's, comes too late, or has come before."""
        if told["to"] != node:
            raise CallRefused("it is for another node")
        if not now - SKEW_MS <= told["until"] <= now + LONGEST_MS + SKEW_MS:
            raise CallRefused("it comes at the wrong time")
        while self._seen and next(iter(self._seen.values())) < now:
            del self._seen[next(iter(self._seen))]
        if told["name"] in self._seen:
            raise CallRefused("it has come before")
        if len(self._seen) >= MAX_SEEN:
            raise CallRefused("too many calls came at once")
        self._seen[told["name"]] = now + LONGEST_MS + 3 * SKEW_MS  # the same for all, so the oldest stands first


def _read(text: bytes) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(text)
        request = told["request"]
        if all(isinstance(value, str) for value in (told["name"], told["to"], *request.values())):
            return {**told, "until": float(told["until"]), "scopes": {Scope(scope) for scope in told["scopes"]}}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CallRefused(f"it cannot be read ({type(error).__name__})") from error
    raise CallRefused("it cannot be read")


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
