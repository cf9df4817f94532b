"""Follows the end of the journal, whichever node writes: the listener gets each event once, in order."""

import logging
import time
from collections.abc import Sequence
from typing import Any

import gevent
import redis
from gevent.event import Event as Signal

from eventbus.core.log_once import LogOnce
from eventbus.journal.base import CommitListener
from eventbus.journal.redis.lua import script
from eventbus.journal.redis.store import keys
from eventbus.journal.redis.store.rows import new_entries
from eventbus.journal.redis.timing import RedisTiming

#: Entries that are read at once.
PAGE_ENTRIES = 512
#: Milliseconds that a read waits for an event; less than an answer may take.
BLOCK_MS = 2_000
#: Seconds between two log lines about entries of other programs, which may add any number.
LOG_INTERVAL_SECONDS = 60.0

log = logging.getLogger(__name__)


class Tail:
    """Reads what comes after its ``cursor``, on a connection of its own, and calls the listener."""

    def __init__(self, client: redis.Redis, timing: RedisTiming) -> None:
        self._timing = timing
        self._client = client
        self._remove_foreign = client.register_script(script("remove_foreign"))
        self._log_once = LogOnce()
        self._log_at = 0.0
        self._moved = Signal()
        self._listening = Signal()
        self._listener: CommitListener
        self.cursor = 0

    def listen(self, listener: CommitListener) -> None:
        """Call the listener from the first event after the cursor on: nothing was read until now."""
        self._listener = listener
        self._listening.set()

    def start(self, cursor: int) -> None:
        """Read what comes after this event, once there is a listener."""
        self.cursor = cursor
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Stop reading."""
        self._greenlet.kill()
        self._client.close()

    def move(self, cursor: int) -> None:
        """Continue after another event, since the journal has other events now. A read that hangs is given up."""
        self._greenlet.kill()
        self.start(cursor)

    def wait_for(self, seq: int, seconds: float) -> bool:
        """Wait until an event has been read, for so many seconds at most; return whether it has, or nobody listens."""
        if not self._listening.is_set():
            return True
        ends = time.monotonic() + seconds
        while self.cursor < seq and (left := ends - time.monotonic()) > 0:
            self._moved.clear()
            self._moved.wait(left)
        return self.cursor >= seq

    def _run(self) -> None:
        self._listening.wait()
        while True:
            try:
                self._read_on()
            except redis.ResponseError as error:
                if self._log_once.raised():  # Redis answers, so no other log line says what is wrong
                    log.warning("events are not delivered, the journal cannot be read: %s", error)
                gevent.sleep(self._timing.retry_delay_seconds)
            except (redis.RedisError, OSError) as error:
                log.debug("the journal's end cannot be read: %s", error)
                gevent.sleep(self._timing.retry_delay_seconds)
            except Exception:  # without this reader nothing would be delivered
                log.exception("unexpected error while reading the journal's end")
                gevent.sleep(self._timing.retry_delay_seconds)

    def _read_on(self) -> None:
        """Call the listener with the next events, and remove foreign entries. Raises RedisError and OSError."""
        entries, newest = self._read()
        if not newest.isdigit():
            raise redis.ResponseError(f"the newest number is {newest[:40]!r}")
        new = new_entries(entries, self.cursor, int(newest))
        if new.events:
            self._listener(new.events)
        if new.cursor > self.cursor:
            self.cursor = new.cursor
            self._moved.set()
        self._log_once.cleared()
        if new.foreign or new.beyond_newest:
            self._remove(new.foreign)

    def _remove(self, foreign: Sequence[bytes]) -> None:
        """Remove these entries, and all after the newest event, since no number can be given until they are gone."""
        now = time.monotonic()
        if now >= self._log_at:
            self._log_at = now + LOG_INTERVAL_SECONDS
            log.error("removing entries that another program has put among the events")
        if foreign:
            self._client.xdel(keys.EVENTS, *foreign)
        self._remove_foreign(keys=[keys.NODES])

    def _read(self) -> tuple[Sequence[Any], bytes]:
        """Return the entries after the cursor, and the newest event's number, which is read after them."""
        command = ("XREAD", "COUNT", PAGE_ENTRIES, "BLOCK", BLOCK_MS, "STREAMS", keys.EVENTS, f"{self.cursor}-0")
        commands = [command, ("GET", keys.SEQ)]
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
