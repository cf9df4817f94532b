"""Calls between nodes, through lists in Redis: no node has to know the network address of another one.

A call is an item in the list of the node that is called. Its request is stored separately, and expires when its caller
stops waiting: the node that takes the call takes the request too, or finds none because it is too late. So a call is
handled once or not at all. Its answer comes back through a list of the caller.
"""

import logging
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol
from uuid import uuid4

import gevent
import redis
from gevent.event import AsyncResult
from gevent.pool import Pool

from eventbus.core.clock import Clock
from eventbus.core.errors import CallRefused, JournalError, NodeTimeout, NotAccepted
from eventbus.core.log_once import LogOnce
from eventbus.journal.redis.lua import script
from eventbus.journal.redis.store import keys
from eventbus.journal.redis.store.server import connect, translate_errors
from eventbus.journal.redis.timing import DEFAULT_TIMING, RedisTiming

#: Bytes of a request, and of an answer, at most: the largest batch and its envelope.
MAX_BYTES = 17 * 1024 * 1024
#: Calls that may wait for one node, and calls that a node handles at once.
MAX_WAITING_CALLS, MAX_CONCURRENT_CALLS = 1_000, 64
#: Seconds that a read waits for an item; less than an answer of Redis may take.
BLOCK_SECONDS = 2
#: Milliseconds until an answer that nobody takes expires.
ANSWER_EXPIRY_MS = 10_000
#: Seconds that calls under way get to end when the node stops.
STOP_SECONDS = 2.0
#: Characters of a call's name.
NAME_LENGTH = 32
#: An item in a node's list: a call's name, and its caller's.
_CALL = re.compile(rb"([0-9a-f]{32}) ([0-9A-Za-z-]{1,64})\Z")
#: Bytes of an error's text, at most.
MAX_REASON_BYTES = 300
#: How an answer begins, and how an error does.
ANSWERED, FAILED = b"+", b"-"

Handler = Callable[[bytes], bytes]
IsCurrent = Callable[[], bool]

log = logging.getLogger(__name__)


class Named(Protocol):
    """A node; its name changes when it joins again."""

    @property
    def id(self) -> str:
        """The node's name just now."""


class Calls:
    """Calls peers, and serves their calls, in the name of ``node``."""

    def __init__(self, url: str, node: Named, timing: RedisTiming = DEFAULT_TIMING) -> None:
        self._timing = timing
        self._node = node
        self._clock = Clock()
        self._client = connect(url, "eventbus-calls", timing)
        self._blocking = connect(url, "eventbus-lines", timing)  # for reads that wait: each keeps a connection busy
        self._send_call = self._client.register_script(script("send_call"))
        self._send_answer = self._client.register_script(script("send_answer"))
        self._ahead: float | None = None  # ms that Redis's clock is ahead of the monotonic one
        self._waiting: dict[bytes, AsyncResult[bytes]] = {}
        self._in_flight = Pool(MAX_CONCURRENT_CALLS)
        self._readers: list[gevent.Greenlet[..., None]] = []  # of answers, and of calls

    def start(self, handler: Handler) -> None:
        """Receive calls and answers from now on. ``handler`` answers the calls."""
        self._handler = handler
        self._readers = [
            gevent.spawn(self._read, keys.answers, self._take_answer),
            gevent.spawn(self._read, keys.calls, lambda call: self._in_flight.spawn(self._handle, call)),
        ]

    def stop(self) -> None:
        """Take no more calls, let those in flight end, and fail this node's own."""
        for reader in self._readers[1:]:
            reader.kill()
        self._in_flight.join(STOP_SECONDS)
        self._in_flight.kill()
        for reader in self._readers[:1]:
            reader.kill()
        for waiting in self._waiting.values():
            waiting.set(FAILED + b"this one is stopping")
        for client in (self._client, self._blocking):
            client.connection_pool.disconnect()

    def call(self, node: str, request: bytes, seconds: float, is_current: IsCurrent | None = None) -> bytes:
        """Call a node; see Nodes.call. Raises JournalUnavailable, NotAccepted, and NodeTimeout."""
        if len(request) > MAX_BYTES:
            raise NodeTimeout(f"A call has at most {MAX_BYTES} bytes, not {len(request)}.")
        ends, name = self._clock.monotonic() + seconds, uuid4().hex
        waiting: AsyncResult[bytes] = AsyncResult()
        self._waiting[name.encode()] = waiting
        try:
            with translate_errors("cannot carry a call"):
                self._send(node, name, request, ends)
            answer: bytes | None = None
            while answer is None and (left := ends - self._clock.monotonic()) > 0:
                answer = waiting.wait(min(left, self._timing.call_check_seconds))
                if answer is None and is_current is not None and not _still(is_current) and self._withdraw(name):
                    raise NotAccepted(f"Node {node} did not take the call.")
        finally:
            del self._waiting[name.encode()]
        if answer is None:
            self._withdraw(name)
            raise NodeTimeout(f"Node {node} did not answer within {seconds:.3g} s.")
        if not answer.startswith(ANSWERED):
            raise NodeTimeout(f"Node {node} did not answer: {answer[1:MAX_REASON_BYTES].decode('utf-8', 'replace')}.")
        return answer[1:]

    def _send(self, node: str, name: str, request: bytes, ends: float) -> None:
        """Send the request to the node's list. Raises NodeTimeout and RedisError."""
        if self._ahead is None:
            seconds, more = self._client.time()
            self._note_time(seconds * 1_000 + more // 1_000)
        for _ in range(2):  # once more where Redis's clock has been set
            arguments: list[str | bytes | int] = [
                f"{name} {self._node.id}",
                request,
                int(self._on_redis(ends)),
                MAX_WAITING_CALLS,
            ]
            outcome, now = self._send_call(keys=[keys.calls(node), keys.request(name)], args=arguments)
            self._note_time(now)
            if outcome == b"sent":
                return
            if outcome == b"full":
                raise NodeTimeout(f"Node {node} has {MAX_WAITING_CALLS} calls to answer first.")
        raise NodeTimeout(f"Node {node} could not be called in time.")

    def _note_time(self, milliseconds: int) -> None:
        """Note the time by the clock of Redis. It is early by the answer's latency, so no deadline is too late."""
        self._ahead = milliseconds - self._clock.monotonic() * 1_000

    def _on_redis(self, moment: float) -> float:
        """Convert a moment of the monotonic clock to ms by the clock of Redis."""
        return moment * 1_000 + (self._ahead or 0.0)

    def _withdraw(self, name: str) -> bool:
        """Withdraw a request; return whether it is known that nobody has taken it."""
        with suppress(redis.RedisError, OSError):  # then it expires in a moment
            return bool(self._client.delete(keys.request(name)))
        return False

    def _read(self, list_of: Callable[[str], str], take: Callable[[bytes], object]) -> None:
        """Take the items of one of this node's lists."""
        log_once = LogOnce()
        while True:
            try:
                found: Any = self._blocking.blpop([list_of(self._node.id)], timeout=BLOCK_SECONDS)
            except redis.ResponseError as error:
                if log_once.raised():  # Redis answers, so no other log line says what is wrong
                    log.warning("calls of other nodes cannot be read: %s", error)
                gevent.sleep(self._timing.retry_delay_seconds)
                continue
            except (redis.RedisError, OSError) as error:
                log.debug("calls cannot be read: %s", error)
                gevent.sleep(self._timing.retry_delay_seconds)
                continue
            log_once.cleared()
            if found is not None:
                take(found[1])

    def _take_answer(self, item: bytes) -> None:
        waiting = self._waiting.get(item[:NAME_LENGTH])
        if waiting is not None:
            waiting.set(item[NAME_LENGTH:])

    def _handle(self, call: bytes) -> None:
        """Answer a call, unless its caller has stopped waiting."""
        found = _CALL.match(call)
        if found is None:  # another program's
            return
        name, caller = found[1].decode(), found[2].decode()
        try:
            request: Any = self._client.getdel(keys.request(name))
            if request is not None:
                answer = name.encode() + self._answer_to(request)
                self._send_answer(keys=[keys.answers(caller)], args=[answer, ANSWER_EXPIRY_MS])
        except (redis.RedisError, OSError) as error:
            log.warning("node %s could not be answered: %s", caller, error)

    def _answer_to(self, request: bytes) -> bytes:
        try:
            answer = self._handler(request)
        except CallRefused as refused:
            return FAILED + f"it refused the call: {refused}".encode()
        except Exception:
            log.exception("unexpected error in a call of another node")
            return FAILED + b"internal error; see its log"
        if len(answer) > MAX_BYTES:
            return FAILED + b"its answer would have %d bytes, and may have %d" % (len(answer), MAX_BYTES)
        return ANSWERED + answer


def _still(is_current: IsCurrent) -> bool:
    """Return whether the node is still the one to call; true if the journal cannot be read."""
    with suppress(JournalError):
        return is_current()
    return True
