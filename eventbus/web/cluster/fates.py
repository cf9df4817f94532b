"""Asks the peers what became of an event whose publisher waits, and answers them; no client can ask for this."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import gevent

from eventbus.core.addresses import parse_address
from eventbus.core.errors import BadRequest, CallRefused, EventbusError, JournalError
from eventbus.core.model import Group, Options, Subscriber, Subscription
from eventbus.core.override import override
from eventbus.core.settling import MAX_SETTLE_SECONDS
from eventbus.core.tokens import Scope
from eventbus.delivery.awaited import DeliveryState
from eventbus.journal.cluster_journal import Nodes
from eventbus.services.bus import Bus
from eventbus.services.settled_fates import FatePeers, Fates, PeerFates, SettledFate
from eventbus.web.access import check
from eventbus.web.cluster import rpc
from eventbus.web.cluster.rpc_codec import Environ, RpcResponse
from eventbus.web.query import parse_query
from eventbus.web.settle import SETTLE, STATES
from eventbus.web.subscriber_payloads import identity_payload

GiveWay = Callable[[], None]
#: The path of such a request between nodes.
FATES_PATH = "/eventbus-internal/fates"
#: Seconds within which a node has to answer.
ANSWER_SECONDS = 2.0


class PeersOfPublish(FatePeers):
    """The peers, as a publish asks them that waits for so many seconds; its request's environment is given."""

    def __init__(self, peers: rpc.Peers, nodes: Nodes, give_way: GiveWay, environ: Environ, seconds: float) -> None:
        self._peers = peers
        self._nodes = nodes
        self._give_way = give_way
        self._environ = {**environ, "REQUEST_METHOD": "GET", "PATH_INFO": FATES_PATH}
        self._seconds = seconds

    @override
    def watch(self, event_id: str) -> None:
        gevent.spawn(self.ask, event_id)

    @override
    def ask(self, event_id: str) -> PeerFates:
        try:
            peers, orphans = self._nodes.peers(), self._nodes.has_orphans()
        except JournalError:
            return PeerFates(complete=False)
        environ = {**self._environ, "QUERY_STRING": urlencode({"id": event_id, SETTLE: self._seconds})}
        answers = self._peers.ask_all(peers, environ, ANSWER_SECONDS).values()
        parts = [_fates_in(answer, self._give_way) for answer in answers]
        known = [part for part in parts if part is not None]
        fates = {key: fate for part in known for key, fate in part.items()}
        return PeerFates(fates, complete=len(known) == len(peers) and not orphans)


def answer_fates(bus: Bus, environ: Environ) -> RpcResponse:
    """Answer a peer: what became of an event in this node's lanes. Raises CallRefused."""
    try:
        if bus.tokens:
            check(bus.tokens, (Scope.PUBLISH,), environ)
        query = parse_query(environ["QUERY_STRING"])
        event_id, seconds = query.first("id"), float(query.first(SETTLE) or "")
        if event_id is None or not 0.0 <= seconds <= MAX_SETTLE_SECONDS:
            raise CallRefused("the request names no event, or no time")
        found = bus.settling.report(event_id, seconds)
    except JournalError as error:
        return _response(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    except (EventbusError, ValueError) as error:
        raise CallRefused(str(error)) from error
    return _response(HTTPStatus.OK, "null" if found is None else _rows(found, bus.give_way))


def _response(status: HTTPStatus, body: str) -> RpcResponse:
    return RpcResponse(f"{status.value} {status.phrase}", (("Content-Type", "application/json"),), body.encode())


def _rows(fates: Fates, give_way: GiveWay) -> str:
    """Return fates as JSON, one a line, giving way in between: there may be thousands."""
    rows = []
    for fate in fates.values():
        rows.append(json.dumps({**identity_payload(fate.subscription), **fate.delivery._asdict()}))
        give_way()
    return "\n".join(rows)


def _fates_in(answer: RpcResponse, give_way: GiveWay) -> Fates | None:
    """Return what a peer has answered; None where it does not know the event, or its answer is none."""
    if not answer.ok:
        return None
    try:
        if answer.body == b"null":
            return None
        found = {}
        for line in answer.body.splitlines():
            fate = _fate_in(json.loads(line))
            found[fate.subscription.key] = fate
            give_way()
    except (ValueError, LookupError, TypeError, BadRequest):
        return None
    return found


def _fate_in(row: Mapping[str, Any]) -> SettledFate:
    state = row["state"]
    if state not in STATES:
        raise ValueError(f"no state: {state!r}")
    return SettledFate(_subscription_in(row), DeliveryState(state, _number(row["attempts"]), _number(row["status"])))


def _subscription_in(row: Mapping[str, Any]) -> Subscription:
    if row["group"] is not None:
        return Group(str(row["group"]), Options())
    return Subscriber(parse_address(row["address"]).with_target(row["path"] or ""), Options())


def _number(value: Any) -> int | None:
    return None if value is None else int(value)
