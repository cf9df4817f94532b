"""The query parameters that each route takes. Others are reported: a misspelt one changes what a request means."""

import difflib
from collections.abc import Callable, Sequence
from urllib.parse import quote, urlencode

from flask import Request

from eventbus.core.errors import BadQuery, BadRequest
from eventbus.core.options import registration_options
from eventbus.services.bus import Bus
from eventbus.web.accept import wants_json
from eventbus.web.cluster.rpc_codec import FORWARDED
from eventbus.web.query import Query, query_of

#: The parameter of a registration that only asks what would happen.
DRY_RUN = "dry_run"
_REGISTERING = ("address", *(one.parameter for one in registration_options()), DRY_RUN)
_WHOSE = ("address", "path", "group")
_CHOICE = (*_WHOSE, "id", "all")
#: The parameters of each route, by method and rule. A route that is not here takes none.
PARAMETERS: dict[tuple[str, str], tuple[str, ...]] = {
    ("POST", "/registerAndKeepAlive"): _REGISTERING,
    ("DELETE", "/deregister"): _WHOSE,
    ("GET", "/listSubscribers"): ("expired",),
    ("POST", "/sendMessage"): ("topic", "key", "expires", "delay", "deliver_at", "batch", "once", "settle"),
    ("GET", "/events"): ("after", "topic", "limit", "wait", "scheduled"),
    ("GET", "/attempts"): (*_WHOSE, "id", "status", "after", "limit"),
    ("GET", "/deadLetters"): (*_WHOSE, "after", "limit"),
    ("POST", "/deadLetters/replay"): (*_CHOICE, "replay"),
    ("DELETE", "/deadLetters"): _CHOICE,
    ("POST", "/replay"): (*_WHOSE, "from", "to"),
    ("POST", "/pause"): (*_WHOSE, "until"),
    ("POST", "/resume"): _WHOSE,
    ("POST", "/retry"): _WHOSE,
    ("POST", "/skip"): (*_WHOSE, "id"),
    ("POST", "/cancel"): ("id",),
    ("GET", "/"): ("since",),
    ("GET", "/dashboard/subscribers"): ("sort", "q", "start"),
    ("GET", "/dashboard/subscriber"): _WHOSE,
    ("GET", "/dashboard/journal"): ("upto",),
    ("GET", "/dashboard/scheduled"): ("after",),
    ("GET", "/dashboard/event"): ("id",),
    ("GET", "/dashboard/deadLetters"): (*_WHOSE, "after"),
}
#: The response's header that names the parameters that were ignored, and where a request's environment keeps its value.
IGNORED_HEADER, IGNORED_ENVIRON_KEY = "Eventbus-Ignored", "eventbus.ignored"
#: Names in the header, at most, and the characters of each.
MAX_IGNORED_NAMES, MAX_NAME_CHARACTERS = 8, 40


def query_guard(bus: Bus) -> Callable[[Request], None]:
    """Return a function that checks a request's query before its view.

    A parameter that the route does not take is an error for a client that asks for JSON. For others it is ignored, and
    named in a header: older clients may send it.
    """

    def check_query(request: Request) -> None:
        environ = request.environ
        if not environ["QUERY_STRING"]:
            return
        rule = request.url_rule
        if rule is None or environ["REQUEST_METHOD"] == "OPTIONS":
            return
        try:
            names = list(query_of(environ).values)
        except BadQuery:  # the view raises it, after the errors that come first
            return
        known = parameters_of(environ["REQUEST_METHOD"], rule.rule)
        unknown = [name for name in names if name and name not in known]
        if not unknown:
            return
        if wants_json(request):
            raise BadRequest(unknown_parameter(unknown[0], rule.rule, known))
        environ[IGNORED_ENVIRON_KEY] = ignored_header(unknown)
        if not environ.get(FORWARDED):  # else the node that was asked has counted it
            bus.counters.ignored_parameters += 1

    return check_query


def parameters_of(method: str, rule: str) -> tuple[str, ...]:
    """Return the parameters that a route takes."""
    return PARAMETERS.get(("GET" if method == "HEAD" else method, rule), ())


def without_unknown(query: Query, method: str, path: str) -> str:
    """Return the query without the parameters that the route does not take."""
    known = parameters_of(method, path)
    return urlencode({name: values for name, values in query.values.items() if name in known}, doseq=True)


def ignored_header(names: Sequence[str]) -> str:
    """Return the header's value: the first names, shortened, and escaped so that any name fits a header."""
    return ", ".join(quote(name[:MAX_NAME_CHARACTERS], safe="") for name in names[:MAX_IGNORED_NAMES])


def unknown_parameter(name: str, rule: str, known: tuple[str, ...]) -> str:
    """Say which parameter is wrong, and which one is nearest to it."""
    close = difflib.get_close_matches(name[:MAX_NAME_CHARACTERS].lower(), known, n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]}?" if close else "."
    takes = f"It takes {', '.join(known)}." if known else "It takes none."
    return f"{name[:MAX_NAME_CHARACTERS]!r} is no parameter of {rule.partition('<')[0]}{hint} {takes}"
