"""The table of subscription options: name, type, range, default and help text of each, once.

An option is a field of one of the tables below. To add a registration parameter, add a field there, and run
``python -m tests.support.option_docs``, which writes the tables in ``docs/``. The query parser, the journal's record,
JSON, OpenAPI, the command line, the client and the dashboard derive from the field.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from eventbus.core.delivery_rate import RateLimit
from eventbus.core.filter_option import FilterExpression
from eventbus.core.number_kinds import BackoffBounds, Duration, Integer, ZeroOr
from eventbus.core.option_kinds import Boolean, Enumeration, Position, Text, TopicName, TopicPatterns
from eventbus.core.option_table import Option, option, options_of
from eventbus.core.ordering import BY_KEY, Ordering
from eventbus.core.target_path import TargetPath
from eventbus.core.topics import MAX_PATTERNS, MAX_WORDS
from eventbus.core.wildcards import MAX_STARS, SHORT_WORDS

#: The type of an option that is not given: ``Never`` where each option has a value, ``None`` in a table of changes.
Missing = TypeVar("Missing")
#: A group's name.
GROUP_REGEX = r"[A-Za-z0-9._-]{1,64}"


@dataclass(frozen=True, kw_only=True)
class TopicOptions(Generic[Missing]):
    """Which events a subscriber gets. The client has a parameter of its own for it."""

    __slots__ = ()

    topics: tuple[str, ...] | Missing = option(
        TopicPatterns(),
        "Only events whose topic matches; everything without a topic.",
        f"A pattern is up to {MAX_WORDS} words between dots, `*` for one word, a last `>` for the rest; one of more "
        f"than {SHORT_WORDS} words has at most {MAX_STARS} `*`. May repeat, with up to {MAX_PATTERNS} different ones. "
        "An empty one alone, or `>`, is everything. A change holds for events from then on.",
        default=(),
        parameter="topic",
        example=["orders.*"],
    )


@dataclass(frozen=True, kw_only=True)
class DeliveryOptions(Generic[Missing]):
    """What of that is delivered, and how."""

    __slots__ = ()

    filter: str | Missing = option(
        FilterExpression(),
        "Of the events with these topics, only those that match: a CloudEvents filter as JSON.",
        "`exact`, `prefix`, `suffix`, `exists`, `number`, `all`, `any` and `not`, over topic, key, attributes, headers "
        "and data. What does not match is `filtered`. An empty one is none. A change "
        "holds for what was not attempted yet.",
        default="",
        example='{"exact":{"data.region":"eu"}}',
        shared=True,
    )
    lease: float | Missing = option(
        Duration(5, 86_400),
        "Seconds without a renewal after which the lease expires.",
        default=120,
        record="lease_seconds",
        default_setting="EVENTBUS_LEASE_SECONDS",
    )
    max_in_flight: int | Missing = option(Integer(1, 1_000), "Deliveries in flight at once.", default=32)
    timeout: float | Missing = option(
        Duration(0.1, 120), "Seconds for one attempt in all.", default=10, flag="attempt-timeout"
    )
    batch: int | Missing = option(
        Integer(1, 1_000),
        "Events in one request, at most; with more than 1 they come as a batch.",
        "Whatever waits is sent at once, up to this number and 1 MiB.",
        default=1,
        example=100,
    )
    batch_wait: float | Missing = option(
        Duration(0, 5), "Seconds that a batch which is not full waits for more events.", default=0
    )
    rate: str | Missing = option(
        RateLimit(),
        "`N/S`: at most N deliveries in S seconds, evenly spaced.",
        "Each event and each attempt counts, and a batch has N events at most. The lower of this and a consent's "
        "`WebHook-Allowed-Rate` holds. 0 is any number.",
        default="",
        example="100/60",
    )
    ordered: bool | str | Missing = option(
        Ordering(),
        "Deliver events in order: all of them, one at a time, or those with the same key.",
        "With `key` events with the same order key are delivered one after another, and others beside each other.",
        default=False,
        shared=True,
    )
    resume: bool | Missing = option(
        Boolean(),
        "Keep the position when the lease expires.",
        "It is kept for as long as events are: the retention.",
        default=False,
        shared=True,
    )
    retry_for: float | Missing = option(
        ZeroOr(Duration(1, 604_800)),
        "Seconds for which a delivery is attempted before it is a dead letter.",
        "0 is as long as the bus's own setting says.",
        default=0,
        example=3_600,
        shared=True,
    )
    max_attempts: int | Missing = option(
        ZeroOr(Integer(1, 1_000)),
        "Attempts at a delivery before it is a dead letter; 1 is at most once.",
        "0 is any number within `retry_for`.",
        default=0,
        example=10,
        shared=True,
    )
    dead_to: str | Missing = option(
        TopicName(),
        "Publish each dead letter's event again, under this topic.",
        "It has the same body and kept headers, and `Eventbus-Dead-` headers say where it comes from. Empty is off.",
        default="",
        example="orders.dead",
        shared=True,
    )
    backoff: tuple[float, float] | Missing = option(
        BackoffBounds(),
        "The longest delay before the first retry, and before any: it doubles from one to the other.",
        "Each delay is a random part of that (full jitter).",
        default=(0.5, 60.0),
        example="0.5,60",
        shared=True,
        of_member=True,
    )
    group_mode: str | Missing = option(
        Enumeration(("balanced", "one")),
        "Which members of a group get events: all in turn, or one at a time.",
        "`balanced` takes the member with the fewest deliveries in flight. `one` takes the member that registered "
        "first, and another one only while that is down, paused or draining. It holds for the whole group.",
        default="balanced",
        shared=True,
    )


@dataclass(frozen=True, kw_only=True)
class SubscriptionOptions(DeliveryOptions[Missing], TopicOptions[Missing]):
    """The options that a subscription keeps from one renewal to the next."""

    __slots__ = ()

    @property
    def one_at_a_time(self) -> bool:
        """Whether all events are delivered one after another."""
        return self.ordered is True

    @property
    def by_key(self) -> bool:
        """Whether events with the same order key are delivered one after another."""
        return self.ordered == BY_KEY


@dataclass(frozen=True, kw_only=True)
class RegistrationOptions(Generic[Missing]):
    """What a registration says beside the subscription's options; each registration and renewal gives it again."""

    __slots__ = ()

    group: str | Missing = option(
        Text(GROUP_REGEX, "1 to 64 letters, digits, `.`, `-` or `_`", max_length=64),
        "Join this group: each event goes to one of its members.",
        "Each renewal names the group again.",
        default="",
        example="mailer",
    )
    path: str | Missing = option(
        TargetPath(),
        "POST deliveries to exactly this path and query, instead of `/event`.",
        "An address with it is a subscription of its own, which each renewal and every other request names by both.",
        default="",
        example="/hooks/orders?source=bus",
    )
    drain: bool | Missing = option(
        Boolean(),
        "Start no more deliveries to this address, until a renewal without it.",
        "`in_flight` in the JSON answer is 0 when the process may stop.",
        default=False,
    )

    start: str | datetime | Missing = option(
        Position(),
        "Begin a first registration with a replay from this position.",
        "It is `now`, `earliest`, an event's id or an RFC 3339 time. A renewal ignores it.",
        default="now",
        parameter="from",
        example="earliest",
    )


def registration_options() -> tuple[Option, ...]:
    """Return all options that a registration may give."""
    return options_of(SubscriptionOptions, RegistrationOptions)
