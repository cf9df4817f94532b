"""Who owns the journal: one process, which shows that it lives, and whose number goes with each of its writes.

Who finds an owner waits until that one has shown no life for a while, or its connection is gone. The number rises
with each owner, and a write with an older one is refused by Redis: a process that was stopped for long and goes on
can do no harm.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import gevent
import redis

from eventbus.clock import Clock
from eventbus.errors import JournalLocked
from eventbus.journal.redis import keys
from eventbus.journal.redis.server import connect, script

log = logging.getLogger(__name__)

#: Seconds after its last sign of life that an owner counts as gone.
ALIVE_SECONDS = 10.0
#: Seconds between two signs of life.
SIGN_EVERY = ALIVE_SECONDS / 4
#: Seconds that a start waits for an owner to be gone, and between two looks.
PATIENCE, LOOK_EVERY = ALIVE_SECONDS + 2.0, 0.25


class Ownership:
    """This process's claim on the journal; ``lost`` is called once, when another process has it."""

    def __init__(self, url: str, clock: Clock, lost: Callable[[], object]) -> None:
        self._clock = clock
        self._lost = lost
        self._name = f"eventbus-{uuid4().hex}"
        self._client = connect(url, self._name)
        self._take = self._client.register_script(script("take"))
        self._keep = self._client.register_script(script("keep"))
        self.epoch = ""

    def take(self) -> None:
        """Become the owner. Raises JournalLocked where another one lives, and RedisError."""
        ends, told = self._clock.monotonic() + PATIENCE, False
        while not self._taken():
            if not told:
                log.warning("the journal is in use by another bus; this one waits up to %g s for it", PATIENCE)
            told = True
            if self._clock.monotonic() > ends:
                raise JournalLocked("The journal is in use by another bus; one bus at a time owns a journal.")
            gevent.sleep(LOOK_EVERY)
        self._signs = gevent.spawn(self._show_life)

    def give_up(self) -> None:
        """Be the owner no more, and say so."""
        self._signs.kill()
        with suppress(redis.RedisError, OSError):  # then it is over by itself
            self._sign(0)
        self._client.close()

    def _taken(self) -> bool:
        milliseconds = int(ALIVE_SECONDS * 1000)
        said, value = self._take(keys=[keys.EPOCH], args=[self._self(), milliseconds, ""])
        if said == b"owner" and self._is_gone(value):
            said, value = self._take(keys=[keys.EPOCH], args=[self._self(), milliseconds, value])
        if said != b"epoch":
            return False
        self.epoch = str(value)
        return True

    def _self(self) -> str:
        """Who this is: the connection's number, and a name that no other has."""
        return f"{self._client.client_id()}:{self._name}"

    def _is_gone(self, owner: bytes) -> bool:
        """Whether an owner's connection has ended; where Redis does not tell, it has not."""
        number, _, name = owner.decode().partition(":")
        try:
            clients: list[dict[str, Any]] = self._client.client_list(client_id=[number])
        except redis.ResponseError:
            return False
        return not any(client.get("name", "").startswith(name) for client in clients)

    def _show_life(self) -> None:
        while True:
            gevent.sleep(SIGN_EVERY)
            try:
                if not self._sign(int(ALIVE_SECONDS * 1000)):
                    log.error("another bus owns the journal now, or Redis has lost it; this one ends")
                    self._lost()
                    return
            except (redis.RedisError, OSError) as error:
                log.warning("Redis does not answer: %s", error)

    def _sign(self, milliseconds: int) -> bool:
        return bool(
            self._keep(keys=[keys.EPOCH], args=[self.epoch, self._self() if milliseconds else "", milliseconds])
        )
