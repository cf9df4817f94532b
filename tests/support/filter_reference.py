"""A naive implementation of filters, to compare the bus's with; and random filters and events."""

import json
import math
import random
from typing import Any

from eventbus.core.model import Event

_TEXTS = ("a", "ab", "abc", "b", "€", "5", "")
_NUMBERS = (0, 1, 5, 5.0, -1.5, 10**20)
_NAMES = ("a", "b", "c.d", "0")
_ABSENT = object()


def says(expression: Any, event: Event) -> bool:
    """Tell whether an event matches, word by word as the documentation says it."""
    if isinstance(expression, list):
        return all(says(one, event) for one in expression)
    ((dialect, given),) = expression.items()
    if dialect == "not":
        return not says(given, event)
    if dialect in ("all", "any"):
        results = [says(one, event) for one in given]
        return all(results) if dialect == "all" else any(results)
    return all(_compared(dialect, _read(name, event), wanted) for name, wanted in given.items())


def _compared(dialect: str, value: Any, wanted: Any) -> bool:
    if dialect == "exists":
        return (value is not _ABSENT) == wanted
    if dialect == "exact":
        both_numbers = _number(value) and _number(wanted)
        return value == wanted if both_numbers else type(value) is type(wanted) and value == wanted
    if dialect == "number":
        signs = {"=": "==", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
        return _number(value) and all(eval(f"{value!r}{signs[sign]}{bound!r}") for sign, bound in wanted.items())  # noqa: S307
    if not isinstance(value, str):
        return False
    return value[: len(wanted)] == wanted if dialect == "prefix" else value[-len(wanted) :] == wanted


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _read(name: str, event: Event) -> Any:
    headers = dict(line.split(": ", 1) for line in event.head.decode().splitlines())
    if not name.startswith("data."):
        texts = {"type": event.topic or "eventbus/event", "id": event.id, "source": "eventbus"}
        texts |= {header.removeprefix("ce-"): value for header, value in headers.items()}
        texts |= {f"header.{header}": value for header, value in headers.items()}
        return (texts | {"topic": event.topic, "key": event.key or None}).get(name) or _ABSENT
    try:
        value = json.loads(event.body)
    except ValueError:
        return _ABSENT
    for part in name[5:].replace("\\.", "\0").split("."):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part.replace("\0", ".")]
        except (KeyError, IndexError, TypeError, ValueError):
            return _ABSENT
    return value


def random_value(rng: random.Random, depth: int = 0) -> Any:
    """Return a random value of JSON."""
    kind = rng.randrange(6 if depth < 3 else 4)
    if kind == 0:
        return rng.choice(_TEXTS)
    if kind == 1:
        return rng.choice(_NUMBERS)
    if kind == 2:
        return rng.choice((True, False, None))
    if kind == 3:
        return rng.choice(_TEXTS)
    if kind == 4:
        return {name: random_value(rng, depth + 1) for name in _NAMES if rng.random() < 0.6}
    return [random_value(rng, depth + 1) for _ in range(rng.randrange(3))]


def random_event(rng: random.Random, seq: int = 1) -> Event:
    """Return a random event."""
    head = "".join(
        f"{name}: {rng.choice(('a', 'ab', 'abc', 'b'))}\r\n"
        for name in ("ce-type", "ce-subject", "ce-ext", "traceparent")
        if rng.random() < 0.5
    )
    body = json.dumps({name: random_value(rng) for name in _NAMES}).encode() if rng.random() < 0.9 else b"no JSON"
    topic, key = rng.choice((None, "a", "a.b", "abc")), rng.choice(("", "a", "b"))
    return Event(seq, rng.choice(("a", "b")), topic, head.encode(), body, 0.0, key)


def random_filter(rng: random.Random, depth: int = 1) -> Any:
    """Return a random expression."""
    dialect = rng.choice(("exact", "prefix", "suffix", "exists", "number", "all", "any", "not"))
    if depth >= 5 or dialect in ("exact", "prefix", "suffix", "exists", "number"):
        dialect = dialect if dialect in ("exact", "prefix", "suffix", "exists", "number") else "exists"
        return {dialect: dict(_condition(rng, dialect) for _ in range(rng.randint(1, 2)))}
    if dialect == "not":
        return {"not": random_filter(rng, depth + 1)}
    return {dialect: [random_filter(rng, depth + 1) for _ in range(rng.randint(1, 3))]}


def random_wide_filter(rng: random.Random) -> Any:
    """Return a random expression of many parts that ask for few fields, as lists of customers or of types are."""
    parts = [_random_part(rng) for _ in range(rng.randint(2, 20))]
    return {"not": {"any": parts}} if rng.random() < 0.3 else {rng.choice(("any", "any", "all")): parts}


def _random_part(rng: random.Random) -> Any:
    conditions: list[Any] = []
    for _ in range(rng.randint(1, 3)):
        dialect = rng.choice(("exact", "exact", "prefix", "suffix", "number", "exists"))
        condition = {dialect: dict([_condition(rng, dialect)])}
        conditions.append({"not": condition} if rng.random() < 0.2 else condition)
    return conditions[0] if len(conditions) == 1 else {rng.choice(("all", "all", "any")): conditions}


def _condition(rng: random.Random, dialect: str) -> tuple[str, Any]:
    parts = [rng.choice(("a", "b", "c\\.d", "0", "1")) for _ in range(rng.choice((1, 1, 2, 3)))]
    path = f"data.{'.'.join(parts)}"
    name = (
        path
        if dialect == "number"
        else rng.choice((path, path, "topic", "key", "type", "subject", "ext", "id", "header.ce-ext"))
    )
    if dialect == "exists":
        return name, rng.random() < 0.5
    if dialect == "number":
        return name, {sign: rng.choice(_NUMBERS) for sign in rng.sample(("=", "<", "<=", ">", ">="), rng.randint(1, 2))}
    if dialect == "exact" and name.startswith("data."):
        return name, rng.choice((*_TEXTS, *_NUMBERS, True, False, None))
    return name, rng.choice(_TEXTS[:6])
