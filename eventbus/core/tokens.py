"""Bearer tokens and their scopes. Pure.

A token is compared with every known one in constant time, so that the time tells neither how much of it is right nor
which one it is.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from eventbus.core.errors import SettingsError

#: RFC 6750, 2.1: the syntax of a bearer token.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*\Z")
#: Characters in a token, at least: shorter ones can be guessed.
MIN_TOKEN_CHARACTERS = 16


class Scope(StrEnum):
    """What a token permits; ADMIN includes all others."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The digests of all tokens, by scope. Without any, everything is open."""

    digests: dict[Scope, tuple[bytes, ...]] = field(default_factory=dict, repr=False)

    def __bool__(self) -> bool:
        """Return whether any token is set."""
        return bool(self.digests)

    def scopes_of(self, token: str) -> frozenset[Scope]:
        """Return a token's scopes; none for an unknown token."""
        digest_of_token = _digest(token)
        found = set()
        for scope, known in self.digests.items():
            for digest in known:
                if hmac.compare_digest(digest_of_token, digest):
                    found.add(scope)
        return frozenset(Scope) if Scope.ADMIN in found else frozenset(found)

    def by_digest(self) -> dict[bytes, frozenset[Scope]]:
        """Return the scopes of each token, by its digest."""
        found: dict[bytes, set[Scope]] = {}
        for scope, digests in self.digests.items():
            for digest in digests:
                found.setdefault(digest, set()).update(Scope if scope is Scope.ADMIN else (scope,))
        return {digest: frozenset(scopes) for digest, scopes in found.items()}

    @property
    def closed(self) -> tuple[Scope, ...]:
        """The scopes without a token, while other scopes have one."""
        if not self or Scope.ADMIN in self.digests:
            return ()
        return tuple(scope for scope in Scope if scope not in self.digests)


def tokens_of(texts: dict[Scope, str]) -> Tokens:
    """Read each scope's tokens, comma-separated. Raises SettingsError, which does not repeat them."""
    read = {scope: tuple(map(_digest, _read(scope, texts.get(scope, "")))) for scope in Scope}
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


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
