"""Subscription options on the command line: an option of a command for each in the table."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from eventbus.cli.positions import parse_position
from eventbus.core.delivery_rate import RateLimit
from eventbus.core.errors import BadRequest
from eventbus.core.filter_option import FilterExpression
from eventbus.core.filters import parse_filter
from eventbus.core.number_kinds import BackoffBounds, Duration, Integer, Number, ZeroOr
from eventbus.core.option_kinds import Boolean, Enumeration, Position, Texts, TopicName
from eventbus.core.option_table import Option
from eventbus.core.ordering import BY_KEY, Ordering

Function = TypeVar("Function", bound=Callable[..., Any])
_BY_KEY_PARAMETER = "ordered_by_key_option"
_BY_KEY = "Deliver events with the same order key in order, and others beside each other."
#: Names that older versions had for "no".
_FORMER_NAMES = {"ordered": (" /--unordered",)}


def subscription_options(options: Iterable[Option]) -> Callable[[Function], Function]:
    """Give a command an option for each of these; an option that is not given is None."""

    def add(function: Function) -> Function:
        for one in reversed(tuple(options)):
            if isinstance(one.kind, Ordering):
                function = click.option(_BY_KEY_PARAMETER, "--ordered-by-key", is_flag=True, help=_BY_KEY)(function)
            function = click.option(*_names(one), **_type_of(one), help=_help(one))(function)
        return function

    return add


def take_options(arguments: dict[str, Any], options: Iterable[Option]) -> dict[str, Any]:
    """Remove the values of these options, and return them by the names of the options."""
    found = {one.name: arguments.pop(_parameter(one)) for one in options}
    if arguments.pop(_BY_KEY_PARAMETER, False):
        found["ordered"] = BY_KEY
    return found


def _parameter(one: Option) -> str:
    """Name the function's parameter: by the flag, since commands have a ``timeout`` of their own."""
    return f"{one.flag.replace('-', '_')}_option"


def _filter_text(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    """Return a filter as it was typed, or as the file after an ``@`` has it; raise a usage error for a wrong one."""
    if text is None:
        return None
    try:
        given = Path(text[1:]).read_text("utf-8") if text.startswith("@") else text
        found = parse_filter(given)
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{text[1:]} cannot be read: {error}") from None
    except BadRequest as error:
        raise click.BadParameter(str(error)) from None
    return "" if found is None else found.text


def _parsed(one: Option) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Return the callback that reads an option as the bus does, and raises a usage error for a wrong value."""

    def parse(_: click.Context, __: click.Parameter, given: Any) -> Any:
        texts = [given] if isinstance(given, str) else given
        if not texts:
            return None
        try:
            return one.kind.parse(one.flag, texts)
        except BadRequest as error:
            raise click.BadParameter(str(error)) from None

    return parse


def _help(one: Option) -> str:
    """Describe an option, with the values that its type does not show."""
    summary = one.summary.replace("`", "'")
    return f"{summary}  [{one.kind.allowed}]" if isinstance(one.kind, ZeroOr | RateLimit | BackoffBounds) else summary


def _names(one: Option) -> tuple[str, ...]:
    if isinstance(one.kind, Boolean | Ordering):
        return (_parameter(one), f"--{one.flag}/--no-{one.flag}", *_FORMER_NAMES.get(one.flag, ()))
    return (_parameter(one), f"--{one.flag}")


def _type_of(one: Option) -> dict[str, Any]:
    """Return the arguments of ``click.option`` for an option's kind."""
    found: dict[str, Any]
    match one.kind:
        case Boolean() | Ordering():
            found = {"default": None}
        case Integer(low, high):
            found = {"type": click.IntRange(int(low), int(high)), "metavar": "N"}
        case Duration(low, high):
            found = {"type": click.FloatRange(low, high), "metavar": "SECONDS"}
        case Number(low, high):
            found = {"type": click.FloatRange(low, high), "metavar": "NUMBER"}
        case Enumeration(values):
            found = {"type": click.Choice(values)}
        case FilterExpression():
            found = {"callback": _filter_text, "metavar": "JSON|@FILE"}
        case Position():
            found = {"callback": parse_position, "metavar": "POSITION"}
        case Texts():
            found = {"multiple": True, "callback": _parsed(one), "metavar": one.flag.upper()}
        case _:
            found = {"callback": _parsed(one), "metavar": _metavar(one)}
    return found


def _metavar(one: Option) -> str:
    """Return what stands for the value in the help."""
    match one.kind:
        case ZeroOr(Integer()):
            return "N"
        case ZeroOr():
            return "SECONDS"
        case RateLimit():
            return "N/S"
        case BackoffBounds():
            return "FIRST,LONGEST"
        case TopicName():
            return "TOPIC"
        case _:
            return one.flag.upper()
