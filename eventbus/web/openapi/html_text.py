"""The document's schemas and texts in words, as HTML."""

import json
import re
from typing import Any

from markupsafe import Markup, escape

from eventbus.web.openapi.builder import Json

_CODE = re.compile(r"`([^`]+)`")
_NAMES = {"string": "text", "array": "list", "integer": "whole number", "null": "null"}


def prose(text: str) -> Markup:
    """Paragraphs, with what stands in backticks as code."""
    return Markup("").join(Markup("<p>{}</p>").format(line(part)) for part in text.split("\n\n"))


def line(text: str) -> Markup:
    """A text in one paragraph, with what stands in backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def kind(schema: Json) -> Markup:
    """What a value may be: ``whole number, 1 to 1,000``. A schema with a name is a link to it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#{0}">{0}</a>').format(name)
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return Markup(" or ").join(kind(one) for one in schema[several])
    if "enum" in schema or "const" in schema:
        return Markup(" or ").join(_constant(value) for value in schema.get("enum") or [schema["const"]])
    return Markup(", ").join([_name(schema), *(escape(bound) for bound in _bounds(schema))])


def _constant(value: Any) -> Markup:
    shown = value if value and isinstance(value, str) else json.dumps(value)
    return Markup("<code>{}</code>").format(shown) if value != "" else Markup("empty")


def _name(schema: Json) -> Markup:
    given = schema.get("type", "anything")
    names = [given] if isinstance(given, str) else given
    said = Markup(" or ").join(_NAMES.get(name, name) for name in names)
    if "items" in schema:
        return said + Markup(" of ") + kind(schema["items"])
    if schema.get("format") == "date-time":
        return Markup("time") + said.removeprefix("text")
    return said


def _bounds(schema: Json) -> list[str]:
    """How small and large it may be, and what it is where it is left out."""
    said = []
    if "minimum" in schema and "maximum" in schema:
        said.append(f"{schema['minimum']:,} to {schema['maximum']:,}")
    elif "minimum" in schema:
        said.append(f"from {schema['minimum']:,}")
    if "maxLength" in schema:
        said.append(f"at most {schema['maxLength']:,} characters")
    if "maxItems" in schema:
        said.append(f"at most {schema['maxItems']:,} of them")
    if "default" in schema:
        said.append(f"{schema['default']} where it is left out")
    return said
