"""The terms on which an inbox registers: with ``resume``, its filter and its group."""

import re
from dataclasses import replace

from eventbus.client.errors import UsageError
from eventbus.client.filters import FilterLike, text_of_filter
from eventbus.client.subscribers import Terms
from eventbus.core.options import GROUP_REGEX


def terms_of_inbox(terms: Terms, group: str | None, given: FilterLike | None = None) -> Terms:
    """Return terms with ``resume``, unless they have a value for it, the filter and the group. Raises UsageError."""
    terms = replace(terms, resume=True) if terms.resume is None else terms
    terms = terms if given is None else replace(terms, filter=text_of_filter(given))
    name = terms.group if group is None else group
    if name is None:
        return terms
    if re.fullmatch(GROUP_REGEX, name) is None:
        raise UsageError(f"A group's name is 1 to 64 letters, digits, '.', '-' or '_', not {name!r}.")
    if terms.group not in (None, name):
        raise UsageError(f"The group is {name!r} for the inbox, and {terms.group!r} in its terms.")
    return replace(terms, group=name)
