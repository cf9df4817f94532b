"""How the events of a subscription are ordered: not at all, all of them, or those with the same order key. Pure."""

from typing import Any

from eventbus.core.option_kinds import Enumeration, JsonSchema
from eventbus.core.override import override

#: The value of the option ``ordered`` with which events with the same order key are delivered in order.
BY_KEY = "key"
_VALUES: dict[str, bool | str] = {"false": False, "true": True, BY_KEY: BY_KEY}


class Ordering(Enumeration):
    """``false``, ``true`` or ``key``; the first two are booleans in Python and JSON, as they were before the third."""

    def __init__(self) -> None:
        super().__init__(tuple(_VALUES))

    @override
    def value_of(self, text: str) -> Any:
        return _VALUES.get(text)

    @property
    @override
    def json_schema(self) -> JsonSchema:
        return {"anyOf": [{"type": "boolean"}, {"type": "string", "enum": [BY_KEY]}]}

    @property
    @override
    def query_schema(self) -> JsonSchema:
        return super().json_schema

    @override
    def display(self, value: Any) -> str:
        return {False: "no", True: "yes"}.get(value, f"by {value}")
