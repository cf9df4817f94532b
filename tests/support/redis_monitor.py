"""All commands that a Redis server is given, as it tells them."""

import socket
from types import TracebackType
from typing import Self

import gevent

from tests.support.ports import LOOPBACK
from tests.support.redis_server import RedisServer


class RedisMonitor:
    """``MONITOR``, on a connection of its own; ``text`` is what it has told by now."""

    def __init__(self, redis: RedisServer) -> None:
        self._connection = socket.create_connection((LOOPBACK, redis.port), timeout=60)
        self.text = b""

    def __enter__(self) -> Self:
        self._connection.sendall(b"MONITOR\r\n")
        assert self._connection.recv(5) == b"+OK\r\n"
        self._reader = gevent.spawn(self._read)
        return self

    def _read(self) -> None:
        while part := self._connection.recv(1 << 20):
            self.text += part

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.kill()
        self._connection.close()
