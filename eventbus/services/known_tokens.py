"""The tokens that the bus knows: those of the settings, and those of a file, which is read again when it changes."""

import hashlib
import hmac
import logging

import gevent

from eventbus.core.access import NOBODY, Access, OneOf
from eventbus.core.clock import Clock
from eventbus.core.errors import SettingsError, Unauthorized
from eventbus.core.token_file import TokenFile, parse_token_file
from eventbus.core.tokens import DigestIndex, Tokens, digest_of
from eventbus.services.watched_file import WatchedFile

log = logging.getLogger(__name__)

#: What nodes with the same file derive the key of their calls for.
_CALLS = b"eventbus calls 2"


class KnownTokens:
    """Finds what a token permits. A file that is wrong later changes nothing; at the start it ends the start."""

    def __init__(
        self, settings: Tokens, path: str = "", clock: Clock | None = None, check_seconds: float = 1.0
    ) -> None:
        self.of_settings = settings
        self.file = WatchedFile(path, parse_token_file, "tokens", _count) if path else None
        self._clock = clock or Clock()
        self._check_seconds = check_seconds
        self._unnamed = DigestIndex({digest: Access(scopes) for digest, scopes in settings.by_digest().items()})
        self._content = TokenFile()
        self._named = self._content.index()
        self._keys: tuple[tuple[bytes, OneOf], ...] = ()
        self._greenlet: gevent.Greenlet[..., None] | None = None

    def __bool__(self) -> bool:
        """Return whether a client needs a token: also where the file holds none."""
        return bool(self.of_settings) or self.file is not None

    def start(self) -> None:
        """Read the file, and again whenever it changes. Raises SettingsError for one that is wrong."""
        if self.file is None:
            return
        self.check()
        if self.file.content is None:
            fault = self.file.faults[0]
            raise SettingsError(f"EVENTBUS_TOKENS_FILE is wrong: {fault.at(str(self.file.path))}")
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Read the file no more."""
        if self._greenlet is not None:
            self._greenlet.kill()

    def check(self) -> None:
        """Read the file if it has changed."""
        if self.file is None:
            return
        self.file.check()
        content = self.file.content
        if content is not None and content is not self._content:
            self._content, self._named = content, content.index()
            self._keys = (*_keys_of(content), *self._keys)[:2]

    def access_of(self, token: str) -> Access:
        """Return what a token permits. Raises Unauthorized for one that is unknown, or expired."""
        digest = digest_of(token)
        found = self._named.find(digest)
        if found is None:
            unnamed = self._unnamed.find(digest)
            if unnamed is None:
                raise Unauthorized("The token is unknown.", error="invalid_token")
            return unnamed
        if found.expires is not None and found.expires <= self._clock.wall():
            raise Unauthorized("The token has expired.", error="invalid_token")
        return found.access

    def find(self, token: str) -> Access:
        """Return what a token permits; nothing for one that is unknown, or expired."""
        try:
            return self.access_of(token)
        except Unauthorized:
            return NOBODY

    @property
    def call_keys(self) -> tuple[tuple[bytes, OneOf], ...]:
        """Secrets that nodes with the same file share, each with the clients that it speaks for.

        There is one of what the file says, and one of what it said before.
        """
        return self._keys

    @property
    def count(self) -> int:
        """Return how many tokens the file has."""
        return len(self._named)

    @property
    def faults(self) -> int:
        """Return how much is wrong in the file."""
        return 0 if self.file is None else len(self.file.faults)

    def _run(self) -> None:
        while True:
            gevent.sleep(self._check_seconds)
            try:
                self.check()
            except Exception:  # the next time it is tried again
                log.exception("unexpected error while the file of tokens was read")


def _count(found: TokenFile) -> int:
    return len(found.tokens)


def _keys_of(content: TokenFile) -> tuple[tuple[bytes, OneOf], ...]:
    """Derive a key from all digests of a file; none where there are none.

    Who knows some of the tokens does not know it, and who knows all gains nothing: it speaks for their clients alone.
    """
    if not content.tokens:
        return ()
    digests = b"".join(sorted(each.digest for each in content.tokens))
    key = hmac.digest(hashlib.sha256(digests).digest(), _CALLS, "sha256")
    return ((key, OneOf(frozenset(each.access for each in content.tokens))),)
