"""Schemas and Markdown of the document, as HTML."""

import json
import re
from typing import Any

from markupsafe import Markup, escape

from eventbus.web.openapi.builder import Json

_CODE = re.compile(r"`([^`]+)`")
_NAMES = {"string": "text", "array": "list", "integer": "whole number", "null": "null"}


def paragraphs(text: str) -> Markup:
    """Return paragraphs, with what stands in backticks as code."""
    return Markup("").join(Markup("<p>{}</p>").format(inline(part)) for part in text.split("\n\n"))


def inline(text: str) -> Markup:
    """Return a text in one paragraph, with what stands in backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def value_type(schema: Json) -> Markup:
    """Describe the values of a schema: ``number, 0.1 to 120``. A schema with a name becomes a link to it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#{0}">{0}</a>').format(name)
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return Markup(" or ").join(value_type(one) for one in schema[several])
    if "enum" in schema or "const" in schema:
        return Markup(" or ").join(_constant(value) for value in schema.get("enum") or [schema["const"]])
    return Markup(", ").join([_name(schema), *(escape(bound) for bound in _bounds(schema))])


def _constant(value: Any) -> Markup:
    if value == "":
        return Markup("empty")
    return Markup("<code>{}</code>").format(value if isinstance(value, str) else json.dumps(value))


def _name(schema: Json) -> Markup:
    """Return the type's name, or the names of several."""
    types = schema.get("type", "anything")
    if schema.get("format") == "date-time":
        types = ["time", *types[1:]] if isinstance(types, list) else "time"
    names = [types] if isinstance(types, str) else types
    joined = Markup(" or ").join(_NAMES.get(name, name) for name in names)
    return joined + Markup(" of ") + value_type(schema["items"]) if "items" in schema else joined


def _bounds(schema: Json) -> list[str]:
    """Return the range of the values, and the default."""
    bounds = {
        "maxLength": "at most {:,} characters",
        "maxItems": "at most {:,} of them",
        "default": "{} where it is left out",
    }
    if "maximum" in schema:
        bounds = {"minimum": "{:,} to " + f"{schema['maximum']:,}", **bounds}
    else:
        bounds = {"minimum": "from {:,}", **bounds}
    return [text.format(schema[name]) for name, text in bounds.items() if name in schema]
