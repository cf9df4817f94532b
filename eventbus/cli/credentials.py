"""The credentials that a command gives the bus: from the environment, since a command line is public."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click

from eventbus.client.credentials import credential_headers
from eventbus.client.errors import UsageError

Function = TypeVar("Function", bound=Callable[..., Any])
_OPTIONS = (
    click.option(
        "--authorization-env",
        "authorization_env",
        metavar="NAME",
        help="The environment variable with what deliveries have as Authorization.",
    ),
    click.option(
        "--secret-env",
        "secret_env",
        metavar="NAME",
        help="The environment variable with the secret, whsec_..., that signs deliveries.",
    ),
)


@dataclass(frozen=True, slots=True)
class CommandCredentials:
    """What a command gives with each registration; None gives none."""

    authorization: str | None = field(repr=False)
    secret: str | None = field(repr=False)

    def __bool__(self) -> bool:
        """Return whether any is given."""
        return self.authorization is not None or self.secret is not None


def credential_options(function: Function) -> Function:
    """Give a command these options."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def take_credentials(arguments: dict[str, Any]) -> CommandCredentials:
    """Remove the options from a command's arguments, and return what they name. Raises click.UsageError."""
    found = CommandCredentials(
        _value("--authorization-env", arguments.pop("authorization_env")),
        _value("--secret-env", arguments.pop("secret_env")),
    )
    try:
        credential_headers(found.authorization, found.secret)
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    return found


def _value(option: str, name: str | None) -> str | None:
    if name is None:
        return None
    value = os.environ.get(name, "").strip()
    if not value:  # an empty one would remove the credential
        raise click.UsageError(f"{option} names {name!r}, which is not set, or empty")
    return value
