"""Forwards clients' requests to peers, and answers the requests that peers forward."""

import logging
from collections.abc import Callable, Sequence

import gevent

from eventbus.core.access import Access
from eventbus.core.clock import Clock
from eventbus.core.errors import CallRefused, JournalError, NodeTimeout
from eventbus.core.tokens import Tokens
from eventbus.journal.cluster_journal import Nodes
from eventbus.services.known_tokens import KnownTokens
from eventbus.web.access import access_of
from eventbus.web.cluster.rpc_codec import Environ, RpcResponse, decode_response, environ_of, forwarded_fields
from eventbus.web.cluster.signed_calls import CallReader, Key, SignedCall, key_of, sign
from eventbus.web.credentials import secret_fields

#: Seconds between two log lines about refused calls: whoever can write to Redis can send any number of them.
LOG_INTERVAL_SECONDS = 60.0

log = logging.getLogger(__name__)


class Peers:
    """Calls peers, and answers their calls."""

    def __init__(self, nodes: Nodes, tokens: KnownTokens) -> None:
        self._nodes = nodes
        self._tokens = tokens
        self._of_settings = _keys_of(tokens.of_settings)
        self._reader = CallReader()
        self._clock = Clock()
        self._refused, self._log_at = 0, 0.0

    def ask(
        self, node: str, environ: Environ, seconds: float, still_valid: Callable[[], bool] | None = None
    ) -> RpcResponse:
        """Return a peer's response to a request. Raises JournalError, NodeTimeout, NotAccepted and Conflict."""
        call = self._signed(node, environ, seconds)
        return _answer_of(node, call, self._nodes.call(node, call.text, seconds, still_valid))

    def ask_all(self, nodes: Sequence[str], environ: Environ, seconds: float) -> dict[str, RpcResponse]:
        """Return the peers' responses to a request, sent to all at once; leave out those that do not answer."""
        asked = {node: gevent.spawn(self._ask_one, node, environ, seconds) for node in nodes}
        answers = {node: greenlet.get() for node, greenlet in asked.items()}
        return {node: answer for node, answer in answers.items() if answer is not None}

    def answer(self, call: bytes, by: Callable[[Environ], RpcResponse]) -> bytes:
        """Return this node's signed response to a peer's call. Raises CallRefused if the call is not valid."""
        try:
            opened = self._reader.open(call, self._keys, self._nodes.id, self._nodes.now())
            answer = by(environ_of(opened.request, opened.access))
        except CallRefused as refused:
            self._log(refused)
            raise
        return opened.reply(answer.encode())

    def _ask_one(self, node: str, environ: Environ, seconds: float) -> RpcResponse | None:
        try:
            return self.ask(node, environ, seconds)
        except (JournalError, NodeTimeout):
            return None

    def _signed(self, node: str, environ: Environ, seconds: float) -> SignedCall:
        access, until = access_of(environ, self._tokens), self._nodes.now() + seconds * 1_000
        request, secret = forwarded_fields(environ), secret_fields(environ)
        return sign(self._keys, node, until, request, access, secret=secret)

    @property
    def _keys(self) -> list[Key]:
        """Return the keys of the settings' tokens, and those of the file."""
        return [*self._of_settings, *self._tokens.call_keys]

    def _log(self, refused: CallRefused) -> None:
        self._refused += 1
        now = self._clock.monotonic()
        if now >= self._log_at:
            log.warning("refused %d calls of peers; latest: %s", self._refused, refused)
            self._refused, self._log_at = 0, now + LOG_INTERVAL_SECONDS


def _keys_of(tokens: Tokens) -> list[Key]:
    """Return the keys of the settings' tokens, derived in a thread, since that takes long."""
    make = gevent.get_hub().threadpool.apply
    return [(make(key_of, (digest,)), Access(scopes)) for digest, scopes in tokens.by_digest().items()]


def _answer_of(node: str, call: SignedCall, reply: bytes) -> RpcResponse:
    try:
        return decode_response(call.verify(reply))
    except CallRefused as refused:
        raise NodeTimeout(f"Node {node} did not answer: {refused}.") from refused
