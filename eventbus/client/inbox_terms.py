"""The terms on which an inbox registers: with ``resume``, and with its group."""

import re
from dataclasses import replace

from eventbus.client.errors import UsageError
from eventbus.client.subscribers import Terms
from eventbus.core.options import GROUP_REGEX


def terms_of_inbox(terms: Terms, group: str | None) -> Terms:
    """Return terms with ``resume``, unless they have a value for it, and with the group. Raises UsageError."""
    terms = replace(terms, resume=True) if terms.resume is None else terms
    name = terms.group if group is None else group
    if name is None:
        return terms
    if re.fullmatch(GROUP_REGEX, name) is None:
        raise UsageError(f"A group's name is 1 to 64 letters, digits, '.', '-' or '_', not {name!r}.")
    if terms.group not in (None, name):
        raise UsageError(f"The group is {name!r} for the inbox, and {terms.group!r} in its terms.")
    return replace(terms, group=name)
