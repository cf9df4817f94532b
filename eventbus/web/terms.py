"""The options that a registration gives, read from the query and checked."""

from typing import Any

from eventbus.core.model import Terms
from eventbus.core.options import options_of
from eventbus.web.query import Query


def terms_of(query: Query) -> Terms:
    """Return the options that the query gives. Raises BadRequest with a sentence that names the parameter."""
    given: dict[str, Any] = {}
    for one in options_of(Terms):
        texts = query.all(one.parameter)
        if texts is not None:
            given[one.name] = one.kind.parse(one.parameter, texts)
    return Terms(**given)
