"""The subscription that a command is about: an address, which may be a member of a group, or a group by its name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from eventbus.cli.escape import escape
from eventbus.cli.exit_status import CommandFailed
from eventbus.client import Bus, Group, Subscriber

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class NamedSubscription:
    """An address or a group's name: exactly one of them."""

    address: str | None
    group: str | None

    def check(self) -> None:
        """Raise UsageError unless exactly one of them is given."""
        if (self.address is None) == (self.group is None):
            raise click.UsageError("Say which subscriber: ADDRESS, or --group GROUP")

    @property
    def text(self) -> str:
        """Return it for people, escaped."""
        return escape(self.address or f"group {self.group}")

    def find(self, bus: Bus) -> Subscriber | Group:
        """Return the subscriber or the group; of a member its group, which has the account.

        Raises BusError, and CommandFailed where it is not registered.
        """
        found, group = bus.subscribers(), self.group
        for one in found if self.address is not None else ():
            if canonical_address(one.address) == canonical_address(self.address or ""):
                if one.group is None:
                    return one
                group = one.group
        for other in found.groups:
            if other.group == group:
                return other
        raise CommandFailed(f"{self.text} is not registered; 'eventbus subscribers' lists who is.")


#: The option of commands that take a group's name beside an address.
group_option = click.option("--group", metavar="GROUP", help="A group, by its name.")


def with_named_subscription(function: Function) -> Function:
    """Give a command the argument ADDRESS and the option ``--group``."""
    return click.argument("address", required=False)(group_option(function))


def canonical_address(address: str) -> str:
    """Return the one spelling of an address: without case, default port and last slash."""
    scheme, separator, rest = address.rpartition("://")
    authority, slash, path = rest.partition("/")
    default = ":443" if scheme.lower() == "https" else ":80"
    kept = f"{scheme}{separator}".lower() if scheme.lower() == "https" else ""
    return f"{kept}{authority.lower().removesuffix(default)}{(slash + path).rstrip('/')}"
