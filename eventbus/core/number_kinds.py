"""What the value of an option may be that is a number."""

import re
from dataclasses import dataclass
from typing import Any

from eventbus.core.option_kinds import JsonSchema, Kind
from eventbus.core.override import override

#: A number from 0.1 to 3600.
BOUND_REGEX = (
    r"0\.[1-9][0-9]{0,28}|(?:[1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2})(?:\.[0-9]{1,29})?|3600(?:\.0{1,29})?"
)
#: A number, which JSON writes with an exponent where it is small.
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,30})?([eE]-[0-9]{1,3})?\Z")


@dataclass(frozen=True)
class Number(Kind):
    """A decimal number from ``low`` to ``high``."""

    low: float
    high: float
    noun, json_type, unit = "number", "number", ""

    @override
    def value_of(self, text: str) -> Any:
        return float(text) if _DECIMAL.match(text) and self.low <= float(text) <= self.high else None

    @property
    @override
    def allowed(self) -> str:
        return f"a {self.noun} from {self.low:g} to {self.high:g}"

    @property
    @override
    def json_schema(self) -> JsonSchema:
        return {"type": self.json_type, "minimum": self.low, "maximum": self.high}

    @override
    def display(self, value: Any) -> str:
        return f"{value:,.12g} {self.unit}".rstrip()


class Duration(Number):
    """A time span in seconds from ``low`` to ``high``."""

    unit = "s"


class Integer(Number):
    """An integer from ``low`` to ``high``; ``2.0`` in a query is one."""

    noun, json_type = "whole number", "integer"

    @override
    def value_of(self, text: str) -> Any:
        value = super().value_of(text)
        return None if value is None or value != int(value) else int(value)


@dataclass(frozen=True)
class ZeroOr(Kind):
    """A number of a kind, or 0, which stands for none of the subscriber's own."""

    kind: Number

    @override
    def value_of(self, text: str) -> Any:
        return self.kind.value_of(text) if text.strip("0.") else 0 if _DECIMAL.match(text) else None

    @property
    @override
    def allowed(self) -> str:
        return f"{self.kind.allowed}, or 0"

    @property
    @override
    def json_schema(self) -> JsonSchema:
        return {"type": self.kind.json_type, "oneOf": [{"const": 0}, self.kind.json_schema]}

    @override
    def display(self, value: Any) -> str:
        return self.kind.display(value) if value else "as the bus says"


class BackoffBounds(Kind):
    """Two numbers of seconds, the longest delay before the first retry and before any: ``0.5,60``."""

    bounds = Duration(0.1, 3_600)

    @override
    def value_of(self, text: str) -> Any:
        found = tuple(self.bounds.value_of(part) for part in text.split(","))
        return found if len(found) == 2 and None not in found and found[0] <= found[1] else None

    @property
    @override
    def allowed(self) -> str:
        numbers = f"two numbers from {self.bounds.low:g} to {self.bounds.high:g}"
        return f"{numbers} with a comma between them, the second not below the first"

    @property
    @override
    def json_schema(self) -> JsonSchema:
        return {"type": "array", "items": self.bounds.json_schema, "minItems": 2, "maxItems": 2}

    @property
    @override
    def query_schema(self) -> JsonSchema:
        return {"type": "string", "pattern": f"^(?:{BOUND_REGEX}),(?:{BOUND_REGEX})$"}

    @override
    def query_values(self, value: Any) -> list[Any]:
        text = ",".join(f"{seconds:.12g}" for seconds in value)
        if self.value_of(text) is None:
            raise ValueError(text)
        return [text]

    @override
    def to_json(self, value: Any) -> Any:
        return list(value)

    @override
    def from_json(self, value: Any) -> Any:
        return tuple(value)

    @override
    def display(self, value: Any) -> str:
        return f"{value[0]:g} to {value[1]:g} s"
