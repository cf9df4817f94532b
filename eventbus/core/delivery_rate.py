"""Rates: how many deliveries a subscriber takes within so many seconds, as an option has it. Pure."""

import re
from typing import Any, NamedTuple

from eventbus.core.number_kinds import BOUND_REGEX, Duration, Integer
from eventbus.core.option_kinds import JsonSchema, Kind
from eventbus.core.override import override

#: Deliveries of a rate, and its seconds.
_DELIVERIES, _SECONDS = Integer(1, 100_000), Duration(0.1, 3_600)
_REGEX = rf"(?:[1-9][0-9]{{0,4}}|100000)/(?:{BOUND_REGEX})"
#: How a query says that there is no rate.
_NONE = "0"


class Rate(NamedTuple):
    """At most so many ``deliveries`` within so many ``seconds``."""

    deliveries: int
    seconds: float


def parse_rate(text: str) -> Rate | None:
    """Return the rate that a text stands for, as an option has it; None for the empty one, without a limit."""
    deliveries, _, seconds = text.partition("/")
    return Rate(int(deliveries), float(seconds)) if text else None


class RateLimit(Kind):
    """A rate, ``100/60``; the value is that text, empty without one."""

    @override
    def value_of(self, text: str) -> Any:
        if text == _NONE:
            return ""
        if not re.fullmatch(_REGEX, text):
            return None
        deliveries, _, seconds = text.partition("/")
        return f"{deliveries}/{float(seconds):g}"

    @property
    @override
    def allowed(self) -> str:
        return f"{_DELIVERIES.allowed}, a slash, and {_SECONDS.allowed}, or 0"

    @property
    @override
    def json_schema(self) -> JsonSchema:
        return {"type": "string", "pattern": f"^(?:{_REGEX})?$"}

    @property
    @override
    def query_schema(self) -> JsonSchema:
        return {"type": "string", "pattern": f"^(?:{_NONE}|{_REGEX})$"}

    @override
    def query_values(self, value: Any) -> list[Any]:
        return [value or _NONE]

    @override
    def display(self, value: Any) -> str:
        rate = parse_rate(value)
        return "none" if rate is None else f"{rate.deliveries:,} in {rate.seconds:g} s"
