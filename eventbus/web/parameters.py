"""Which parameters each route takes, and what is done about others: a misspelt one changes what a request means."""

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

_REGISTERING = ("address", *(one.parameter for one in registration_options()))
_CHOSEN = ("address", "id", "all")
#: The names that each route's query may hold, by method and rule. One that is not here takes none.
TAKES: dict[tuple[str, str], tuple[str, ...]] = {
    ("POST", "/registerAndKeepAlive"): _REGISTERING,
    ("DELETE", "/deregister"): ("address",),
    ("GET", "/listSubscribers"): ("expired",),
    ("POST", "/sendMessage"): ("topic", "batch", "once"),
    ("GET", "/events"): ("after", "topic", "limit", "wait"),
    ("GET", "/deadLetters"): ("address", "after", "limit"),
    ("POST", "/deadLetters/replay"): (*_CHOSEN, "replay"),
    ("DELETE", "/deadLetters"): _CHOSEN,
    ("POST", "/replay"): ("address", "from", "to"),
    ("GET", "/"): ("since",),
    ("GET", "/dashboard/subscribers"): ("sort", "q", "start"),
    ("GET", "/dashboard/subscriber"): ("address",),
    ("GET", "/dashboard/journal"): ("upto",),
    ("GET", "/dashboard/event"): ("id",),
    ("GET", "/dashboard/deadLetters"): ("address", "after"),
}
#: The header that names parameters which an answer knows nothing of; in a request's environment the same.
IGNORED, IGNORED_KEY = "Eventbus-Ignored", "eventbus.ignored"
#: Names that the header tells, at most, and the characters of each.
MAX_NAMES, MAX_NAME = 8, 40


def query_guard(bus: Bus) -> Callable[[Request], None]:
    """A function that looks at a request's query before its view.

    Where it holds a parameter that the route does not take, who asked for JSON is refused, and all others are told by a
    header: they may be clients that have sent it for long.
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
        except BadQuery:  # the view says so, in its own order
            return
        known = taken(environ["REQUEST_METHOD"], rule.rule)
        unknown = [name for name in names if name and name not in known]
        if not unknown:
            return
        if wants_json(request):
            raise BadRequest(sentence(unknown[0], rule.rule, known))
        environ[IGNORED_KEY] = ignored(unknown)
        if not environ.get(FORWARDED):  # else the node that was asked has counted it
            bus.counters.ignored_parameters += 1

    return check_query


def taken(method: str, rule: str) -> tuple[str, ...]:
    """The names that a route takes."""
    return TAKES.get(("GET" if method == "HEAD" else method, rule), ())


def only_known(query: Query, method: str, path: str) -> str:
    """The query again, without what the route does not take."""
    known = taken(method, path)
    return urlencode({name: values for name, values in query.values.items() if name in known}, doseq=True)


def ignored(names: Sequence[str]) -> str:
    """The header's value: so many names at most, cut, and escaped so that any of them is one header's text."""
    return ", ".join(quote(name[:MAX_NAME], safe="") for name in names[:MAX_NAMES])


def sentence(name: str, rule: str, known: tuple[str, ...]) -> str:
    """What is wrong, and the nearest name that would be right."""
    close = difflib.get_close_matches(name[:MAX_NAME].lower(), known, n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]}?" if close else "."
    takes = f"It takes {', '.join(known)}." if known else "It takes none."
    return f"{name[:MAX_NAME]!r} is no parameter of {rule.partition('<')[0]}{hint} {takes}"
