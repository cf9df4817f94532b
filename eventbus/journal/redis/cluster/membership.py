"""Which node has which lane: each lane is one node's at a time, for as long as that node shows that it lives.

Redis is the judge: it has the time by which a node counts as gone, hands what that one had to the others, and refuses
what it may still write. A node that has not been heard for long stops by itself before that moment, since it counts
the same time from when it last sent its sign.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import gevent
import redis
from gevent.event import Event as Signal

from eventbus.core.clock import Clock
from eventbus.core.errors import JournalError
from eventbus.core.log_once import LogOnce
from eventbus.journal.copy.copying import Mark, refusal
from eventbus.journal.redis.cluster.process_location import here, runs_no_more
from eventbus.journal.redis.lua import script
from eventbus.journal.redis.store import keys
from eventbus.journal.redis.store.server import translate_errors

log = logging.getLogger(__name__)

#: Seconds after its last sign that a node counts as gone, and by how much sooner it stops by itself.
ALIVE_SECONDS, MARGIN = 6.0, 1.5
#: Seconds between two signs.
SIGN_EVERY = 1.0
#: Seconds within which a sign is answered, or is given again on another connection: in time, where only one was lost.
SIGN_SECONDS = 2.0
#: A history that no server has.
NOWHERE = "nowhere"
#: Lanes that are let go in one step, so that a node that joins gets its share.
AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Share:
    """What a sign was answered with: how many lanes are a fair share, how many this node has, and which are new."""

    fair: int
    mine: int
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeartbeatRefused:
    """A sign that came too late, or to a journal with another history, which is ``history`` now: all is lost."""

    history: str
    anew: bool


class Membership:
    """This process as one of the nodes that share a journal.

    ``took`` is called with lanes that are this node's from now on, ``surplus`` with how many are more than its share,
    ``lost`` when it counted as gone: it has nothing any more, and a new name; ``beat`` with the moment until which it
    may act, on the monotonic clock, and a number that changes when some subscriber gets other events than before;
    ``named`` with its name.
    """

    def __init__(self, client: redis.Redis, clock: Clock) -> None:
        self._clock = clock
        self._sign_of_life = client.register_script(script("beat"))
        self._claim = client.register_script(script("claim"))
        self._release = client.register_script(script("release"))
        self._owner = client.register_script(script("owner"))
        self._orphans = client.register_script(script("orphans"))
        self._client = client
        self.took: Callable[[Sequence[str]], object] = _nobody
        self.surplus: Callable[[int], object] = _nobody
        self.lost: Callable[[], object] = _nobody
        self.beat: Callable[[float, int], object] = _nobody
        self.named: Callable[[str], object] = _nobody
        self.id = ""
        self.until = -math.inf  #: this node may act until then, on the monotonic clock
        self._ahead = 0.0  # ms that Redis's clock is ahead of the monotonic one
        self._signs: gevent.Greenlet[[], None] | None = None
        self._kind = "again"  # what a sign of life says; "leaving" from the moment that this node is about to end
        self._log_once = LogOnce()
        self._hurried = Signal()  # to give a sign at once
        self.history = ""  #: of the journal, as this node reads it: what it writes counts for no other one

    def join(self) -> None:
        """Be a node, under a new name, with no lanes yet. Raises RedisError, and JournalError on an unfinished copy."""
        self.id = uuid4().hex[:12]
        self.named(self.id)
        self._bury()
        self._sign("first")

    def _bury(self) -> None:
        """Nodes that ran on this machine, and run no more, need not be waited for. Raises RedisError."""
        client: Any = self._client
        places: dict[bytes, bytes] = client.hgetall(keys.PLACES)
        for node, place in places.items():
            if runs_no_more(place.decode()):
                self._farewell(node.decode())

    def start(self) -> None:
        """Take what is handed out, at once and from now on. Raises JournalUnavailable."""
        with translate_errors("cannot be shared"):
            self.heartbeat()
        self._signs = gevent.spawn(self._run)

    def leave(self) -> None:
        """Be a node no more: others have at once what this one had."""
        if self._signs is not None:
            self._signs.kill()
        self.until = -math.inf
        try:
            self._farewell(self.id)
        finally:
            self._client.close()

    def withdraw(self) -> None:
        """Go on living, but get no more lanes: the others share them all. Raises JournalUnavailable."""
        self._kind = "leaving"
        with translate_errors("cannot be shared"):
            self.heartbeat()

    def disconnect(self) -> None:
        """Let go of the connections of a node that could not join."""
        self._client.close()

    def claim(self, lane: str) -> str | None:
        """Take a lane; the node that has it where that is another one. Raises JournalUnavailable."""
        with translate_errors("does not tell whose a subscriber is"):
            said = self._ask(self._claim, self.id, lane)
            if said[0] == b"dead":
                raise redis.ConnectionError("this bus was not heard for too long")
        return str(said[1].decode()) if said[0] == b"other" else None

    def release(self, lanes: Sequence[str]) -> None:
        """Let others have these lanes. Raises JournalUnavailable."""
        if lanes:
            with translate_errors("does not take back what was this bus's"):
                self._ask(self._release, self.id, *lanes)

    def owner(self, lane: str) -> str | None:
        """Another node that has a lane and lives; None where there is none. Raises JournalUnavailable."""
        with translate_errors("does not tell whose a subscriber is"):
            found = self._ask(self._owner, lane)
        return None if found is None or found.decode() == self.id else str(found.decode())

    def others(self) -> list[str]:
        """The other nodes that live now. Raises JournalUnavailable."""
        client: Any = self._client
        with translate_errors("does not tell who the other buses are"):
            found = client.execute_command("ZRANGEBYSCORE", keys.NODES, f"{self.deadline(0):.0f}", "+inf")
        return [name.decode() for name in found if name.decode() != self.id]

    def orphans(self) -> bool:
        """Whether there are lanes to carry on with that no live node has. Raises JournalUnavailable."""
        with translate_errors("does not tell whose the subscribers are"):
            return bool(self._ask(self._orphans))

    def deadline(self, seconds: float) -> float:
        """A moment so many seconds from now, in ms as Redis has the time."""
        return (self._clock.monotonic() + seconds) * 1_000 + self._ahead

    def _run(self) -> None:
        while True:
            self._hurried.wait(SIGN_EVERY)
            self._hurried.clear()
            try:
                self.heartbeat()
            except (redis.RedisError, OSError, JournalError) as error:
                if self._log_once.raised():
                    log.warning("Redis does not answer: %s", error)
            except Exception:  # a node that shows no life any more would never get its lanes back
                log.exception("a sign of life failed in a way that was not foreseen")
            else:
                if self._log_once.cleared():
                    log.info("Redis answers again")

    def heartbeat(self) -> None:
        """Show life, and take or give what that is answered with. Raises RedisError."""
        share = self._sign(self._kind)
        if isinstance(share, HeartbeatRefused):
            if share.anew:
                log.warning("Redis has started anew, perhaps with less than it had: what it has is read again")
            else:
                log.error("this bus was not heard for too long: others have its subscribers now, and it begins anew")
            self._reset(share.history)
        elif share.new:
            self.took(share.new)
        elif share.mine > share.fair + 1 and self._kind == "again":
            self.surplus(min(AT_ONCE, share.mine - share.fair))

    def hurry(self) -> None:
        """Give the next sign at once: something was refused that was this node's to do."""
        self._hurried.set()

    def _reset(self, history: str) -> None:
        """Have nothing any more, and be a new node: what it had is handed out again."""
        self.until = -math.inf
        self.beat(self.until, -1)
        self._farewell(self.id)  # from now on nothing is kept in its name
        self.history = history  # and what is read is this one's
        try:
            self.lost()
            self.join()
        except BaseException:
            self.history = NOWHERE  # so that it is begun again
            raise
        self.history = history  # which was read; where it has changed since, the next sign is refused

    def mine(self) -> set[str]:
        """The subscribers' lanes that Redis says this node has. Raises JournalUnavailable."""
        client: Any = self._client
        with translate_errors("does not tell what this bus has"):
            found = client.execute_command("SMEMBERS", keys.of(self.id))
        return {lane.decode() for lane in found} - {keys.RETENTION}

    def _farewell(self, node: str) -> None:
        """Let a node count as gone at once. Raises RedisError."""
        self._ask(self._sign_of_life, node, 0, "last", "", "")

    def _sign(self, kind: str) -> Share | HeartbeatRefused:
        before = self._clock.monotonic()
        said = self._ask(self._sign_of_life, self.id, int(ALIVE_SECONDS * 1_000), kind, here(), self.history)
        if said[0] in (b"dead", b"anew"):
            return HeartbeatRefused(said[1].decode(), anew=said[0] == b"anew")
        if said[0] == b"copy":
            raise refusal("on Redis", Mark.from_json(said[1].decode()))
        self.until = before + ALIVE_SECONDS - MARGIN
        self.beat(self.until, said[5])
        self._ahead = float(said[0]) - self._clock.monotonic() * 1_000
        self.history = said[6].decode()
        return Share(said[2], said[3], tuple(lane.decode() for lane in said[4]))

    def _ask(self, run: Any, *arguments: Any) -> Any:
        return run(keys=[keys.NODES], args=arguments)


def _nobody(*_: object) -> None:
    """Is told until somebody is."""
