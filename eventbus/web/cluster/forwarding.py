"""Where several nodes are one bus: what only another node knows is asked of that one, and what all know, of all."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from eventbus.core.addresses import parse_address
from eventbus.core.errors import (
    BadRequest,
    CallRefused,
    CrossOrigin,
    Draining,
    EventbusError,
    JournalError,
    NoAccess,
    NotAccepted,
    NotOwner,
)
from eventbus.core.event_ids import new_event_id
from eventbus.journal.cluster_journal import Nodes
from eventbus.web.cluster.merge import EVENT, EVENT_PATH, KINDS, Merge
from eventbus.web.cluster.rpc import Peers
from eventbus.web.cluster.rpc_codec import (
    FORWARDED,
    GATHERED,
    HEARD,
    REQUEST,
    App,
    Environ,
    RpcResponse,
    Start,
    ask,
)
from eventbus.web.current import the_request
from eventbus.web.dashboard.layout import check_visitor, error_page
from eventbus.web.flask_app import BusFlask
from eventbus.web.parameters import IGNORED_ENVIRON_KEY, IGNORED_HEADER, without_unknown
from eventbus.web.query import Query, parse_query
from eventbus.web.replies import Reply, as_json

#: Seconds within which a node answers for a subscriber that it has.
OWNER_SECONDS = 10.0
#: Says on a gathered answer how many of the nodes it is from.
NODES = "Eventbus-Nodes"
JSON = "application/json"
#: Where the dashboard's pages are, which let people in by themselves.
PAGES = "/dashboard/"
#: Requests about one subscriber, whose address they name; those about dead letters may name one, or a dead letter.
_LETTERS = {("GET", "/deadLetters"), ("POST", "/deadLetters/replay"), ("DELETE", "/deadLetters")}
ABOUT_ONE = _LETTERS | {
    ("POST", "/registerAndKeepAlive"),
    ("DELETE", "/deregister"),
    ("POST", "/replay"),
    ("GET", "/dashboard/subscriber"),
}
_NUMBER = re.compile(r"[0-9]{1,18}\Z")


class Forwarding:
    """A WSGI application around the bus's own."""

    def __init__(self, app: BusFlask, nodes: Nodes) -> None:
        self._app = app
        self._nodes = nodes
        self.bus = app.bus  #: for the worker, as on the application itself
        self._peers = Peers(nodes, app.bus.settings.tokens)

    def __call__(self, environ: Environ, start_response: Start) -> Any:
        """Answer a request here, or have it answered where that can be done."""
        one, of_all = _kind_of(environ)
        if not one and of_all is None:
            return self._app(environ, start_response)
        return self._answer(environ, of_all, one=one)(environ, start_response)

    def answer(self, call: bytes) -> bytes:
        """What this node answers to a request that another one has passed on. Raises CallRefused."""
        return self._peers.answer(call, self._answer_passed)

    def _answer_passed(self, environ: Environ) -> RpcResponse:
        if _kind_of(environ) == (False, None):
            raise CallRefused("no node passes on such a request")
        return ask(self, environ)

    def _answer(self, environ: Environ, of_all: Merge | None, *, one: bool) -> Any:
        """What answers."""
        try:
            query = parse_query(environ["QUERY_STRING"])
            key = self._key(query) if one else None
            if key is not None:
                return self._of_one(environ, query, key)
        except BadRequest:  # the application says what is wrong
            return self._app
        except EventbusError as error:
            return self._refusal(environ, error)
        if of_all is None or FORWARDED in environ:
            return self._app
        return self._of_all(environ, query, of_all)

    def _key(self, query: Query) -> str | None:
        """The subscriber that is meant; None for all. Raises BadAddress and JournalError."""
        address, number = query.first("address"), query.first("id")
        if address is not None:
            return parse_address(address).key
        if number is None or not _NUMBER.match(number):
            return None
        found = self.bus.journal.dead_letter(int(number))
        return None if found is None else found.letter.key

    def _of_one(self, environ: Environ, query: Query, key: str) -> Any:
        """What answers for one subscriber. Raises NotOwner, NodeTimeout and JournalError.

        Its node may have died; the request follows the subscriber then, as far as it is known not to have been taken.
        """
        clock = self.bus.clock
        ends = clock.monotonic() + OWNER_SECONDS
        while (owner := self._owner(key)) is not None:
            if FORWARDED in environ:
                raise NotOwner("This subscriber goes from one node to another just now; ask again.")
            if not self._lets_through(environ):
                return self._app  # which says so
            with suppress(NotAccepted):
                return self._ask_owner(owner, key, _without_unknown(environ, query), ends - clock.monotonic())
        return self._app

    def _owner(self, key: str) -> str | None:
        """The other node that has a subscriber; None where this one has it from now on, or nobody knows of it.

        Raises NotOwner where that cannot be told just now.
        """
        owner = self._nodes.owner(key)
        if owner is None:
            try:
                self.bus.cluster.find(key)
            except NotOwner:  # another node took it in this moment, or nobody has it for one
                owner = self._nodes.owner(key)
                if owner is None:
                    raise
        return owner

    def _ask_owner(self, owner: str, key: str, environ: Environ, seconds: float) -> RpcResponse:
        """What a node answers, as long as it has this subscriber. Raises JournalError, NodeTimeout and NotAccepted."""
        answer = self._peers.ask(owner, environ, seconds, lambda: self._nodes.owner(key) == owner)
        ignored = environ.get(IGNORED_ENVIRON_KEY)  # of which the owner was not told
        return answer if ignored is None else replace(answer, headers=(*answer.headers, (IGNORED_HEADER, ignored)))

    def _lets_through(self, environ: Environ) -> bool:
        """Whether the client may ask this, so that who may not reaches no other node; the owner looks too."""
        with self._app.request_context(environ):
            try:
                self._app.check_request(the_request())
                if _is_page(environ):
                    check_visitor()
            except (CrossOrigin, NoAccess):
                return False
            except Draining:  # this node; the one that is asked may go on
                return True
        return True

    def _refusal(self, environ: Environ, error: EventbusError) -> Any:
        """What answers where it cannot be asked of others: as the application phrases it."""
        with self._app.request_context(environ):
            return error_page(error) if _is_page(environ) else self._app.handle_user_exception(error)

    def _of_all(self, environ: Environ, query: Query, gathering: Merge) -> Any:
        """What answers for all nodes: this one first, so that who may not ask reaches no other."""
        others, orphans = self._others()
        nodes = 1 + len(others) + orphans
        if nodes == 1:
            return self._app
        alone = {**environ, FORWARDED: False, REQUEST: new_event_id()}
        if gathering.page:
            alone["HTTP_ACCEPT"] = JSON
            alone = _without_unknown(alone, query)
        own = ask(self._app, alone)
        if not own.ok:
            return self._app if gathering.page else own
        asked = _without_unknown(alone, query)
        asked["QUERY_STRING"] = gathering.reword(query, asked["QUERY_STRING"])
        found = self._peers.ask_all(others, asked, gathering.seconds)
        parts = {self._nodes.id: own} | {
            node: answer for node, answer in found.items() if answer.ok and answer.kind == own.kind
        }
        heard = f"{len(parts)} of {nodes}"
        if len(parts) < nodes:
            environ[HEARD] = heard
        return _from(heard, self._whole(environ, query, gathering, parts))

    def _others(self) -> tuple[list[str], bool]:
        """The other nodes, and whether a node is missing: one that had subscribers whom none of these has yet.

        None where nobody knows them just now, and this one tells what it has.
        """
        try:
            return self._nodes.peers(), self._nodes.has_orphans()
        except JournalError:
            return [], False

    def _whole(self, environ: Environ, query: Query, gathering: Merge, parts: Mapping[str, RpcResponse]) -> App:
        """What answers with the parts of all nodes, this one's first."""
        own = next(iter(parts.values()))
        if gathering.json is not None and own.kind == JSON:
            whole = gathering.json([json.loads(part.body) for part in parts.values()], query)
            if gathering.page:
                environ[GATHERED] = whole
                return self._app
            return _headed(as_json(whole), own)
        if gathering.text is None:
            return own
        texts = {node: part.body.decode() for node, part in parts.items()}
        return _headed(Reply(gathering.text(texts), content_type=own.kind), own)


def _kind_of(environ: Environ) -> tuple[bool, Merge | None]:
    """Whether a request may be about one subscriber, and how it is gathered from all nodes where it is not."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    of_all = KINDS.get((method, path))
    if of_all is None and method == "GET" and path.startswith(EVENT_PATH):
        of_all = EVENT
    return ("GET" if method == "HEAD" else method, path) in ABOUT_ONE, of_all


def _without_unknown(environ: Environ, query: Query) -> Environ:
    """A request without the parameters that its route does not take: they may be anything, and are told of here."""
    return {**environ, "QUERY_STRING": without_unknown(query, environ["REQUEST_METHOD"], environ["PATH_INFO"])}


def _is_page(environ: Environ) -> bool:
    path: str = environ["PATH_INFO"]
    return path.startswith(PAGES)


def _headed(reply: Reply, own: RpcResponse) -> Reply:
    """A gathered answer with what else this node's own said in its headers."""
    reply.headers |= {name: value for name, value in own.headers if not name.lower().startswith("content-")}
    return reply


def _from(heard: str, app: App) -> App:
    """An answer that says how many of how many nodes it is from."""

    def saying(environ: Environ, start_response: Start) -> Any:
        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start_response(status, [*headers, (NODES, heard)], *more)

        return app(environ, start)

    return saying
