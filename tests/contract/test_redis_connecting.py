"""A caller that is killed while it connects to Redis leaves no socket open."""

import os
import socket

import gevent
import pytest

from eventbus.journal.redis.store.server import connect
from eventbus.journal.redis.timing import RedisTiming
from tests.support.deadline import eventually
from tests.support.ports import LOOPBACK

#: No wait for a connection or an answer is over by itself.
PATIENT = RedisTiming(answer_seconds=60.0, connect_seconds=60.0)
#: Seconds in which the server sees a connection, and its end.
TIMEOUT = 20.0


def open_files() -> int:
    """How many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - as many names as there are, and no paths


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_connection_that_is_made_for_a_killed_caller_is_closed(scheme: str) -> None:
    """The server's queue is full when the caller connects; once there is room the connection is made, and closed."""
    with socket.create_server((LOOPBACK, 0), backlog=0) as server:
        port = server.getsockname()[1]
        with socket.create_connection((LOOPBACK, port)):
            before = open_files()
            caller = gevent.spawn(connect(f"{scheme}://{LOOPBACK}:{port}", "test", PATIENT).ping)
            eventually(lambda: open_files() > before, TIMEOUT)  # its socket is there
            caller.kill()
            del caller  # an unclosed socket that goes with it is a warning, which fails the test
        server.settimeout(TIMEOUT)
        server.accept()[0].close()
        made, _ = server.accept()
        made.settimeout(TIMEOUT)
        with made:
            made.shutdown(socket.SHUT_WR)
            while made.recv(1_024):
                pass
