"""What one client may do: the scopes, and the patterns that narrow them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eventbus.core.address_patterns import AddressPattern, parse_pattern
from eventbus.core.addresses import Address
from eventbus.core.errors import Forbidden
from eventbus.core.model import Options
from eventbus.core.tokens import Scope, expanded
from eventbus.core.topics import check_patterns, covers, matches


@dataclass(frozen=True, slots=True)
class Access:
    """The scopes of a client, and the ``name`` of its token; empty for a token of the settings, and for none.

    No patterns narrow nothing.
    """

    scopes: frozenset[Scope]
    name: str = ""
    publish: tuple[str, ...] = ()  # patterns of the topics that it may publish
    subscribe: tuple[str, ...] = ()  # patterns of the topics that it may subscribe to
    addresses: tuple[AddressPattern, ...] = ()  # of the subscribers that it may register

    @property
    def is_admin(self) -> bool:
        """Whether it may do everything."""
        return Scope.ADMIN in self.scopes

    def check_publish(self, topic: str | None) -> None:
        """Return if it may publish under a topic. Raises Forbidden."""
        if self.publish and not matches(self.publish, topic):
            what = "without a topic" if topic is None else f"under {topic!r}"
            raise Forbidden(f"This token may publish {' '.join(self.publish)}, but not {what}.", scope=Scope.PUBLISH)

    def check_subscribe(self, patterns: tuple[str, ...]) -> None:
        """Return if it may subscribe to all that these patterns match, or read it. Raises Forbidden."""
        if not covers(self.subscribe, patterns):
            asked = " ".join(patterns) or "everything"
            raise Forbidden(
                f"This token may subscribe to {' '.join(self.subscribe)}, but not to {asked}; name topics that it may.",
                scope=Scope.SUBSCRIBE,
            )

    def check_read(self, patterns: tuple[str, ...]) -> None:
        """Return if it may read all events that these patterns match; ``view`` may read any. Raises Forbidden."""
        if Scope.VIEW not in self.scopes:
            self.check_subscribe(patterns)

    def may_read(self, topic: str | None) -> bool:
        """Return whether it may read an event with this topic."""
        return Scope.VIEW in self.scopes or matches(self.subscribe, topic)

    def check_address(self, address: Address) -> None:
        """Return if it may register and deregister an address. Raises Forbidden."""
        if self.addresses and not any(pattern.matches(address) for pattern in self.addresses):
            allowed = " ".join(pattern.text for pattern in self.addresses)
            raise Forbidden(
                f"This token may register addresses of {allowed}, but not {address.name}.", scope=Scope.SUBSCRIBE
            )

    def check_options(self, options: Options) -> None:
        """Return if it may give a subscription these options: the topics, and the one that dead letters go to.

        Raises Forbidden.
        """
        self.check_subscribe(options.topics)
        if options.dead_to and self.name:
            if Scope.PUBLISH not in self.scopes:
                raise Forbidden("With dead_to the bus publishes; this token may not publish.", scope=Scope.PUBLISH)
            self.check_publish(options.dead_to)

    def check_owner(self, owner: str, what: str) -> None:
        """Return if it may change what belongs to ``owner``: its own, what is nobody's, or as an administrator.

        Raises Forbidden.
        """
        if owner and owner != self.name and not self.is_admin:
            raise Forbidden(
                f"{what} belongs to the token name {owner!r}; only tokens of that name, and administrators, change it.",
                scope=Scope.ADMIN,
            )

    def covers(self, other: "Access") -> bool:
        """Return whether whoever has this one may speak for a client that has the other one.

        An administrator may speak for all; a token of the settings for those without a name and patterns.
        """
        if self.is_admin:
            return True
        return other == Access(other.scopes) and other.scopes <= self.scopes


@dataclass(frozen=True, slots=True)
class OneOf:
    """Speaks for clients that have exactly one of these accesses."""

    accesses: frozenset[Access]
    scopes: frozenset[Scope] = frozenset()

    def covers(self, other: Access) -> bool:
        """Return whether it may speak for a client that has the other access."""
        return other in self.accesses


#: Without any tokens: everything is open.
OPEN = Access(frozenset(Scope))
#: Of a client that has no valid token.
NOBODY = Access(frozenset())


def access_fields(access: Access) -> dict[str, Any]:
    """Return an access as JSON.

    The scopes of an administrator are those that nodes of older versions know, too.
    """
    scopes = access.scopes - {Scope.VIEW} if access.is_admin else access.scopes
    fields: dict[str, Any] = {"scopes": sorted(scopes)}
    if access.name:
        fields["client"] = access.name
    for name in ("publish", "subscribe"):
        if patterns := getattr(access, name):
            fields[name] = list(patterns)
    if access.addresses:
        fields["addresses"] = [pattern.text for pattern in access.addresses]
    return fields


def access_of_fields(fields: Mapping[str, Any]) -> Access:
    """Read what ``access_fields`` has written. Raises ValueError, TypeError, LookupError and BadRequest."""
    return Access(
        expanded(Scope(scope) for scope in fields["scopes"]),
        str(fields.get("client", "")),
        check_patterns(fields.get("publish", ())),
        check_patterns(fields.get("subscribe", ())),
        tuple(map(parse_pattern, fields.get("addresses", ()))),
    )
