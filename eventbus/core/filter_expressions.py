"""What a filter's expressions are compiled into: what they ask of one field is looked up, not asked in turn. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeGuard

from eventbus.core.event_view import EventView
from eventbus.core.filter_fields import Field

#: Tells whether an event matches.
Test = Callable[[EventView], bool]
#: Tells whether a field's value is what a condition asks for.
Fits = Callable[[Any], bool]
#: The dialects whose conditions on one field are looked up together.
EXACT, PREFIX, SUFFIX = "exact", "prefix", "suffix"


class Condition(NamedTuple):
    """What an expression asks of one field."""

    field: Field
    fits: Fits
    dialect: str = ""  #: EXACT with a text or a number, PREFIX or SUFFIX with a text; empty if ``fits`` alone tells
    wanted: Any = None


class AnyOf(NamedTuple):
    """At least two expressions of which one has to match."""

    parts: "tuple[Expression, ...]"


class Expression(NamedTuple):
    """A condition, or several expressions, and whether that has to hold or must not."""

    node: Condition | AnyOf
    holds: bool = True


def any_of(parts: Iterable[Expression]) -> Expression:
    """Return the expression that matches if one of the ``parts``, at least one, does."""
    flat: list[Expression] = []
    for part in parts:
        flat += part.node.parts if isinstance(part.node, AnyOf) and part.holds else [part]
    return flat[0] if len(flat) == 1 else Expression(AnyOf(tuple(flat)))


def all_of(parts: Iterable[Expression]) -> Expression:
    """Return the expression that matches if all of the ``parts``, at least one, do."""
    return not_(any_of(not_(part) for part in parts))


def not_(part: Expression) -> Expression:
    """Return the expression that matches where a part does not."""
    return Expression(part.node, not part.holds)


def compile_expression(expression: Expression) -> Test:
    """Return what tells whether an event matches an expression."""
    node, holds = expression
    if isinstance(node, Condition):
        return _of_field(node.field, node.fits, holds=holds)
    tests = [test for _, test in sorted(_alternatives(node.parts), key=lambda found: found[0])]
    if len(tests) == 1 and holds:
        return tests[0]

    def matches(view: EventView) -> bool:
        for test in tests:
            if test(view):
                return holds
        return not holds

    return matches


def _alternatives(parts: Sequence[Expression]) -> Iterator[tuple[bool, Test]]:
    """Yield what tells whether one of the parts matches, and whether it reads the data, which may have to be parsed."""
    same_field: dict[str, list[Condition]] = {}
    rest = []
    for part in parts:
        if isinstance(part.node, Condition) and part.holds:
            same_field.setdefault(part.node.field.name, []).append(part.node)
        else:
            rest.append(part)
    for conditions in same_field.values():
        asked = conditions[0].field
        yield asked.in_data, _of_field(asked, _one_fits(conditions), holds=True)
    while (field := _distinguishing(rest)) is not None:
        cases: dict[Any, list[Expression]] = {}
        remaining = []
        for part in rest:
            condition = _asked_of(part, field)
            if condition is None:
                remaining.append(part)
            else:
                cases.setdefault(condition.wanted, []).append(_without(part, condition))
        tests = {value: compile_expression(any_of(found)) for value, found in cases.items()}
        yield any(map(_reads_data, rest)), _looked_up(field, tests)
        rest = remaining
    for part in rest:
        yield _reads_data(part), compile_expression(part)


def _reads_data(part: Expression) -> bool:
    if isinstance(part.node, Condition):
        return part.node.field.in_data
    return any(map(_reads_data, part.node.parts))


# Conditions on one field


def _of_field(field: Field, fits: Fits, *, holds: bool) -> Test:
    """Return what tells whether the value of a field fits, or, if that must not hold, does not."""
    read = field.read
    return lambda view: fits(read(view)) is holds


def _one_fits(conditions: Sequence[Condition]) -> Fits:
    """Return what tells whether a value is what one of some conditions asks for."""
    if len(conditions) == 1:
        return conditions[0].fits
    found = [condition.fits for condition in conditions if not condition.dialect]
    if len(found) < len(conditions):
        found.insert(0, _one_of(conditions))
    if len(found) == 1:
        return found[0]

    def fits(value: Any) -> bool:
        for one in found:  # noqa: SIM110 - any() takes half as long again
            if one(value):
                return True
        return False

    return fits


def _one_of(conditions: Sequence[Condition]) -> Fits:
    """Return the same for conditions that have a dialect."""
    exact = frozenset(condition.wanted for condition in conditions if condition.dialect == EXACT)
    prefixes, suffixes = (
        tuple({condition.wanted for condition in conditions if condition.dialect == dialect})
        for dialect in (PREFIX, SUFFIX)
    )

    def fits(value: Any) -> bool:
        if isinstance(value, str):
            return value in exact or value.startswith(prefixes) or value.endswith(suffixes)
        return _is_text_or_number(value) and value in exact

    return fits


def _is_text_or_number(value: Any) -> TypeGuard[str | float]:
    """Return whether a value can be looked up: objects and arrays cannot, and ``true`` would be found as 1."""
    return isinstance(value, str) or type(value) in (int, float)


# Expressions that ask for a value of one field, and for something else


def _distinguishing(parts: Sequence[Expression]) -> Field | None:
    """Return the field of which most of the parts ask for one value; None where fewer than two ask for one's."""
    fields = {condition.field.name: condition.field for part in parts for condition in _exact_in(part)}
    asked = Counter(name for part in parts for name in {condition.field.name for condition in _exact_in(part)})
    name, count = max(asked.items(), key=lambda item: item[1], default=("", 0))
    return fields[name] if count > 1 else None


def _exact_in(part: Expression) -> Iterator[Condition]:
    """Yield the conditions of one value that have to hold, and others with them, for a part to match."""
    if isinstance(part.node, AnyOf) and not part.holds:
        for node, holds in part.node.parts:
            if isinstance(node, Condition) and node.dialect == EXACT and not holds:
                yield node


def _asked_of(part: Expression, field: Field) -> Condition | None:
    """Return the first condition of one value of a field that has to hold for a part to match; None without any."""
    return next((condition for condition in _exact_in(part) if condition.field.name == field.name), None)


def _without(part: Expression, condition: Condition) -> Expression:
    """Return what has to hold beside a condition for a part to match."""
    assert isinstance(part.node, AnyOf)  # noqa: S101 - such a part has the condition
    return not_(any_of(one for one in part.node.parts if one.node is not condition))


def _looked_up(field: Field, tests: dict[Any, Test]) -> Test:
    """Return what tells whether an event passes the test for the value that its field has."""
    read = field.read

    def matches(view: EventView) -> bool:
        value = read(view)
        test = tests.get(value) if _is_text_or_number(value) else None
        return test is not None and test(view)

    return matches
