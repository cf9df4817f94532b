"""The credentials in the headers of a registration. They are in no query, since those stand in logs."""

from collections.abc import Mapping
from typing import Any

from eventbus.core.credentials import AUTHORIZATION_HEADER, SECRET_HEADER, GivenCredentials

#: The names that the headers have in WSGI's environment.
AUTHORIZATION, SECRET = (f"HTTP_{name.upper().replace('-', '_')}" for name in (AUTHORIZATION_HEADER, SECRET_HEADER))
#: The only path that takes them.
REGISTER = "/registerAndKeepAlive"


def credentials_in(environ: Mapping[str, Any]) -> GivenCredentials:
    """Return what a registration says of credentials. Raises BadRequest, which does not repeat them."""
    return GivenCredentials(environ.get(AUTHORIZATION), environ.get(SECRET))


def secret_fields(environ: Mapping[str, Any]) -> dict[str, str]:
    """Return the part of a request's environment that nobody may read who passes it on; empty if there is none."""
    if environ["PATH_INFO"] != REGISTER:
        return {}
    return {name: environ[name] for name in (AUTHORIZATION, SECRET) if name in environ}
