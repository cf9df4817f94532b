"""The journal on a Redis server, for where a disk does not last, or the bus is to start again on another machine."""

from eventbus.journal.redis.acknowledged import Wanted
from eventbus.journal.redis.journal import RedisJournal

__all__ = ["RedisJournal", "Wanted"]
