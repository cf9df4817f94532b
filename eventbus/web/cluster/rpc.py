"""How this node asks other nodes what a client has asked, and answers what they ask."""

import logging
from collections.abc import Callable, Sequence

import gevent

from eventbus.core.clock import Clock
from eventbus.core.errors import CallRefused, JournalError, NodeTimeout
from eventbus.core.tokens import Tokens
from eventbus.journal.cluster_journal import Nodes
from eventbus.web.access import scopes_of
from eventbus.web.cluster.rpc_codec import Environ, RpcResponse, carried, environ_of, unpacked
from eventbus.web.cluster.signed_calls import CallReader, Key, SignedCall, key_of, sign

#: Seconds between two log lines of calls that were refused: whoever can write to Redis can send any number.
LOG_SECONDS = 60.0

log = logging.getLogger(__name__)


class Peers:
    """The other nodes, as this one's application asks and answers them."""

    def __init__(self, nodes: Nodes, tokens: Tokens) -> None:
        self._nodes = nodes
        self._tokens = tokens
        self._keys = _keys_of(tokens)
        self._reader = CallReader(self._keys)
        self._clock = Clock()
        self._refused, self._log_at = 0, 0.0

    def ask(self, node: str, environ: Environ, seconds: float, stands: Callable[[], bool] | None = None) -> RpcResponse:
        """What a node answers to a request. Raises JournalError, NodeTimeout and NotAccepted."""
        call = self._signed(node, environ, seconds)
        return _answer_of(node, call, self._nodes.call(node, call.text, seconds, stands))

    def ask_all(self, nodes: Sequence[str], environ: Environ, seconds: float) -> dict[str, RpcResponse]:
        """What these nodes answer, all asked at once; those that do not are left out."""
        asked = {node: gevent.spawn(self._ask_one, node, environ, seconds) for node in nodes}
        answers = {node: greenlet.get() for node, greenlet in asked.items()}
        return {node: answer for node, answer in answers.items() if answer is not None}

    def answer(self, call: bytes, by: Callable[[Environ], RpcResponse]) -> bytes:
        """What this node answers to another one's call. Raises CallRefused where it does not count."""
        try:
            opened = self._reader.open(call, self._nodes.id, self._nodes.now())
            answer = by(environ_of(opened.request, opened.scopes))
        except CallRefused as refused:
            self._log(refused)
            raise
        return opened.reply(answer.packed())

    def _ask_one(self, node: str, environ: Environ, seconds: float) -> RpcResponse | None:
        try:
            return self.ask(node, environ, seconds)
        except (JournalError, NodeTimeout):
            return None

    def _signed(self, node: str, environ: Environ, seconds: float) -> SignedCall:
        scopes = scopes_of(environ, self._tokens)
        return sign(self._keys, node, self._nodes.now() + seconds * 1_000, carried(environ), scopes)

    def _log(self, refused: CallRefused) -> None:
        self._refused += 1
        now = self._clock.monotonic()
        if now >= self._log_at:
            log.warning("refused %d calls of other nodes; the newest: %s", self._refused, refused)
            self._refused, self._log_at = 0, now + LOG_SECONDS


def _keys_of(tokens: Tokens) -> list[Key]:
    """The keys of all tokens; made apart from the event loop, since that takes long."""
    make = gevent.get_hub().threadpool.apply
    return [(make(key_of, (digest,)), scopes) for digest, scopes in tokens.by_digest().items()]


def _answer_of(node: str, call: SignedCall, reply: bytes) -> RpcResponse:
    try:
        return unpacked(call.answer_in(reply))
    except CallRefused as refused:
        raise NodeTimeout(f"Node {node} did not answer: {refused}.") from refused
