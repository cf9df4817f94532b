"""Bearer tokens and their scopes. Pure.

A token is looked up by a part of its digest, and the whole is compared in constant time: so the cost does not grow with
the number of tokens, and the time tells nothing of a digest, let alone of a token.
"""

import hashlib
import hmac
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from eventbus.core.errors import SettingsError

#: RFC 6750, 2.1: the syntax of a bearer token.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*\Z")
#: Characters in a token, at least: shorter ones can be guessed.
MIN_TOKEN_CHARACTERS = 16
#: Bytes of a digest by which it is found.
_INDEXED_BYTES = 16
_UNKNOWN: tuple[bytes, Any] = (b"", None)

Found = TypeVar("Found")


class Scope(StrEnum):
    """What a token permits; ADMIN includes all others. VIEW reads everything, and changes nothing."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    VIEW = "view"
    ADMIN = "admin"


def expanded(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """Return the scopes with those that they include."""
    found = frozenset(scopes)
    return frozenset(Scope) if Scope.ADMIN in found else found


@dataclass(frozen=True, slots=True)
class Tokens:
    """The digests of all tokens, by scope. Without any, everything is open."""

    digests: dict[Scope, tuple[bytes, ...]] = field(default_factory=dict, repr=False)

    def __bool__(self) -> bool:
        """Return whether any token is set."""
        return bool(self.digests)

    def by_digest(self) -> dict[bytes, frozenset[Scope]]:
        """Return the scopes of each token, by its digest."""
        found: dict[bytes, set[Scope]] = {}
        for scope, digests in self.digests.items():
            for digest in digests:
                found.setdefault(digest, set()).add(scope)
        return {digest: expanded(scopes) for digest, scopes in found.items()}

    @property
    def closed(self) -> tuple[Scope, ...]:
        """The scopes without a token, while other scopes have one."""
        return closed_scopes(self.digests)


class DigestIndex(Generic[Found]):
    """What is known of each token, found by its digest (SHA-256)."""

    def __init__(self, known: Mapping[bytes, Found]) -> None:
        self._known = {digest[:_INDEXED_BYTES]: (digest, found) for digest, found in known.items()}

    def __len__(self) -> int:
        return len(self._known)

    def find(self, digest: bytes) -> Found | None:
        """Return what is known of the token with a digest; None for an unknown one."""
        known, found = self._known.get(digest[:_INDEXED_BYTES], _UNKNOWN)
        return found if hmac.compare_digest(known, digest) else None


def closed_scopes(given: Collection[Scope]) -> tuple[Scope, ...]:
    """Return the scopes that nobody has, where some are given to tokens; VIEW permits nothing that no other does."""
    if not given or Scope.ADMIN in given:
        return ()
    return tuple(scope for scope in Scope if scope not in (*given, Scope.VIEW))


def tokens_of(texts: dict[Scope, str]) -> Tokens:
    """Read each scope's tokens, comma-separated. Raises SettingsError, which does not repeat them."""
    read = {scope: tuple(map(digest_of, _read(scope, texts.get(scope, "")))) for scope in Scope}
    return Tokens({scope: digests for scope, digests in read.items() if digests})


def _read(scope: Scope, text: str) -> Iterable[str]:
    tokens = [token for token in map(str.strip, text.split(",")) if token]
    if text.strip() and not tokens:  # container platforms leave an unset one blank
        raise SettingsError(f"EVENTBUS_{scope.upper()}_TOKENS is set, but holds no token; give it one, or unset it")
    for number, token in enumerate(tokens, 1):
        if len(token) < MIN_TOKEN_CHARACTERS or not _TOKEN.match(token):
            raise SettingsError(
                f"EVENTBUS_{scope.upper()}_TOKENS: number {number} is not a token; one has"
                f" {MIN_TOKEN_CHARACTERS} or more letters, digits and ._~+/-"
            )
        yield token


def digest_of(token: str) -> bytes:
    """Return what is kept of a token.

    A plain SHA-256 is enough for one of 128 random bits: nobody guesses it, so that nothing has to make guessing slow.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
