"""Write what the client's methods take as parameters of a query. Pure."""

from datetime import datetime
from typing import Any

from eventbus.client.encoding import rfc3339
from eventbus.client.errors import UsageError

Parameters = list[tuple[str, str]]


def parameter(value: Any) -> str:
    """Write a parameter's value as the bus reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    return rfc3339(value) if isinstance(value, datetime) else str(value)


def given(**named: Any) -> Parameters:
    """Write the parameters that are not None."""
    return [(name, parameter(value)) for name, value in named.items() if value is not None]


def subscription(address: str | None, path: str | None, group: str | None) -> Parameters:
    """Name one subscription by its address, which may be a group's member, or by its group. Raises UsageError."""
    if (address is None) == (group is None):
        raise UsageError("Say which subscriber: an address, or group=...")
    return given(address=address, path=path, group=group)


def selection(*, everything: bool, letter: int | None, path: str | None, **named: str | None) -> Parameters:
    """Select dead letters: those of one subscriber, which is ``named``, one by its id, or all. Raises UsageError."""
    found = given(**named, id=letter, all=True if everything else None)
    if len(found) != 1:
        raise UsageError("Say which dead letters: address=..., group=..., letter=..., or everything=True.")
    return found + given(path=path)
