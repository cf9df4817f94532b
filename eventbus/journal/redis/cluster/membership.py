"""Ownership of lanes: one node owns a lane at a time, for as long as its heartbeats arrive.

Redis decides: it keeps the time at which a node counts as dead, gives its lanes to the peers, and refuses what it may
still write (fencing). A node whose heartbeats do not arrive stops by itself before that moment, since it counts the
same time from when it sent the last one.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import gevent
import redis
from gevent.event import Event as Signal

from eventbus.core.clock import Clock
from eventbus.core.errors import JournalError
from eventbus.journal.cluster_journal import OwnershipListener
from eventbus.journal.copy.copying import Mark, refusal
from eventbus.journal.redis.cluster.process_location import has_ended, this_process
from eventbus.journal.redis.lua import script
from eventbus.journal.redis.store import keys
from eventbus.journal.redis.store.server import translate_errors
from eventbus.journal.redis.timing import DEFAULT_TIMING, RedisTiming
from eventbus.telemetry.failure_log import FailureLog

log = logging.getLogger(__name__)

#: A replication id that no server has.
NO_REPLICATION_ID = "nowhere"
#: Lanes that are handed over in one step, so that a node that joins gets its share.
HANDOVER_LANES = 200


@dataclass(frozen=True, slots=True)
class HeartbeatAccepted:
    """How many lanes are a fair share, how many this node owns, and which of them are new to it."""

    fair: int
    owned: int
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeartbeatRefused:
    """A heartbeat that came too late (``restarted`` is false), or to a server with another replication id, given here.

    This node has lost all its lanes.
    """

    replication_id: str
    restarted: bool


class Membership:
    """This process as one of the nodes that share a journal.

    The listener that ``start`` gets hears which lanes this node acquires and loses.
    """

    def __init__(self, client: redis.Redis, clock: Clock, timing: RedisTiming = DEFAULT_TIMING) -> None:
        self._timing = timing
        self._clock = clock
        self._heartbeat = client.register_script(script("heartbeat"))
        self._claim = client.register_script(script("claim"))
        self._release = client.register_script(script("release"))
        self._owner = client.register_script(script("owner"))
        self._orphans = client.register_script(script("has_orphans"))
        self._client = client
        self._listener: OwnershipListener | None = None
        self.id = ""
        self.until = -math.inf  #: this node may act until then, on the monotonic clock
        self._ahead = 0.0  # ms that Redis's clock is ahead of the monotonic one
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self._kind = "again"  # of its heartbeats; "leaving" from the moment that this node is about to end
        self._failures = FailureLog(log, "Redis does not answer", "Redis answers again")
        self._hurried = Signal()  # to send a heartbeat at once
        self.replication_id = ""  #: of the server that this node reads: what it writes counts for no other one

    def join(self) -> None:
        """Join as a new node without lanes. Raises RedisError, and JournalError on an unfinished copy."""
        self.id = uuid4().hex[:12]
        self._remove_ended_processes()
        self._send_heartbeat("first")

    def _remove_ended_processes(self) -> None:
        """Remove nodes that ran on this machine and have ended: nobody has to wait for those. Raises RedisError."""
        client: Any = self._client
        locations: dict[bytes, bytes] = client.hgetall(keys.LOCATIONS)
        for node, location in locations.items():
            if has_ended(location.decode()):
                self._remove(node.decode())

    def start(self, listener: OwnershipListener) -> None:
        """Acquire lanes at once and from now on, for the listener. Raises JournalUnavailable."""
        self._listener = listener
        with translate_errors("cannot be shared"):
            self.heartbeat()
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def leave(self) -> None:
        """Leave the cluster: the peers may acquire this node's lanes at once."""
        if self._greenlet is not None:
            self._greenlet.kill()
        self.until = -math.inf
        try:
            self._remove(self.id)
        finally:
            self._client.close()

    def withdraw(self) -> None:
        """Stay alive, but acquire no more lanes: the peers share them all. Raises JournalUnavailable."""
        self._kind = "leaving"
        with translate_errors("cannot be shared"):
            self.heartbeat()

    def disconnect(self) -> None:
        """Close the connections of a node that could not join."""
        self._client.close()

    def claim(self, lane: str) -> str | None:
        """Acquire a lane; return the node that owns it where that is a peer. Raises JournalUnavailable."""
        with translate_errors("does not return who owns a subscription"):
            answer = self._run_script(self._claim, self.id, lane)
            if answer[0] == b"dead":
                raise redis.ConnectionError("this node's heartbeats came too late")
        return str(answer[1].decode()) if answer[0] == b"other" else None

    def release(self, lanes: Sequence[str]) -> None:
        """Hand over these lanes. Raises JournalUnavailable."""
        if lanes:
            with translate_errors("does not take back subscriptions"):
                self._run_script(self._release, self.id, *lanes)

    def owner(self, lane: str) -> str | None:
        """Return the live peer that owns a lane, or None. Raises JournalUnavailable."""
        with translate_errors("does not return who owns a subscription"):
            found = self._run_script(self._owner, lane)
        return None if found is None or found.decode() == self.id else str(found.decode())

    def peers(self) -> list[str]:
        """Return the other live nodes. Raises JournalUnavailable."""
        client: Any = self._client
        with translate_errors("does not list the nodes"):
            found = client.execute_command("ZRANGEBYSCORE", keys.NODES, f"{self.deadline(0):.0f}", "+inf")
        return [name.decode() for name in found if name.decode() != self.id]

    def has_orphans(self) -> bool:
        """Return whether some open lane has no live owner. Raises JournalUnavailable."""
        with translate_errors("does not return who owns the subscriptions"):
            return bool(self._run_script(self._orphans))

    def deadline(self, seconds: float) -> float:
        """Return the moment so many seconds from now, in ms by the clock of Redis."""
        return (self._clock.monotonic() + seconds) * 1_000 + self._ahead

    def _run(self) -> None:
        while True:
            self._hurried.wait(self._timing.heartbeat_interval_seconds)
            self._hurried.clear()
            try:
                with self._failures.logged(redis.RedisError, OSError, JournalError):
                    self.heartbeat()
            except Exception:  # without heartbeats this node would never get its lanes back
                log.exception("unexpected error in a heartbeat")

    def heartbeat(self) -> None:
        """Show that this node is alive, and pass on which lanes it acquires or is to hand over. Raises RedisError."""
        answer = self._send_heartbeat(self._kind)
        if isinstance(answer, HeartbeatRefused):
            if answer.restarted:
                log.warning("Redis has restarted, perhaps with less data: reading it again")
            else:
                log.error("ownership lost: this node's heartbeats came too late, and its peers own its subscriptions")
            self._reset(answer.replication_id)
        elif self._listener is None:
            return
        elif answer.new:
            self._listener.acquired(answer.new)
        elif answer.owned > answer.fair + 1 and self._kind == "again":
            self._listener.rebalance(min(HANDOVER_LANES, answer.owned - answer.fair))

    def hurry(self) -> None:
        """Send the next heartbeat at once: something was refused that this node may do."""
        self._hurried.set()

    def refused(self, lanes: Sequence[str]) -> None:
        """Tell the listener that Redis refused to save these lanes, because peers own them."""
        if self._listener is not None:
            self._listener.refused(lanes)

    def _reset(self, replication_id: str) -> None:
        """Give up all lanes, and join as a new node."""
        self.until = -math.inf
        if self._listener is not None:
            self._listener.heartbeat(self.until, -1)
        self._remove(self.id)  # from now on Redis refuses what is written under the old name
        self.replication_id = replication_id  # and what is read is this one's
        try:
            if self._listener is not None:
                self._listener.lost()
            self.join()
        except BaseException:
            self.replication_id = NO_REPLICATION_ID  # so that the next heartbeat resets again
            raise
        self.replication_id = replication_id  # if it has changed since it was read, the next heartbeat is refused

    def owned(self) -> set[str]:
        """Return the lanes that this node owns, according to Redis. Raises JournalUnavailable."""
        client: Any = self._client
        with translate_errors("does not return what this node owns"):
            found = client.execute_command("SMEMBERS", keys.of(self.id))
        return {lane.decode() for lane in found} - {keys.RETENTION}

    def _remove(self, node: str) -> None:
        """Remove a node from the cluster at once. Raises RedisError."""
        self._run_script(self._heartbeat, node, 0, "last", "", "")

    def _send_heartbeat(self, kind: str) -> HeartbeatAccepted | HeartbeatRefused:
        before = self._clock.monotonic()
        alive_ms = int(self._timing.alive_seconds * 1_000)
        answer = self._run_script(self._heartbeat, self.id, alive_ms, kind, this_process(), self.replication_id)
        if answer[0] in (b"dead", b"restarted"):
            return HeartbeatRefused(answer[1].decode(), restarted=answer[0] == b"restarted")
        if answer[0] == b"copy":
            raise refusal("on Redis", Mark.from_json(answer[1].decode()))
        now, _, fair, owned, new, changes, replication_id = answer
        self.until = before + self._timing.alive_seconds - self._timing.margin_seconds
        if self._listener is not None:
            self._listener.heartbeat(self.until, changes)
        self._ahead = float(now) - self._clock.monotonic() * 1_000
        self.replication_id = replication_id.decode()
        return HeartbeatAccepted(fair, owned, tuple(lane.decode() for lane in new))

    def _run_script(self, script: Any, *arguments: Any) -> Any:
        return script(keys=[keys.NODES], args=arguments)
