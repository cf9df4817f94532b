"""The subscription that a command is about: an address, which may be a member of a group, or a group by its name.

An address that was registered with a path is named by both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from eventbus.cli.escape import escape
from eventbus.cli.exit_status import CommandFailed
from eventbus.client import Bus, Group, Subscriber
from eventbus.core.target_path import with_path

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class NamedSubscription:
    """An address, with a path or without one, or a group's name: exactly one of them."""

    address: str | None
    path: str | None
    group: str | None

    def check(self) -> None:
        """Raise UsageError unless exactly one of them is given."""
        if (self.address is None) == (self.group is None):
            raise click.UsageError("Say which subscriber: ADDRESS, or --group GROUP")
        check_path(self.address, self.path)

    @property
    def text(self) -> str:
        """Return it for people, escaped."""
        return escape(f"group {self.group}" if self.address is None else with_path(self.address, self.path))

    def find(self, bus: Bus) -> Subscriber | Group:
        """Return the subscriber or the group; of a member its group, which has the account.

        Raises BusError, and CommandFailed where it is not registered.
        """
        found, group = bus.subscribers(), self.group
        for one in found if self.address is not None else ():
            if one.path == self.path and canonical_address(one.address) == canonical_address(self.address or ""):
                if one.group is None:
                    return one
                group = one.group
        for other in found.groups:
            if other.group == group:
                return other
        raise CommandFailed(f"{self.text} is not registered; 'eventbus subscribers' lists who is.")


#: The option of commands that take a group's name beside an address.
group_option = click.option("--group", metavar="GROUP", help="A group, by its name.")
#: The option of commands that take an address, too.
path_option = click.option("--path", metavar="PATH", help="The path that the address was registered with.")


def with_named_subscription(function: Function) -> Function:
    """Give a command the argument ADDRESS, and the options ``--path`` and ``--group``."""
    return click.argument("address", required=False)(path_option(group_option(function)))


def check_path(address: str | None, path: str | None) -> None:
    """Raise UsageError for a path without the address that has it."""
    if path is not None and address is None:
        raise click.UsageError("--path belongs to an address: say which")


def canonical_address(address: str) -> str:
    """Return the one spelling of an address: without case, default port and last slash."""
    scheme, separator, rest = address.rpartition("://")
    authority, slash, path = rest.partition("/")
    default = ":443" if scheme.lower() == "https" else ":80"
    kept = f"{scheme}{separator}".lower() if scheme.lower() == "https" else ""
    return f"{kept}{authority.lower().removesuffix(default)}{(slash + path).rstrip('/')}"
