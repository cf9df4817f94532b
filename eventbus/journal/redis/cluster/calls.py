"""Calls from node to node, over lists in Redis: nobody has to know where another node can be reached.

A call stands in the list of the node that is asked, and its request apart, for as long as its caller waits: whoever
takes the call takes the request away, or finds that it is too late. So a call is handled once or not at all. Its
answer comes back over a list of its caller's.
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

#: Bytes of a request, and of an answer, at most: the largest batch and what is said around it.
MAX_BYTES = 17 * 1024 * 1024
#: Calls that may wait for one node, and that one handles at once.
MAX_WAITING, AT_ONCE = 1_000, 64
#: What comes in is read by one for answers and one for calls.
READERS = 2
#: Seconds that a read waits for something to come; less than an answer of Redis may take.
WAIT = 2
#: Milliseconds that an answer stays where nobody fetches it.
ANSWER_STAYS = 10_000
#: Seconds that calls under way get to end when the node stops.
STOP_SECONDS = 2.0
#: Characters of a call's name.
NAME = 32
#: What stands among the calls of a node: a call's name, and its caller's.
_CALL = re.compile(rb"([0-9a-f]{32}) ([0-9A-Za-z-]{1,64})\Z")
#: Bytes of the reason for which there is no answer, at most.
MAX_REASON = 300
#: How an answer begins, and how the reason does for which there is none.
ANSWERED, FAILED = b"+", b"-"

Handler = Callable[[bytes], bytes]
Stands = Callable[[], bool]

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
        self._lines = connect(url, "eventbus-lines", timing)  # for reads that wait: each keeps a connection busy
        self._ask = self._client.register_script(script("send_call"))
        self._answer = self._client.register_script(script("send_answer"))
        self._ahead: float | None = None  # ms that Redis's clock is ahead of the monotonic one
        self._waiting: dict[bytes, AsyncResult[bytes]] = {}
        self._under_way = Pool(AT_ONCE)
        self._readers: list[gevent.Greenlet[..., None]] = []  # of answers, and of calls

    def start(self, handler: Handler) -> None:
        """Take calls from now on, and what this node's own are answered with. ``handler`` makes the answers."""
        self._handler = handler
        self._connect()
        self._readers = [
            gevent.spawn(self._read, keys.answers, self._take_answer),
            gevent.spawn(self._read, keys.calls, lambda call: self._under_way.spawn(self._handle, call)),
        ]

    def _connect(self) -> None:
        """Have connections for both readers: one that is ended while it connects leaves half of one behind."""
        pool: Any = self._lines.connection_pool
        connections: list[Any] = []
        with suppress(redis.RedisError, OSError):  # the readers try again
            while len(connections) < READERS:
                connections.append(pool.get_connection())
        for connection in connections:
            pool.release(connection)

    def stop(self) -> None:
        """Take no more calls, let those under way end, and give up this node's own."""
        for reader in self._readers[1:]:
            reader.kill()
        self._under_way.join(STOP_SECONDS)
        self._under_way.kill()
        for reader in self._readers[:1]:
            reader.kill()
        for waiting in self._waiting.values():
            waiting.set(FAILED + b"this one is stopping")
        for client in (self._client, self._lines):
            client.connection_pool.disconnect()

    def call(self, node: str, request: bytes, seconds: float, stands: Stands | None = None) -> bytes:
        """See Nodes.call. Raises JournalUnavailable, NotAccepted, and NodeTimeout where there is no answer in time."""
        if len(request) > MAX_BYTES:
            raise NodeTimeout(f"A node is asked with at most {MAX_BYTES} bytes, not {len(request)}.")
        ends, name = self._clock.monotonic() + seconds, uuid4().hex
        waiting: AsyncResult[bytes] = AsyncResult()
        self._waiting[name.encode()] = waiting
        try:
            with translate_errors("cannot carry a call"):
                self._send(node, name, request, ends)
            said: bytes | None = None
            while said is None and (left := ends - self._clock.monotonic()) > 0:
                said = waiting.wait(min(left, self._timing.call_check_seconds))
                if said is None and stands is not None and not _is_true(stands) and self._withdraw(name):
                    raise NotAccepted(f"Node {node} did not take what it was asked.")
        finally:
            del self._waiting[name.encode()]
        if said is None:
            self._withdraw(name)
            raise NodeTimeout(f"Node {node} did not answer within {seconds:.3g} s.")
        if not said.startswith(ANSWERED):
            raise NodeTimeout(f"Node {node} did not answer: {said[1:MAX_REASON].decode('utf-8', 'replace')}.")
        return said[1:]

    def _send(self, node: str, name: str, request: bytes, ends: float) -> None:
        """Leave the request where the node finds it. Raises NodeTimeout and RedisError."""
        if self._ahead is None:
            seconds, more = self._client.time()
            self._compare(seconds * 1_000 + more // 1_000)
        for _ in range(2):  # once more where Redis's clock has been set
            arguments: list[str | bytes | int] = [
                f"{name} {self._node.id}",
                request,
                int(self._on_redis(ends)),
                MAX_WAITING,
            ]
            said, now = self._ask(keys=[keys.calls(node), keys.request(name)], args=arguments)
            self._compare(now)
            if said == b"sent":
                return
            if said == b"full":
                raise NodeTimeout(f"Node {node} has {MAX_WAITING} calls to answer first.")
        raise NodeTimeout(f"Node {node} could not be asked in time.")

    def _compare(self, milliseconds: int) -> None:
        """Note what time Redis has; by the answer's way it is too early, so that no deadline is too late."""
        self._ahead = milliseconds - self._clock.monotonic() * 1_000

    def _on_redis(self, moment: float) -> float:
        """A moment of the monotonic clock in ms, as Redis has the time."""
        return moment * 1_000 + (self._ahead or 0.0)

    def _withdraw(self, name: str) -> bool:
        """Take a request back; whether that is known to come before anybody has taken it."""
        with suppress(redis.RedisError, OSError):  # then it is gone in a moment by itself
            return bool(self._client.delete(keys.request(name)))
        return False

    def _read(self, line: Callable[[str], str], take: Callable[[bytes], object]) -> None:
        """Take what comes in one of this node's lists."""
        trouble = LogOnce()
        while True:
            try:
                found: Any = self._lines.blpop([line(self._node.id)], timeout=WAIT)
            except redis.ResponseError as error:
                if trouble.raised():  # Redis answers, so that nothing else says what is wrong
                    log.warning("calls of other nodes cannot be read: %s", error)
                gevent.sleep(self._timing.retry_delay_seconds)
                continue
            except (redis.RedisError, OSError) as error:
                log.debug("calls cannot be read: %s", error)
                gevent.sleep(self._timing.retry_delay_seconds)
                continue
            trouble.cleared()
            if found is not None:
                take(found[1])

    def _take_answer(self, item: bytes) -> None:
        waiting = self._waiting.get(item[:NAME])
        if waiting is not None:
            waiting.set(item[NAME:])

    def _handle(self, call: bytes) -> None:
        """Answer a call, unless its caller has given up."""
        found = _CALL.match(call)
        if found is None:  # another program's
            return
        name, caller = found[1].decode(), found[2].decode()
        try:
            request: Any = self._client.getdel(keys.request(name))
            if request is not None:
                said = name.encode() + self._said(request)
                self._answer(keys=[keys.answers(caller)], args=[said, ANSWER_STAYS])
        except (redis.RedisError, OSError) as error:
            log.warning("node %s could not be answered: %s", caller, error)

    def _said(self, request: bytes) -> bytes:
        try:
            answer = self._handler(request)
        except CallRefused as refused:
            return FAILED + f"it refused the call: {refused}".encode()
        except Exception:
            log.exception("a call of another node failed in a way that was not foreseen")
            return FAILED + b"it made a mistake, and its log says more"
        if len(answer) > MAX_BYTES:
            return FAILED + b"its answer would have %d bytes, and may have %d" % (len(answer), MAX_BYTES)
        return ANSWERED + answer


def _is_true(stands: Stands) -> bool:
    """What is said, and that it is so where that cannot be told."""
    with suppress(JournalError):
        return stands()
    return True
