"""The values that the client returns of subscribers and groups, and the terms of a registration."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Never, Self

from eventbus.client.parsing import parse_as
from eventbus.core.option_table import changes, options_of
from eventbus.core.options import DeliveryOptions, RegistrationOptions, SubscriptionOptions


@dataclass(frozen=True, slots=True, kw_only=True)
@changes
class Terms(RegistrationOptions[None], DeliveryOptions[None]):
    """The options of a registration: ``eventbus.core.options`` describes each.

    None leaves an option as it was, or as the bus has it. ``start`` is where a first registration begins:
    ``"earliest"``, an event's id, or a time. Raises ValueError for what no query can say.
    """

    def __post_init__(self) -> None:
        for one in options_of(Terms):
            value = getattr(self, one.name)
            try:
                if value is not None:
                    one.kind.query_values(value)
            except (TypeError, ValueError):
                raise ValueError(f"{one.name} must be {one.kind.allowed}, not {value!r}.") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldKey:
    """The order key whose failed event is the oldest; ``event`` is that event's id, None if it is not known."""

    key: str
    event: str | None
    error: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Why nothing is attempted: ``by`` is ``"operator"``, with the client's address, or ``"subscriber"``.

    ``until`` is None where the pause lasts until it is resumed.
    """

    by: str
    client: str | None
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, kw_only=True)
class _Status:
    """A lease, how who has it is doing, and the account."""

    __slots__ = ()

    registered_at: datetime
    renewed_at: datetime
    renew_after: float | None  # seconds; None of a declared one
    state: str
    pending: int
    backlog: int
    in_flight: int
    oldest_pending_seconds: float | None
    accepted: int
    delivered: int
    failed_attempts: int
    dead: int
    discarded: int
    filtered: int = 0  # an older bus does not say
    last_error: str | None
    last_error_at: datetime | None = None
    held_keys: int = 0  # order keys of which an event has failed, if it is ordered by key
    oldest_held_key: HeldKey | None = None
    error_rate: float | None = None  # of the last minute's attempts; None without any
    recent_successes: int = 0  # of the last ten minutes
    recent_failures: int = 0
    expired_at: datetime | None = None  # when the lease ended, where it is expired
    draining: bool = False  # no more deliveries are started to it
    pause: Pause | None = None  # while its state is paused
    credentials: tuple[str, ...] = ()  # which it has: "authorization" and "secret"
    owner: str | None = None  # the name of the token that made the subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber(SubscriptionOptions[Never], _Status):
    """A subscriber, its options and its state, as the protocol describes them; ``created``: it is new to the bus.

    With a ``group`` it is a member of that, which has the account.
    """

    address: str
    path: str | None = None  # where its deliveries are POSTed to; None for /event
    group: str | None = None
    declared: bool = False  # a file of the bus declares it, and no registration changes it
    expires_at: datetime | None = None  # None for one that is declared
    created: bool = False
    changed_at: datetime | None = None  # when another client changed or deregistered it; only from a renewal
    changed_by: str | None = None  # that client's address
    origin: str | None = None  # the name by which the bus asks for consent; only from a registration
    warnings: tuple[str, ...] = ()  # what may not be meant as it was given; only from a registration

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Self:
        """Parse a subscriber as the bus writes it. Raises ProtocolError."""
        return parse_as(cls, payload, oldest_held_key=HeldKey, pause=Pause)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEvent:
    """An event of the journal, in short."""

    id: str
    topic: str | None
    accepted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun(SubscriptionOptions[Never]):
    """What a registration would be: its options, and whether it would be ``created``.

    Of the last day's ``events`` so many are ``matches`` of its topics and filter, of which it has the ``newest``. Where
    it is not ``complete``, there are older events that were not looked at.
    """

    address: str
    path: str | None = None
    group: str | None = None
    created: bool
    events: int
    matches: int
    complete: bool
    newest: tuple[PastEvent, ...] = ()

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Self:
        """Parse a dry run as the bus writes it. Raises ProtocolError."""
        newest = [parse_as(PastEvent, one) for one in payload.get("newest", ())]
        return parse_as(cls, {**payload, "newest": newest})


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of a group, in short."""

    address: str
    path: str | None = None
    state: str
    in_flight: int
    draining: bool
    declared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(SubscriptionOptions[Never], _Status):
    """A group by its name, with its account and its members. Its lease ends with the last member's."""

    group: str
    members: tuple[Member, ...] = ()
    expires_at: datetime | None = None  # when the lease ended, where it is expired

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Self:
        """Parse a group as the bus writes it. Raises ProtocolError."""
        members = [parse_as(Member, one) for one in payload.get("members", ())]
        return parse_as(cls, {**payload, "members": members}, oldest_held_key=HeldKey, pause=Pause)


class SubscriberList(list[Subscriber]):
    """Subscribers, members of groups among them, and the ``groups``."""

    def __init__(self, found: Iterable[Subscriber] = (), groups: Iterable[Group] = ()) -> None:
        super().__init__(found)
        self.groups = tuple(groups)

    @classmethod
    def of(cls, payload: Mapping[str, Any], *, expired: bool) -> Self:
        """Parse a list as the bus writes it; one of an older version has no groups. Raises ProtocolError."""
        found = (Subscriber.of(one) for one in payload["subscribers"])
        there = (one for one in found if (one.state == "expired") == expired)  # an older bus has no such list
        return cls(there, map(Group.of, payload.get("groups", ())))
