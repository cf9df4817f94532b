"""What the value of a subscription option may be: how it is read from a query, written, described and displayed."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eventbus.core.errors import BadRequest
from eventbus.core.override import override
from eventbus.core.topics import MAX_PATTERNS, MAX_TOPIC_LENGTH, MAX_WORDS, PATTERN_REGEX, TOPIC_REGEX, check_patterns

JsonSchema = dict[str, Any]
QUOTED_CHARACTERS = 40  # of a wrong value, in an error
_CONTAINS_EMPTY, _CONTAINS_TEXT = {"contains": {"const": ""}}, {"contains": {"minLength": 1}}


class Kind(ABC):
    """The type and the range of an option."""

    def parse(self, parameter: str, texts: Sequence[str]) -> Any:
        """Return the value that a query gives; of several texts the first counts. Raises BadRequest."""
        value = self.value_of(texts[0])
        if value is None:
            raise BadRequest(f"{parameter} must be {self.allowed}, not {texts[0][:QUOTED_CHARACTERS]!r}.")
        return value

    @abstractmethod
    def value_of(self, text: str) -> Any:
        """Return the value that a text stands for, or None if it stands for none."""

    @property
    @abstractmethod
    def allowed(self) -> str:
        """Describe the allowed values: ``a number from 5 to 86400``."""

    @property
    @abstractmethod
    def json_schema(self) -> JsonSchema:
        """Return the JSON Schema of a value in JSON."""

    @property
    def query_schema(self) -> JsonSchema:
        """Return the JSON Schema of a value in a query."""
        return self.json_schema

    def query_values(self, value: Any) -> list[Any]:
        """Split a value into those that a query parameter repeats. Raises TypeError or ValueError where it cannot."""
        return [value]

    def to_json(self, value: Any) -> Any:
        """Write a value as JSON has it."""
        return value

    def from_json(self, value: Any) -> Any:
        """Read a value from JSON."""
        return value

    def display(self, value: Any) -> str:
        """Write a value for people."""
        return f"{value}" or "none"


@dataclass(frozen=True)
class Enumeration(Kind):
    """One of several values."""

    values: tuple[str, ...]

    @override
    def value_of(self, text: str) -> Any:
        return text if text in self.values else None

    @property
    @override
    def allowed(self) -> str:
        return f"{', '.join(self.values[:-1])} or {self.values[-1]}"

    @property
    @override
    def json_schema(self) -> JsonSchema:
        return {"type": "string", "enum": list(self.values)}


class Boolean(Enumeration):
    """``true`` or ``false``."""

    def __init__(self) -> None:
        super().__init__(("true", "false"))

    @override
    def value_of(self, text: str) -> Any:
        return text == "true" if text in self.values else None

    @property
    @override
    def json_schema(self) -> JsonSchema:
        return {"type": "boolean"}

    @property
    @override
    def query_schema(self) -> JsonSchema:
        return super().json_schema

    @override
    def display(self, value: Any) -> str:
        return "yes" if value else "no"


@dataclass(frozen=True)
class Text(Kind):
    """A text that a regular expression matches from end to end; ``form`` describes the expression for people."""

    pattern: str
    form: str
    max_length: int = 256

    @override
    def value_of(self, text: str) -> Any:
        return text if len(text) <= self.max_length and re.fullmatch(self.pattern, text) else None

    @property
    @override
    def allowed(self) -> str:
        return self.form

    @property
    @override
    def json_schema(self) -> JsonSchema:
        return {"type": "string", "maxLength": self.max_length, "pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True)
class TopicName(Text):
    """A topic, without wildcards; the empty text stands for none."""

    def __init__(self) -> None:
        super().__init__(
            f"(?:{TOPIC_REGEX})?",
            f"a topic of at most {MAX_WORDS} words and {MAX_TOPIC_LENGTH} characters, without wildcards",
            MAX_TOPIC_LENGTH,
        )


@dataclass(frozen=True)
class Texts(Text):
    """At most ``max_items`` different texts, each of the pattern. One empty text alone is the empty list."""

    max_items: int = 64
    empty = "none"

    @override
    def parse(self, parameter: str, texts: Sequence[str]) -> Any:
        values = tuple(dict.fromkeys(texts))
        if values == ("",):
            return ()
        if len(values) > self.max_items:
            raise BadRequest(f"{parameter} may be given {self.max_items} times, not {len(values)}.")
        return tuple(super(Texts, self).parse(parameter, [text]) for text in values)

    @property
    @override
    def json_schema(self) -> JsonSchema:
        return {"type": "array", "items": super().json_schema, "maxItems": self.max_items}

    @property
    @override
    def query_schema(self) -> JsonSchema:
        text = {"type": "string", "maxLength": self.max_length, "pattern": f"^(?:|{self.pattern})$"}
        # no maxItems: a repeated text counts once
        return {"type": "array", "items": text, "not": {"allOf": [_CONTAINS_EMPTY, _CONTAINS_TEXT]}}

    @override
    def query_values(self, value: Any) -> list[Any]:
        return list(value) or [""]

    @override
    def to_json(self, value: Any) -> Any:
        return list(value)

    @override
    def from_json(self, value: Any) -> Any:
        return tuple(value)

    @override
    def display(self, value: Any) -> str:
        return ", ".join(value) or self.empty


class TopicPatterns(Texts):
    """Patterns of topics; no pattern, and the pattern ``>``, are everything."""

    empty = "everything"

    def __init__(self) -> None:
        super().__init__(PATTERN_REGEX, "topic patterns", MAX_TOPIC_LENGTH, MAX_PATTERNS)

    @override
    def parse(self, parameter: str, texts: Sequence[str]) -> Any:
        return check_patterns(texts)


class Position(Kind):
    """A position in the journal. Only the journal can tell whether it exists."""

    allowed = "a position"

    @override
    def value_of(self, text: str) -> Any:
        return text

    @property
    @override
    def json_schema(self) -> JsonSchema:
        return {"type": "string"}
