"""The credentials of a subscription: what its deliveries are authorized and signed with. Pure.

They come as headers of a registration, and are kept in memory only: no text that is made of these values has them.
"""

import base64
import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import StrEnum

from eventbus.core.errors import BadRequest
from eventbus.core.signing import PREFIX, SECRET_FORMAT, decode_secret

AUTHORIZATION_HEADER, SECRET_HEADER = "Eventbus-Forward-Authorization", "Eventbus-Secret"
#: Bytes of a value, at most.
MAX_VALUE_BYTES = 4_096
#: Seconds for which a secret that was replaced still signs, beside the new one.
ROTATION_SECONDS = 3_600.0
#: Secrets that sign at once, the newest included.
MAX_SECRETS = 3
#: Renewals without credentials after which those of an earlier one are probably out of date.
STALE_RENEWALS = 2
#: RFC 9110, 5.5, without the bytes beyond ASCII: a value that is more than spaces.
_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?\Z")


class CredentialKind(StrEnum):
    """What there is; the journal has which of these a subscriber has."""

    AUTHORIZATION = "authorization"
    SECRET = "secret"  # noqa: S105 - the name of one


#: Which credentials a subscriber has, in this order.
Kinds = tuple[CredentialKind, ...]
#: The header that gives each.
CREDENTIAL_HEADERS = {CredentialKind.AUTHORIZATION: AUTHORIZATION_HEADER, CredentialKind.SECRET: SECRET_HEADER}


@dataclass(frozen=True, slots=True)
class GivenCredentials:
    """What one registration says: None leaves a credential as it was, and an empty text removes it.

    Raises BadRequest for an invalid one, and does not repeat it.
    """

    authorization: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name, value in ((AUTHORIZATION_HEADER, self.authorization), (SECRET_HEADER, self.secret)):
            if value and (len(value) > MAX_VALUE_BYTES or not _VALUE.match(value)):
                raise BadRequest(f"{name} must be 1 to {MAX_VALUE_BYTES} printable ASCII characters.")
        if self.secret and decode_secret(self.secret) is None:
            raise BadRequest(f"{SECRET_HEADER} must be {SECRET_FORMAT}.")

    def kinds_after(self, known: Kinds) -> Kinds:
        """Return which credentials a subscriber has after this registration, of those that it had before."""
        given = {CredentialKind.AUTHORIZATION: self.authorization, CredentialKind.SECRET: self.secret}
        return tuple(kind for kind, value in given.items() if (kind in known if value is None else value))


#: What a registration without credentials says.
NOTHING_GIVEN = GivenCredentials()


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """A secret that signs until a moment, in seconds since 1970."""

    value: bytes = field(repr=False)
    until: float = math.inf


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials that are in memory: ``secrets`` newest first, and the renewals since each one was given last.

    ``changed_at`` is when one was replaced last, in seconds since 1970.
    """

    authorization: str = field(default="", repr=False)
    secrets: tuple[SigningSecret, ...] = field(default=(), repr=False)
    authorization_renewals: int = 0
    secret_renewals: int = 0
    changed_at: float = -math.inf

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self.authorization or self.secrets)

    def are_stale(self, sent_at: float) -> bool:
        """Return whether those of an attempt at this moment, in seconds since 1970, are probably out of date.

        They were given before the last renewal but one, or are replaced by now.
        """
        renewals = ((self.authorization, self.authorization_renewals), (self.secrets, self.secret_renewals))
        return sent_at < self.changed_at or any(there and count >= STALE_RENEWALS for there, count in renewals)

    def lacking(self, kinds: Collection[CredentialKind]) -> Kinds:
        """Return which of these kinds are not there: the process has started since they were given."""
        there = {CredentialKind.AUTHORIZATION: self.authorization, CredentialKind.SECRET: self.secrets}
        return tuple(kind for kind in kinds if not there[kind])

    def secrets_at(self, wall: float) -> list[bytes]:
        """Return the secrets that sign at a moment, in seconds since 1970: the newest, and those that it replaced."""
        return [secret.value for secret in self.secrets if wall < secret.until]

    def renewed(self, given: GivenCredentials, wall: float) -> "Credentials":
        """Return what there is after a registration at a moment, in seconds since 1970."""
        found = Credentials(
            self.authorization if given.authorization is None else given.authorization,
            self._rotated(given.secret, wall),
            self.authorization_renewals + 1 if given.authorization is None else 0,
            self.secret_renewals + 1 if given.secret is None else 0,
            self.changed_at,
        )
        return found if found.sends_as(self) else replace(found, changed_at=wall)

    def _rotated(self, given: str | None, wall: float) -> tuple[SigningSecret, ...]:
        """Return the secrets after a registration: those that it replaces sign for some time yet."""
        if given == "":
            return ()
        valid = tuple(secret for secret in self.secrets if wall < secret.until)
        newest = None if given is None else decode_secret(given)
        if newest is None or (valid and valid[0].value == newest):
            return valid
        former = (SigningSecret(old.value, min(old.until, wall + ROTATION_SECONDS)) for old in valid)
        return (SigningSecret(newest), *(old for old in former if old.value != newest))[:MAX_SECRETS]

    def sends_as(self, other: "Credentials") -> bool:
        """Return whether requests with these are the same as with others."""
        return (self.authorization, self.secrets) == (other.authorization, other.secrets)

    def changed_from(self, former: "Credentials", known: Kinds, kinds: Kinds) -> Kinds:
        """Return which credentials are others than the former ones, of those that it had and has.

        One that comes again after a restart is the same, as far as anybody knows.
        """
        values = {
            CredentialKind.AUTHORIZATION: (former.authorization, self.authorization),
            CredentialKind.SECRET: (former.secrets[:1], self.secrets[:1]),
        }
        came = set(known) ^ set(kinds)
        return tuple(kind for kind, (was, now) in values.items() if kind in came or (was and was != now))


#: Of a subscriber that has none, or whose credentials have not come since the process started.
NO_CREDENTIALS = Credentials()


def secret_text(secret: bytes) -> str:
    """Write a secret as it was given."""
    return PREFIX + base64.b64encode(secret).decode()
