"""Which requests are about one subscription, and about which one; and which are about all."""

import re

from eventbus.core.model import group_key
from eventbus.journal.cluster_journal import Nodes
from eventbus.services.bus import Bus
from eventbus.web.cluster.merge import EVENT, EVENT_PATH, KINDS, Merge
from eventbus.web.cluster.rpc_codec import Environ
from eventbus.web.query import Query
from eventbus.web.subscriptions import address_in, group_in

#: The path where an address counts, even if a group is given, too.
DEREGISTER = "/deregister"
#: Requests about one subscription. Those about dead letters may name a subscription, a dead letter, or neither.
_LETTERS = {("GET", "/deadLetters"), ("POST", "/deadLetters/replay"), ("DELETE", "/deadLetters")}
ABOUT_ONE = _LETTERS | {
    ("POST", "/registerAndKeepAlive"),
    ("DELETE", DEREGISTER),
    ("POST", "/replay"),
    ("POST", "/pause"),
    ("POST", "/resume"),
    ("POST", "/retry"),
    ("POST", "/skip"),
    ("GET", "/dashboard/subscriber"),
}
_NUMBER = re.compile(r"[0-9]{1,18}\Z")


def kind_of(environ: Environ) -> tuple[bool, Merge | None]:
    """Return whether a request may be about one subscription, and how all nodes' responses to it are merged."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    of_all = KINDS.get((method, path))
    if of_all is None and method == "GET" and path.startswith(EVENT_PATH):
        of_all = EVENT
    return ("GET" if method == "HEAD" else method, path) in ABOUT_ONE, of_all


def key_in(environ: Environ, query: Query, nodes: Nodes, bus: Bus) -> str | None:
    """Return the key of the subscription that a request names, of a member its group's; None for all.

    Raises BadRequest and JournalError.
    """
    group, address, number = group_in(query), query.first("address"), query.first("id")
    if group is not None and (address is None or environ["PATH_INFO"] != DEREGISTER):
        return group_key(group)
    if address is not None:
        key = address_in(query).key
        return bus.dispatcher.registry.registered_as(key) or nodes.group_of(key) or key
    if number is None or not _NUMBER.match(number):
        return None
    found = bus.journal.dead_letter(int(number))
    return None if found is None else found.letter.key
