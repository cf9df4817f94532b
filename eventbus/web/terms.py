"""The options that a registration gives, read from the query and checked."""

from typing import Any

from eventbus.core.model import Terms
from eventbus.core.option_kinds import Boolean
from eventbus.core.option_table import options_of
from eventbus.core.options import RegistrationOptions
from eventbus.web.parameters import DRY_RUN
from eventbus.web.query import Query


def terms_of(query: Query) -> Terms:
    """Return the options that the query gives. Raises BadRequest with a sentence that names the parameter."""
    given: dict[str, Any] = {}
    for one in options_of(Terms):
        texts = query.all(one.parameter)
        if texts is not None:
            given[one.name] = one.kind.parse(one.parameter, texts)
    return Terms(**given)


def dry_run_in(query: Query) -> bool:
    """Return whether the query only asks what a registration would do. Raises BadRequest."""
    texts = query.all(DRY_RUN)
    return texts is not None and bool(Boolean().parse(DRY_RUN, texts))


def drain_in(query: Query) -> bool:
    """Return whether the query asks for no more deliveries. Raises BadRequest."""
    one = next(one for one in options_of(RegistrationOptions) if one.name == "drain")
    texts = query.all(one.parameter)
    return texts is not None and one.kind.parse(one.parameter, texts)
