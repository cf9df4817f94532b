"""The kind of the option ``filter``: JSON, which Python has as its text. Pure."""

import json
from typing import Any

from eventbus.core.filters import MAX_FILTER_BYTES, filter_text, parse_filter
from eventbus.core.option_kinds import JsonSchema, Kind
from eventbus.core.override import override


class FilterExpression(Kind):
    """A filter. Its value is the text of its JSON, empty without one; JSON has an object, an array or null."""

    allowed = f"an expression, or an array of them, as JSON of at most {MAX_FILTER_BYTES:,} bytes"

    @override
    def value_of(self, text: str) -> str:
        found = parse_filter(text)
        return "" if found is None else found.text

    @property
    @override
    def json_schema(self) -> JsonSchema:
        return {"type": ["object", "array", "null"]}

    @property
    @override
    def query_schema(self) -> JsonSchema:
        return {"type": "string", "maxLength": MAX_FILTER_BYTES, "contentMediaType": "application/json"}

    @override
    def query_values(self, value: Any) -> list[Any]:
        return [value if isinstance(value, str) else filter_text(value)]

    @override
    def to_json(self, value: Any) -> Any:
        return json.loads(value) if value else None

    @override
    def from_json(self, value: Any) -> Any:
        return "" if value is None else filter_text(value)
