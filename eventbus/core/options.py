"""The table of subscription options: name, type, range, default and help text of each, once.

An option is a field of one of the tables below. To add a registration parameter, add a field there, and run
``python -m tests.support.option_docs``, which writes the tables in ``docs/``. The query parser, the journal's record,
JSON, OpenAPI, the command line, the client and the dashboard derive from the field.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import cache
from inspect import get_annotations
from typing import Any, Generic, TypeVar

from eventbus.core.option_kinds import Boolean, Duration, Enumeration, Integer, Kind, Position, Text, TopicPatterns
from eventbus.core.ordering import BY_KEY, Ordering
from eventbus.core.topics import MAX_PATTERNS, MAX_WORDS
from eventbus.core.wildcards import MAX_STARS, SHORT_WORDS

T = TypeVar("T")
#: The type of an option that is not given: ``Never`` where each option has a value, ``None`` in a table of changes.
Missing = TypeVar("Missing")
#: A group's name.
GROUP_REGEX = r"[A-Za-z0-9._-]{1,64}"
#: Where a dataclass keeps its fields. Before a class is decorated, ``dataclasses.fields`` sees one base's alone.
_FIELDS = "__dataclass_fields__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """The description of one option.

    ``summary`` is one sentence, ``details`` are more; both are Markdown. ``name`` is the option's name in Python and
    JSON, ``parameter`` in a query, and ``record`` in the journal; the latter two are the same unless they are given.
    ``flag`` is the option on the command line, the parameter's name unless it is given.
    ``example`` is a value in a query, else the default, or true. ``default_setting`` names the setting that overrides
    the default. ``shared`` says that a group has the option, and not each member.
    """

    name: str = ""
    kind: Kind
    default: Any
    summary: str
    details: str = ""
    parameter: str = ""
    record: str = ""
    flag: str = ""
    example: Any = None
    default_setting: str = ""
    shared: bool = False

    @property
    def help(self) -> str:
        """Return all sentences, as Markdown."""
        return f"{self.summary} {self.details}".strip()

    @property
    def label(self) -> str:
        """Return the name for people: ``Max in flight``."""
        return self.name.replace("_", " ").capitalize()

    @property
    def default_text(self) -> str:
        """Return the default, and the setting that overrides it, as Markdown."""
        if isinstance(self.default, bool | str) and self.default != "":
            text = f"`{str(self.default).lower()}`"
        else:
            text = f"{self.default:g}" if isinstance(self.default, int | float) else self.kind.display(self.default)
        return f"{text}, or `{self.default_setting}`" if self.default_setting else text


def option(kind: Kind, summary: str, details: str = "", *, default: Any, **more: Any) -> Any:
    """Declare a field of a table. ``more`` are the other fields of Option."""
    described = Option(kind=kind, default=default, summary=summary, details=details, **more)
    return field(default=default, metadata={"option": described})


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
    """How a subscriber is delivered to."""

    __slots__ = ()

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


def changes(table: type[T]) -> type[T]:
    """Make None the default of each option in a table: the option is not given then. Stands below ``@dataclass``."""
    own = get_annotations(table)
    for part in (part for base in reversed(table.__mro__) for part in base.__dict__.get(_FIELDS, {}).values()):
        if "option" in part.metadata:
            own[part.name] = part.type
            setattr(table, part.name, field(default=None, metadata=part.metadata))
    table.__annotations__ = own
    return table


def options_of(*tables: type) -> tuple[Option, ...]:
    """Return the options of tables, in order."""
    return _options_of(tables)


@cache
def _options_of(tables: tuple[type, ...]) -> tuple[Option, ...]:
    return tuple(_named(part) for table in tables for part in fields(table) if "option" in part.metadata)


def _named(part: Any) -> Option:
    found: Option = part.metadata["option"]
    usual = "true" if isinstance(found.default, bool) else found.default
    return replace(
        found,
        name=part.name,
        parameter=found.parameter or part.name,
        record=found.record or part.name,
        flag=found.flag or (found.parameter or part.name).replace("_", "-"),
        example=usual if found.example is None else found.example,
    )


def registration_options() -> tuple[Option, ...]:
    """Return all options that a registration may give."""
    return options_of(SubscriptionOptions, RegistrationOptions)


def to_json(options: Any) -> dict[str, Any]:
    """Write the options in a table as JSON has them, by name."""
    return {one.name: one.kind.to_json(getattr(options, one.name)) for one in options_of(type(options))}


def display(options: Any, *, of_group: bool = False) -> list[tuple[str, str]]:
    """Return the label and the value of each option in a table, for people; of a group those that it has itself."""
    chosen = (one for one in options_of(type(options)) if one.shared or one.name == "topics" or not of_group)
    return [(one.label, one.kind.display(getattr(options, one.name))) for one in chosen]


def to_record(options: Any) -> dict[str, Any]:
    """Write the options in a table as the journal has them."""
    return {one.record: one.kind.to_json(getattr(options, one.name)) for one in options_of(type(options))}


def from_record(table: type[T], record: Mapping[str, Any]) -> T:
    """Read a table from the journal. An option that the record does not have gets its default. Raises KeyError."""
    known = {one.record: one for one in options_of(table)}
    return table(**{known[name].name: known[name].kind.from_json(value) for name, value in record.items()})


def to_query(options: Any, text_of: Callable[[Any], str]) -> Iterable[tuple[str, str]]:
    """Write the options that are given as parameters of a query; ``text_of`` writes one value."""
    for one in options_of(type(options)):
        value = getattr(options, one.name)
        if value is not None:
            yield from ((one.parameter, text_of(part)) for part in one.kind.query_values(value))
