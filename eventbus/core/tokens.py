"""Bearer tokens and what each may do. Pure.

A token is compared in constant time with every one that is known, so that neither how much of it is right nor
which one it is shows in how long that takes.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from eventbus.core.errors import SettingsError

#: RFC 6750, 2.1: what a bearer token may be made of.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*\Z")
#: Characters in a token, at least: a shorter one can be guessed.
MIN_TOKEN_CHARACTERS = 16


class Scope(StrEnum):
    """What a request does; whoever may administer may do all."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The digests of all tokens, by scope. With none at all, everything is open."""

    digests: dict[Scope, tuple[bytes, ...]] = field(default_factory=dict, repr=False)

    def __bool__(self) -> bool:
        """Whether a token is needed for anything."""
        return bool(self.digests)

    def scopes_of(self, token: str) -> frozenset[Scope]:
        """What a token may do; nothing for one that is not known."""
        asked = _digest(token)
        found = set()
        for scope, known in self.digests.items():
            for digest in known:
                if hmac.compare_digest(asked, digest):
                    found.add(scope)
        return frozenset(Scope) if Scope.ADMIN in found else frozenset(found)

    def by_digest(self) -> dict[bytes, frozenset[Scope]]:
        """What the token of each digest may do."""
        found: dict[bytes, set[Scope]] = {}
        for scope, digests in self.digests.items():
            for digest in digests:
                found.setdefault(digest, set()).update(Scope if scope is Scope.ADMIN else (scope,))
        return {digest: frozenset(scopes) for digest, scopes in found.items()}

    @property
    def closed(self) -> tuple[Scope, ...]:
        """What nobody may do: tokens are needed, and there are none for it."""
        if not self or Scope.ADMIN in self.digests:
            return ()
        return tuple(scope for scope in Scope if scope not in self.digests)


def tokens_of(texts: dict[Scope, str]) -> Tokens:
    """Read each scope's tokens, comma-separated. Raises SettingsError, which does not repeat them."""
    read = {scope: tuple(map(_digest, _read(scope, texts.get(scope, "")))) for scope in Scope}
    return Tokens({scope: digests for scope, digests in read.items() if digests})


def _read(scope: Scope, text: str) -> Iterable[str]:
    tokens = [token for token in map(str.strip, text.split(",")) if token]
    if text.strip() and not tokens:  # a blank one is not set, as container platforms leave it
        raise SettingsError(f"EVENTBUS_{scope.upper()}_TOKENS is set, but holds no token; give it one, or unset it")
    for number, token in enumerate(tokens, 1):
        if len(token) < MIN_TOKEN_CHARACTERS or not _TOKEN.match(token):
            raise SettingsError(
                f"EVENTBUS_{scope.upper()}_TOKENS: number {number} is no token; one has {MIN_TOKEN_CHARACTERS} or more"
                " letters, digits and ._~+/-"
            )
        yield token


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
