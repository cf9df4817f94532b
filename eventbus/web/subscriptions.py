"""The subscription that a request names: by ``group=G``, or by ``address=A``, which may be a member of a group.

With ``path=P`` it is the address's subscription with this target path.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from eventbus.core.addresses import Address, parse_address
from eventbus.core.errors import BadAddress, BadRequest
from eventbus.core.model import GROUP_PREFIX, group_key
from eventbus.core.option_table import options_of
from eventbus.core.options import GROUP_REGEX, RegistrationOptions
from eventbus.core.target_path import split_path
from eventbus.services.bus import Bus
from eventbus.web.query import Query

_PATH = next(one for one in options_of(RegistrationOptions) if one.name == "path")


@dataclass(frozen=True, slots=True)
class NamedSubscription:
    """A subscription as a request names it."""

    key: str
    text: str  #: the group's name, or the address as it was given, with its target path


def named_in(query: Query, bus: Bus) -> NamedSubscription:
    """Return the subscription in the query: of a member its group's. Raises BadRequest and BadAddress."""
    name = group_in(query)
    check_path(query)
    if name is not None:
        return NamedSubscription(group_key(name), name)
    address = address_in(query)
    lane = bus.dispatcher.registry.groups.get(address.key)
    return (
        NamedSubscription(address.key, address.name)
        if lane is None
        else NamedSubscription(lane.subscriber.key, lane.subscriber.name)
    )


def member_in(query: Query, bus: Bus) -> str | None:
    """Return the address in the query, as a key, where a member of a group is meant. Raises BadAddress.

    That is where it is one, or a group is given, too.
    """
    if query.first("address") is None:
        return None
    key = address_in(query).key
    return key if query.first("group") is not None or key in bus.dispatcher.registry.groups else None


def is_named_in(query: Query) -> bool:
    """Return whether the query names a subscription. Raises BadRequest for a path without an address."""
    check_path(query)
    return query.first("address") is not None or query.first("group") is not None


def group_in(query: Query) -> str | None:
    """Return the group that the query names, None without one. Raises BadRequest."""
    name = query.first("group")
    if name is not None and re.fullmatch(GROUP_REGEX, name) is None:
        raise BadRequest(f"group must be 1 to 64 letters, digits, '.', '-' or '_', not {name[:80]!r}.")
    return name


def address_in(query: Query) -> Address:
    """Return the address in the query, with its target path. Raises BadRequest, for an address with the wire's text."""
    with wire_error():
        address = parse_address(query.first("address") or "")
        texts = query.all(_PATH.parameter)
        return address if texts is None else address.with_target(_PATH.kind.parse(_PATH.parameter, texts))


def check_path(query: Query) -> None:
    """Raise BadRequest where the query has a target path, and no address to which it belongs."""
    if query.first(_PATH.parameter) is not None and query.first("address") is None:
        raise BadRequest("path belongs to an address: give address=A, too.")


@contextmanager
def wire_error() -> Iterator[None]:
    """Phrase a BadAddress as the wire contract says."""
    try:
        yield
    except BadAddress as error:
        raise BadAddress(f"Wrong input address. {error}".rstrip()) from None


def group_of(key: str) -> str | None:
    """Return the name of the group whose subscription a key is; None for an address."""
    return key.removeprefix(GROUP_PREFIX) if key.startswith(GROUP_PREFIX) else None


def path_of(key: str) -> str | None:
    """Return the target path in a subscription's key; None without one."""
    return None if key.startswith(GROUP_PREFIX) else split_path(key)[1] or None


def text_of(key: str) -> str:
    """Return the group's name, or the address, in a subscription's key."""
    return split_path(key)[0].removeprefix(GROUP_PREFIX)
