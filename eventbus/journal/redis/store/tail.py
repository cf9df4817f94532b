"""The end of the journal as it grows, whichever node writes: each event is heard of once, in order."""

import logging
import time
from collections.abc import Sequence
from typing import Any

import gevent
import redis
from gevent.event import Event as Signal
from gevent.lock import RLock

from eventbus.core.log_once import LogOnce
from eventbus.journal.base import CommitListener
from eventbus.journal.redis.lua import script
from eventbus.journal.redis.store import keys
from eventbus.journal.redis.store.rows import new_entries
from eventbus.journal.redis.timing import RedisTiming

#: Events that are read at once.
PAGE = 512
#: Milliseconds that a read waits for an event; less than an answer may take.
WAIT = 2_000
#: Seconds between two log lines of what other programs put among the events: they may put there any number.
LOG_SECONDS = 60.0

log = logging.getLogger(__name__)


class Tail:
    """Reads on, on a connection of its own, and tells the listener."""

    def __init__(self, client: redis.Redis, timing: RedisTiming) -> None:
        self._timing = timing
        self._client = client
        self._remove_foreign = client.register_script(script("remove_foreign"))
        self._log_once = LogOnce()
        self._log_at = 0.0
        self._moved = Signal()
        self._listening = Signal()
        self._listener: CommitListener
        self.place = 0
        self._connecting = RLock()

    def listen(self, listener: CommitListener) -> None:
        """Tell the listener, from the first event after the place on: until now nothing was read."""
        self._listener = listener
        self._listening.set()

    def start(self, place: int) -> None:
        """Begin after this event, once somebody listens."""
        self.place = place
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Read no more."""
        self._end()
        self._client.close()

    def move(self, place: int) -> None:
        """Go on after another event: the journal is not what it was. A read that hangs is given up."""
        self._end()
        self.start(place)

    def _end(self) -> None:
        """End the reader, but not while it connects: nobody would close what it has of a connection."""
        with self._connecting:
            self._greenlet.kill()

    def wait_for(self, seq: int, seconds: float) -> bool:
        """Wait until an event has been heard of, for so many seconds at most; whether it has, or nobody listens."""
        if not self._listening.is_set():
            return True
        ends = time.monotonic() + seconds
        while self.place < seq and (left := ends - time.monotonic()) > 0:
            self._moved.clear()
            self._moved.wait(left)
        return self.place >= seq

    def _run(self) -> None:
        self._listening.wait()
        while True:
            try:
                self._take()
            except redis.ResponseError as error:
                if self._log_once.raised():  # it answers, so that nothing else says what is wrong
                    log.warning("events are not delivered, the journal cannot be read: %s", error)
                gevent.sleep(self._timing.retry_delay_seconds)
            except (redis.RedisError, OSError) as error:
                log.debug("the journal's end cannot be read: %s", error)
                gevent.sleep(self._timing.retry_delay_seconds)
            except Exception:  # without this reader nothing is delivered, and nobody would know
                log.exception("the journal's end was read in a way that was not foreseen")
                gevent.sleep(self._timing.retry_delay_seconds)

    def _take(self) -> None:
        """Tell the listener of what comes next, and remove what is no event. Raises RedisError and OSError."""
        entries, newest = self._read()
        if not newest.isdigit():
            raise redis.ResponseError(f"the newest number is {newest[:40]!r}")
        new = new_entries(entries, self.place, int(newest))
        if new.events:
            self._listener(new.events)
        if new.place > self.place:
            self.place = new.place
            self._moved.set()
        self._log_once.cleared()
        if new.beside or new.beyond:
            self._remove(new.beside)

    def _remove(self, beside: Sequence[bytes]) -> None:
        """Remove these entries, and all after the newest event: until then no number can be given."""
        now = time.monotonic()
        if now >= self._log_at:
            self._log_at = now + LOG_SECONDS
            log.error("removing what another program has put among the events")
        with self._connecting:
            if beside:
                self._client.xdel(keys.EVENTS, *beside)
            self._remove_foreign(keys=[keys.NODES])

    def _read(self) -> tuple[Sequence[Any], bytes]:
        """What stands after the place, and then the newest event's number."""
        command = ("XREAD", "COUNT", PAGE, "BLOCK", WAIT, "STREAMS", keys.EVENTS, f"{self.place}-0")
        commands = [command, ("GET", keys.SEQ)]
        with self._connecting:
            connection: Any = self._client.connection_pool.get_connection()
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            answer, newest = connection.read_response(), connection.read_response()
        except BaseException:
            connection.disconnect()
            raise
        finally:
            self._client.connection_pool.release(connection)
        return answer[0][1] if answer else [], newest or b"0"
