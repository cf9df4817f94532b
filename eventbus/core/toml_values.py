"""Values of TOML as the texts of a query, which options are parsed from. Pure."""

from datetime import date, datetime
from typing import Any

from eventbus.core.filter_option import FilterExpression
from eventbus.core.filters import filter_text
from eventbus.core.option_kinds import Texts
from eventbus.core.option_table import Option


def texts_of(one: Option, value: Any) -> list[str] | None:
    """Return a value of TOML as the texts of a query; None for a value that none of these stand for.

    A filter may be a table, or a list of tables, instead of a text with its JSON.
    """
    if isinstance(one.kind, FilterExpression) and isinstance(value, dict | list):
        return _filter_texts(value)
    parts = value if isinstance(value, list) else [value]
    texts = [text for text in map(_text_of, parts) if text is not None]
    if len(texts) < len(parts):
        return None
    if not isinstance(value, list):
        return texts
    return texts or [""] if isinstance(one.kind, Texts) else [",".join(texts)]


def _filter_texts(value: Any) -> list[str] | None:
    try:
        return [filter_text(value)]
    except TypeError:  # it holds a date or a time
        return None


def _text_of(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, str | int | float) else None


def kind_of(value: Any) -> str:
    """Name the type of a value for people."""
    return "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else "a time of day"
