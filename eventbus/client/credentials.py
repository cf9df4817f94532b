"""The credentials that a client gives the bus with a registration. No text that is made of them shows them."""

from collections.abc import Callable

from eventbus.client.errors import UsageError
from eventbus.client.signatures import Verifier, secret_of
from eventbus.core.credentials import AUTHORIZATION_HEADER, SECRET_HEADER, GivenCredentials
from eventbus.core.errors import BadRequest

#: An authorization, or what returns the one that is valid now: a token may end before the process does.
Authorization = str | Callable[[], str]


def credential_headers(authorization: str | None, secret: str | None) -> dict[str, str]:
    """Return the headers that give these; None gives none. Raises UsageError, which does not repeat them."""
    try:
        GivenCredentials(authorization, secret)
    except BadRequest as error:
        raise UsageError(str(error)) from None
    given = {AUTHORIZATION_HEADER: authorization, SECRET_HEADER: secret}
    return {name: value for name, value in given.items() if value is not None}


class InboxCredentials:
    """What an inbox gives with each registration. Raises UsageError for what is invalid or empty."""

    def __init__(self, authorization: Authorization | None = None, secret: str | None = None) -> None:
        if authorization == "" or secret == "":
            raise UsageError("A credential of an inbox is not empty; leave it out, or remove it by Bus.register.")
        credential_headers(authorization if isinstance(authorization, str) else None, secret)
        self._authorization, self._secret = authorization, secret

    def given(self) -> dict[str, str | None]:
        """Return the arguments of ``Bus.register``, with the authorization that is valid now. Raises UsageError."""
        return {"authorization": self._valid(), "secret": self._secret}

    def _valid(self) -> str | None:
        """Return the authorization that is valid now. Raises UsageError where there is none."""
        if not callable(self._authorization):
            return self._authorization
        try:
            valid = self._authorization()
        except Exception as error:
            raise UsageError(f"The authorization cannot be made: {type(error).__name__}.") from error
        if not valid:
            raise UsageError("The authorization that is made is empty.")
        return valid

    def verifier(self, given: Verifier | None) -> Verifier:
        """Return what checks deliveries: by the secret, or as it is given, with that secret among its own."""
        if self._secret is None:
            return given or Verifier()
        if given is None:
            return Verifier(self._secret)
        if secret_of(self._secret) not in given.secrets:
            raise UsageError("The verifier of an inbox needs its secret too, since the bus signs by it.")
        return given
