"""Forwards requests in a cluster: to the node that owns a subscription, or to all nodes, merging their responses."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

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
from eventbus.web.cluster.fates import FATES_PATH, PeersOfPublish, answer_fates
from eventbus.web.cluster.merge import Merge
from eventbus.web.cluster.rpc import Peers
from eventbus.web.cluster.rpc_codec import (
    FORWARDED,
    MERGED,
    NODES_HEARD,
    PEERS,
    REQUEST,
    App,
    Environ,
    RpcResponse,
    Start,
    call_app,
)
from eventbus.web.cluster.subjects import key_in, kind_of
from eventbus.web.current import the_request
from eventbus.web.dashboard.layout import check_visitor, error_page
from eventbus.web.flask_app import BusFlask
from eventbus.web.parameters import IGNORED_ENVIRON_KEY, IGNORED_HEADER, without_unknown
from eventbus.web.query import Query, parse_query
from eventbus.web.replies import Reply, as_json
from eventbus.web.settle import SETTLE

#: Seconds within which the owner of a subscription has to answer.
OWNER_SECONDS = 10.0
#: The header of a merged response: how many of the nodes it is from.
NODES = "Eventbus-Nodes"
JSON = "application/json"
#: The path of the dashboard's pages, which check the token themselves.
PAGES = "/dashboard/"


class Forwarding:
    """A WSGI application that forwards requests, or passes them to this node's own application."""

    def __init__(self, app: BusFlask, nodes: Nodes) -> None:
        self._app = app
        self._nodes = nodes
        self.bus = app.bus  #: for the worker, as on the application itself
        self._peers = Peers(nodes, app.bus.tokens)

    def __call__(self, environ: Environ, start_response: Start) -> Any:
        """Answer a request here, or forward it."""
        one, of_all = kind_of(environ)
        if not one and of_all is None:
            if SETTLE in environ["QUERY_STRING"]:
                environ[PEERS] = partial(PeersOfPublish, self._peers, self._nodes, self.bus.give_way, environ)
            return self._app(environ, start_response)
        return self._answer(environ, of_all, one=one)(environ, start_response)

    def answer(self, call: bytes) -> bytes:
        """Return this node's response to a request that a peer forwarded. Raises CallRefused."""
        return self._peers.answer(call, self._answer_forwarded)

    def _answer_forwarded(self, environ: Environ) -> RpcResponse:
        if environ["PATH_INFO"] == FATES_PATH:
            return answer_fates(self.bus, environ)
        if kind_of(environ) == (False, None):
            raise CallRefused("such a request is not forwarded")
        return call_app(self, environ)

    def _answer(self, environ: Environ, of_all: Merge | None, *, one: bool) -> Any:
        """Return the WSGI application that answers a request."""
        try:
            query = parse_query(environ["QUERY_STRING"])
            key = key_in(environ, query, self._nodes, self.bus) if one else None
            if key is not None:
                return self._of_one(environ, query, key)
        except BadRequest:  # the application phrases the error
            return self._app
        except EventbusError as error:
            return self._refusal(environ, error)
        if of_all is None or FORWARDED in environ:
            return self._app
        return self._of_all(environ, query, of_all)

    def _of_one(self, environ: Environ, query: Query, key: str) -> Any:
        """Return the application that answers for one subscriber. Raises NotOwner, NodeTimeout and JournalError.

        If ownership moves and the earlier owner has not accepted the request, forward it to the new owner.
        """
        clock = self.bus.clock
        ends = clock.monotonic() + OWNER_SECONDS
        while (owner := self._owner(key)) is not None:
            if FORWARDED in environ:
                raise NotOwner("The ownership of this subscriber is moving to another node; try again.")
            if not self._admits(environ):
                return self._app  # it phrases the error
            with suppress(NotAccepted):
                return self._ask_owner(owner, key, _without_unknown(environ, query), ends - clock.monotonic())
        return self._app

    def _owner(self, key: str) -> str | None:
        """Return the peer that owns a subscription; None if this node owns it, or if it is unknown.

        Raises NotOwner if its ownership is moving.
        """
        owner = self._nodes.owner(key)
        if owner is None:
            try:
                self.bus.cluster.find(key)
            except NotOwner:  # a peer acquired it just now, or no node owns it for a moment
                owner = self._nodes.owner(key)
                if owner is None:
                    raise
        return owner

    def _ask_owner(self, owner: str, key: str, environ: Environ, seconds: float) -> RpcResponse:
        """Return the owner's response while it owns the subscription. Raises JournalError, NodeTimeout, NotAccepted."""
        answer = self._peers.ask(owner, environ, seconds, lambda: self._nodes.owner(key) == owner)
        ignored = environ.get(IGNORED_ENVIRON_KEY)  # these were removed before forwarding
        return answer if ignored is None else replace(answer, headers=(*answer.headers, (IGNORED_HEADER, ignored)))

    def _admits(self, environ: Environ) -> bool:
        """Return whether the client may make this request; a refused one is not forwarded. The owner checks, too."""
        with self._app.request_context(environ):
            try:
                self._app.check_request(the_request())
                if _is_page(environ):
                    check_visitor()
            except (CrossOrigin, NoAccess):
                return False
            except Draining:  # only this node drains; the owner may accept the request
                return True
        return True

    def _refusal(self, environ: Environ, error: EventbusError) -> Any:
        """Return the response to a request that cannot be forwarded, as the application phrases it."""
        with self._app.request_context(environ):
            return error_page(error) if _is_page(environ) else self._app.handle_user_exception(error)

    def _of_all(self, environ: Environ, query: Query, merge: Merge) -> Any:
        """Return the application that answers for all nodes. A request refused here goes no further."""
        peers, orphans = self._live_peers()
        nodes = 1 + len(peers) + orphans
        if nodes == 1:
            return self._app
        local = {**environ, FORWARDED: False, REQUEST: new_event_id()}
        if merge.page:
            local["HTTP_ACCEPT"] = JSON
            local = _without_unknown(local, query)
        own = call_app(self._app, local)
        if not own.ok:
            return self._app if merge.page else own
        asked = _without_unknown(local, query)
        asked["QUERY_STRING"] = merge.reword(query, asked["QUERY_STRING"])
        found = self._peers.ask_all(peers, asked, merge.seconds)
        parts = {self._nodes.id: own} | {
            node: answer for node, answer in found.items() if answer.ok and answer.kind == own.kind
        }
        heard = f"{len(parts)} of {nodes}"
        if len(parts) < nodes:
            environ[NODES_HEARD] = heard
        return _from(heard, self._merged(environ, query, merge, parts))

    def _live_peers(self) -> tuple[list[str], bool]:
        """Return the peers, and whether a node is missing: there are subscriptions that no node owns.

        Return no peers if the journal does not answer; this node then answers for itself.
        """
        try:
            return self._nodes.peers(), self._nodes.has_orphans()
        except JournalError:
            return [], False

    def _merged(self, environ: Environ, query: Query, merge: Merge, parts: Mapping[str, RpcResponse]) -> App:
        """Return the application that answers with the merged responses of all nodes; this node's is the first."""
        own = next(iter(parts.values()))
        if merge.json is not None and own.kind == JSON:
            merged = merge.json([json.loads(part.body) for part in parts.values()], query)
            if merge.page:
                environ[MERGED] = merged
                return self._app
            return _with_headers(as_json(merged), own)
        if merge.text is None:
            return own
        texts = {node: part.body.decode() for node, part in parts.items()}
        return _with_headers(Reply(merge.text(texts), content_type=own.kind), own)


def _without_unknown(environ: Environ, query: Query) -> Environ:
    """Return a request without unknown parameters: only this node reports those."""
    return {**environ, "QUERY_STRING": without_unknown(query, environ["REQUEST_METHOD"], environ["PATH_INFO"])}


def _is_page(environ: Environ) -> bool:
    path: str = environ["PATH_INFO"]
    return path.startswith(PAGES)


def _with_headers(reply: Reply, own: RpcResponse) -> Reply:
    """Return a merged response with the further headers of this node's own."""
    reply.headers |= {name: value for name, value in own.headers if not name.lower().startswith("content-")}
    return reply


def _from(heard: str, app: App) -> App:
    """Return an application whose response says how many of the nodes it is from."""

    def with_nodes(environ: Environ, start_response: Start) -> Any:
        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start_response(status, [*headers, (NODES, heard)], *more)

        return app(environ, start)

    return with_nodes
