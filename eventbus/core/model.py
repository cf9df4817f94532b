"""The nouns: messages, events, subscribers and their options."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple, Never

from eventbus.core.addresses import Address
from eventbus.core.credentials import Kinds
from eventbus.core.errors import Conflict
from eventbus.core.headers import headers_in, publisher_in
from eventbus.core.option_table import changes, options_of
from eventbus.core.options import SubscriptionOptions
from eventbus.core.target_path import split_path
from eventbus.core.topics import matches

#: How the keys of groups begin.
GROUP_PREFIX = "group="
#: Target paths in an error, at most, and characters of each.
MAX_NAMED_PATHS, MAX_NAMED_CHARACTERS = 3, 80


class Message(NamedTuple):
    """An event before it has a sequence number. A tuple: the cheapest of frozen values to make."""

    id: str
    topic: str | None
    head: bytes  # the kept headers as they go on the wire, each line ended by CR LF
    body: bytes
    accepted_at: float  # seconds since 1970
    key: str = ""  # the order key; empty without one


class Event(NamedTuple):
    """An event: its sequence number, and then the message. Shared by all lanes that deliver it."""

    seq: int
    id: str
    topic: str | None
    head: bytes
    body: bytes
    accepted_at: float
    key: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The kept headers by name; none of a head that may not be sent."""
        return headers_in(self.head)

    @property
    def publisher(self) -> str | None:
        """The name of the token that published it; None without one."""
        return publisher_in(self.head)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(SubscriptionOptions[Never]):
    """The options of a subscription."""

    def differing(self, former: "Options") -> tuple[str, ...]:
        """Return the names of the options that had another value in the former ones."""
        names = (one.name for one in options_of(type(self)))
        return tuple(name for name in names if getattr(self, name) != getattr(former, name))

    def of_member(self) -> "Options":
        """Return the options with the defaults of those that a group has, and not each member."""
        shared = {one.name: one.default for one in options_of(Options) if one.shared and not one.of_member}
        return replace(self, **shared)

    def own(self) -> dict[str, Any]:
        """Return the options that each member has, and not its group, by name."""
        return {one.name: getattr(self, one.name) for one in options_of(Options) if not one.shared}

    def of_group(self, topics: tuple[str, ...]) -> "Options":
        """Return the options with the defaults of those that each member has, and the topics of all members."""
        own = {one.name: one.default for one in options_of(Options) if not one.shared}
        return replace(self, **own | {"topics": topics})


@dataclass(frozen=True, slots=True, kw_only=True)
@changes
class Terms(SubscriptionOptions[None]):
    """The options that one registration or renewal gives; None leaves an option as it was.

    ``declared`` says that a file gives them, and not a client.
    """

    declared: bool = False

    def applied(self, options: Options) -> Options:
        """Return the options, changed to those that are given."""
        values = {one.name: getattr(self, one.name) for one in options_of(type(self))}
        return replace(options, **{name: value for name, value in values.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who receives: an address, its options, and which credentials it has; their values are in memory only.

    The lease of one that a file has ``declared`` does not end. ``owner`` is the name of the token that made the
    subscription: empty for a token of the settings, for none, and for a member, whose group has it.
    """

    address: Address
    options: Options
    credentials: Kinds = ()
    declared: bool = field(default=False, kw_only=True)
    owner: str = field(default="", kw_only=True)

    @property
    def key(self) -> str:
        """The address in its one spelling, with its target path."""
        return self.address.key

    @property
    def text(self) -> str:
        """The address as it was given, with its target path."""
        return self.address.name


@dataclass(frozen=True, slots=True)
class Group:
    """A service whose replicas, the members, share one subscription. ``options`` has the topics of all members.

    ``owner`` is the name of the token whose client made it; empty for a token of the settings, and for none.
    """

    name: str
    options: Options
    owner: str = field(default="", kw_only=True)

    @property
    def key(self) -> str:
        """A key that no address has."""
        return group_key(self.name)

    @property
    def text(self) -> str:
        """The name."""
        return self.name

    @property
    def credentials(self) -> Kinds:
        """None: each member has its own."""
        return ()

    @property
    def declared(self) -> bool:
        """False: each member is declared, or not."""
        return False


#: Whose events a lane delivers.
Subscription = Subscriber | Group


def group_key(name: str) -> str:
    """Return the key of a group's subscription: ``group=NAME``, which no address can be."""
    return f"{GROUP_PREFIX}{name}"


def already_registered(address: str, key: str) -> Conflict:
    """Return the error for an address that is registered for the subscription with this key, its own or its group's."""
    if not key.startswith(GROUP_PREFIX):
        return Conflict(f"{address} is registered without a group; deregister it first.")
    name = key.removeprefix(GROUP_PREFIX)
    return Conflict(f"{address} is a member of the group {name}; add group={name}, or deregister it first.")


def is_declared(name: str) -> Conflict:
    """Return the error for a change of a subscriber that a file declares."""
    return Conflict(
        f"{name} is declared in a file of the bus (EVENTBUS_SUBSCRIBERS); only that file changes or ends it."
    )


def not_registered(key: str, then: str = "replay", elsewhere: Sequence[str] = ()) -> Conflict:
    """Return the error for the subscription with this key, which has no lease, where an operator asks for something.

    ``elsewhere`` are the keys of what is registered at the same address with another target path, or without one; some
    are named.
    """
    if key.startswith(GROUP_PREFIX):
        return Conflict(f"The group {key.removeprefix(GROUP_PREFIX)} has no members; register one, and {then} then.")
    if not elsewhere:
        return Conflict(f"This address is not registered; register it, and {then} then.")
    named = ", ".join(map(_with_which_path, elsewhere[:MAX_NAMED_PATHS]))
    more = f", and {len(elsewhere) - MAX_NAMED_PATHS} more" if len(elsewhere) > MAX_NAMED_PATHS else ""
    return Conflict(f"This address is not registered {_with_which_path(key)}, but {named}{more}; name one of these.")


def _with_which_path(key: str) -> str:
    path = split_path(key)[1]
    short = path if len(path) <= MAX_NAMED_CHARACTERS else f"{path[:MAX_NAMED_CHARACTERS]}..."
    return f"with path={short}" if path else "without a path"


class State(StrEnum):
    """How a subscriber is doing."""

    NEW = "new"  # nothing has been attempted yet
    OK = "ok"
    FAILING = "failing"  # it answers, but most attempts fail, or the oldest pending event fails again and again
    DOWN = "down"  # it gives no answer
    PAUSED = "paused"  # it asked for a pause
    EXPIRED = "expired"  # its lease ended, and it has not registered again
    WAITING = "waiting for credentials"  # its credentials have not come since this node has it


@dataclass(frozen=True, slots=True)
class Interest:
    """A span of the journal in which a subscriber was registered, and for which topics."""

    after: int  # the event before the first of the span
    until: int | None  # the last event of the span; None while it lasts
    topics: tuple[str, ...]

    def covers(self, seq: int, topic: str | None) -> bool:
        """Whether the event with this number and topic was accepted for the subscriber."""
        return self.after < seq and (self.until is None or seq <= self.until) and matches(self.topics, topic)


@dataclass(frozen=True, slots=True)
class FormerFilter:
    """A filter that a subscription had, for the events up to a sequence number; an empty text is none."""

    until: int
    text: str


@dataclass(frozen=True, slots=True)
class Account:
    """Where a subscriber's deliveries went: accepted = pending + delivered + filtered + dead + discarded."""

    accepted: int = 0
    delivered: int = 0
    dead: int = 0
    discarded: int = 0
    filtered: int = 0

    @property
    def pending(self) -> int:
        """Deliveries that are not settled."""
        return self.accepted - self.delivered - self.dead - self.discarded - self.filtered
