"""Filters as the client takes them: JSON's objects and arrays, or their text."""

from collections.abc import Mapping, Sequence
from typing import Any

from eventbus.client.errors import UsageError
from eventbus.core.errors import BadRequest
from eventbus.core.filters import filter_text, parse_filter

#: One expression, several that all have to match, or their JSON as text; an empty text or list is no filter.
FilterLike = str | Mapping[str, Any] | Sequence[Mapping[str, Any]]


def text_of_filter(given: FilterLike) -> str:
    """Return a filter's text, empty for none. Raises UsageError, which says where it is wrong."""
    try:
        found = parse_filter(given if isinstance(given, str) else filter_text(given))
    except BadRequest as error:
        raise UsageError(str(error)) from None
    except (TypeError, ValueError) as error:
        raise UsageError(f"A filter is what JSON can hold: {error}.") from None
    return "" if found is None else found.text
