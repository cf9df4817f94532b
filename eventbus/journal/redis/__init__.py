"""The journal on a Redis server, for where a disk does not last, or the bus is to start again on another machine."""

from eventbus.journal.redis.store.journal import RedisJournal
from eventbus.journal.redis.store.replication import ReplicationPolicy
from eventbus.journal.redis.timing import RedisTiming

__all__ = ["RedisJournal", "RedisTiming", "ReplicationPolicy"]
