"""Filters: which of the events that match a subscription's topics are delivered. Pure.

The dialects ``exact``, ``prefix``, ``suffix``, ``all``, ``any`` and ``not`` are those of the CloudEvents Subscriptions
API 1.0-wip, 3.2.4 (https://github.com/cloudevents/spec/blob/main/subscriptions/spec.md#324-filters); ``exists`` and
``number`` are the bus's own.
"""

import json
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, NoReturn, cast

from eventbus.core.errors import BadRequest
from eventbus.core.filter_expressions import (
    EXACT,
    PREFIX,
    SUFFIX,
    Condition,
    Expression,
    Test,
    all_of,
    any_of,
    compile_expression,
    not_,
)
from eventbus.core.filter_fields import Field, field_named
from eventbus.core.json_body import MISSING

#: Bytes of a filter's text in UTF-8, and expressions within each other, at most.
MAX_FILTER_BYTES, MAX_DEPTH = 4_096, 8
#: Filters that are kept as they were parsed.
MAX_PARSED = 1_024

_COMPARISONS = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter: its text as JSON without spaces, and what it tells of an event."""

    text: str
    matches: Test = field(compare=False, repr=False)


@lru_cache(MAX_PARSED)
def parse_filter(text: str) -> Filter | None:
    """Return the filter that a text holds as JSON; None for an empty text or array, which every event matches.

    Raises BadRequest, which says where it is wrong.
    """
    if not text.strip():
        return None
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_FILTER_BYTES:
        raise BadRequest(f"filter has {size} bytes; at most {MAX_FILTER_BYTES} are allowed.")
    value = _json_in(text)
    if value == []:
        return None
    expression = all_of(_each(value, "", 1)) if isinstance(value, list) else _expression(value, "", 1)
    return Filter(filter_text(value), compile_expression(expression))


def filter_text(value: Any) -> str:
    """Write a filter as JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _json_in(text: str) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_pairs, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadRequest("filter holds half a character: an escape such as \\ud800 alone.") from None
    except json.JSONDecodeError as error:
        raise BadRequest(f"filter is not JSON: {error.msg} at character {error.pos + 1}.") from None
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise BadRequest(f"filter is not JSON: {reason}.") from None
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name in found if sum(name == other for other, _ in pairs) > 1)
        raise ValueError(f"the name {twice[:40]!r} stands twice in one object")
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


# Expressions


def _expression(value: Any, where: str, depth: int) -> Expression:
    if depth > MAX_DEPTH:
        raise _wrong(where, f"expressions may be {MAX_DEPTH} deep within each other")
    if not isinstance(value, dict):
        raise _wrong(where, f"an expression is an object, not {_named(value)}")
    if len(value) != 1:
        raise _wrong(where, f"an expression has one dialect, not {len(value)}; an array takes several expressions")
    ((dialect, given),) = value.items()
    make = _DIALECTS.get(dialect)
    if make is None:
        raise _wrong(where, f"{dialect[:40]!r} is no dialect; there are {', '.join(_DIALECTS)}")
    return make(given, f"{where}.{dialect}".lstrip("."), depth)


def _each(given: Any, where: str, depth: int) -> list[Expression]:
    if not isinstance(given, list) or not given:
        raise _wrong(where, f"it takes an array of at least one expression, not {_named(given)}")
    return [_expression(one, f"{where}[{number}]", depth) for number, one in enumerate(given)]


def _make_all(given: Any, where: str, depth: int) -> Expression:
    return all_of(_each(given, where, depth + 1))


def _make_any(given: Any, where: str, depth: int) -> Expression:
    return any_of(_each(given, where, depth + 1))


def _make_not(given: Any, where: str, depth: int) -> Expression:
    return not_(_expression(given, where, depth + 1))


# Comparisons of fields


def _of_fields(make: Callable[[Field, Any, str], Condition], given: Any, where: str, _depth: int) -> Expression:
    """Return an expression with a condition for each field of an object, which ``make`` makes."""
    if not isinstance(given, dict) or not given:
        raise _wrong(where, f"it takes an object of at least one name and value, not {_named(given)}")
    return all_of(Expression(_condition(make, name, wanted, where)) for name, wanted in given.items())


def _condition(make: Callable[[Field, Any, str], Condition], name: str, wanted: Any, where: str) -> Condition:
    where = f"{where}.{_spelled(name)}"
    try:
        field = field_named(name)
    except ValueError as error:
        raise _wrong(where, str(error)) from None
    return make(field, wanted, where)


def _spelled(name: str) -> str:
    return name[:80] if name.isprintable() else json.dumps(name[:40])


def _exact(field: Field, wanted: Any, where: str) -> Condition:
    if not field.in_data or isinstance(wanted, list | dict):
        wanted = _text(wanted, where)
    if isinstance(wanted, str):
        return Condition(field, lambda value: bool(value == wanted), EXACT, wanted)
    if wanted is None or isinstance(wanted, bool):
        return Condition(field, lambda value: value is wanted)
    number = _number(wanted, where)
    return Condition(field, lambda value: _is_number(value) and value == number, EXACT, number)


def _prefix(field: Field, wanted: Any, where: str) -> Condition:
    text = _text(wanted, where)
    return Condition(field, lambda value: isinstance(value, str) and value.startswith(text), PREFIX, text)


def _suffix(field: Field, wanted: Any, where: str) -> Condition:
    text = _text(wanted, where)
    return Condition(field, lambda value: isinstance(value, str) and value.endswith(text), SUFFIX, text)


def _exists(field: Field, wanted: Any, where: str) -> Condition:
    if not isinstance(wanted, bool):
        raise _wrong(where, f"exists takes true or false, not {_named(wanted)}")
    return Condition(field, lambda value: (value is not MISSING) is wanted)


def _in_range(field: Field, wanted: Any, where: str) -> Condition:
    if not field.in_data:
        raise _wrong(where, "number takes data.PATH alone: everything else is text")
    if not isinstance(wanted, dict) or not wanted or not wanted.keys() <= _COMPARISONS.keys():
        raise _wrong(where, f"it takes an object with some of {' '.join(_COMPARISONS)}, and a number for each")
    bounds = [(_COMPARISONS[sign], _number(bound, f"{where}.{sign}")) for sign, bound in wanted.items()]

    def fits(value: Any) -> bool:
        if not _is_number(value):
            return False
        for compare, bound in bounds:  # noqa: SIM110 - all() takes twice as long
            if not compare(value, bound):
                return False
        return True

    return Condition(field, fits)


def _text(wanted: Any, where: str) -> str:
    if not isinstance(wanted, str) or not wanted:
        raise _wrong(where, f"its value is a text of at least one character, not {_named(wanted)}")
    return wanted


def _number(wanted: Any, where: str) -> float:
    if not _is_number(wanted):
        raise _wrong(where, f"its value is a finite number, not {_named(wanted)}")
    return cast(float, wanted)


def _is_number(value: Any) -> bool:
    """Return whether a value is a number; one that is too large for a double, such as 1e999, is none."""
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _named(value: Any) -> str:
    """Describe a wrong value."""
    if isinstance(value, dict | list):
        return f"an {'empty ' * (not value)}{'object' if isinstance(value, dict) else 'array'}"
    return json.dumps(value)[:40]


def _wrong(where: str, why: str) -> BadRequest:
    return BadRequest(f"filter is wrong{f' at {where}' if where else ''}: {why}.")


_DIALECTS: Mapping[str, Callable[[Any, str, int], Expression]] = {
    EXACT: partial(_of_fields, _exact),
    PREFIX: partial(_of_fields, _prefix),
    SUFFIX: partial(_of_fields, _suffix),
    "exists": partial(_of_fields, _exists),
    "number": partial(_of_fields, _in_range),
    "all": _make_all,
    "any": _make_any,
    "not": _make_not,
}
