"""How a table of options is declared, and what derives from it: queries, JSON and the journal's record."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from inspect import get_annotations
from typing import Any, TypeVar

from eventbus.core.option_kinds import Kind

T = TypeVar("T")
#: Where a dataclass keeps its fields. Before a class is decorated, ``dataclasses.fields`` sees one base's alone.
_FIELDS = "__dataclass_fields__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """The description of one option.

    ``summary`` is one sentence, ``details`` are more; both are Markdown. ``name`` is the option's name in Python and
    JSON, ``parameter`` in a query, and ``record`` in the journal; the latter two are the same unless they are given.
    ``flag`` is the option on the command line, the parameter's name unless it is given.
    ``example`` is a value in a query, else the default, or true. ``default_setting`` names the setting that overrides
    the default. ``shared`` says that a group has the option; each member has those that are not shared,
    or ``of_member`` too.
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
    of_member: bool = False

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


def to_json(options: Any) -> dict[str, Any]:
    """Write the options in a table as JSON has them, by name."""
    return {one.name: one.kind.to_json(getattr(options, one.name)) for one in options_of(type(options))}


def display(options: Any, chosen: Callable[[Option], bool]) -> list[tuple[str, str]]:
    """Return the label and the value of each option in a table that is ``chosen``, for people."""
    found = filter(chosen, options_of(type(options)))
    return [(one.label, one.kind.display(getattr(options, one.name))) for one in found]


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
