"""Names as a test wants them, in place of the C library's resolver, and somebody who listens where they lead."""

import socket
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Self

import gevent
from gevent import monkey

from tests.support.ports import LOOPBACK, free_port

#: Two of this machine's addresses: one that tests allow to be dialled, and one that they deny.
GOOD, BAD = LOOPBACK, "127.0.0.2"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
#: A lock of threads, below gevent's: what holds it holds the thread.
_allocate_lock: Callable[[], Any] = monkey.get_original("_thread", "allocate_lock")


class Resolver:
    """Stands in for the C library: names have the answers they are given, the last of them again and again."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self._hanging: list[None] = []  # appended to and popped on threads
        self._answers: dict[str, list[list[str] | Exception]] = {}
        self._silent = _allocate_lock()
        self._silent.acquire()

    def knows(self, name: str, *answers: list[str] | Exception) -> None:
        """The name has these addresses when it is asked for the first time, the second time, and so on."""
        self._answers[name] = list(answers)

    def forgets(self, name: str) -> None:
        """The name has no answer from now on."""
        del self._answers[name]

    @property
    def busy(self) -> int:
        """How many names that do not answer are being asked for just now."""
        return len(self._hanging)

    def speak(self) -> None:
        """Let all names without an answer be unknown from now on."""
        if self._silent.locked():
            self._silent.release()

    def __call__(self, host: str, *_: object) -> list[tuple[Any, ...]]:
        """See socket.getaddrinfo; called on a thread."""
        self.asked[host] += 1
        answers = self._answers.get(host)
        if answers is None:
            self._hang()
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, Exception):
            raise found
        kinds = {text: socket.AF_INET6 if ":" in text else socket.AF_INET for text in found}
        return [(kind, socket.SOCK_STREAM, 6, "", (text, 0)) for text, kind in kinds.items()]

    def _hang(self) -> None:
        self._hanging.append(None)
        with self._silent:
            self._hanging.pop()
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


class Both:
    """One port on the address that may be dialled and on the one that may not; counts who connects."""

    def __init__(self) -> None:
        self.port = free_port()
        self.connections: Counter[str] = Counter()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for host in (GOOD, BAD):
            listener = self._stack.enter_context(socket.create_server((host, self.port)))
            self._stack.callback(gevent.spawn(self._accept, host, listener).kill)
        return self

    def _accept(self, host: str, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            self.connections[host] += 1
            with connection:
                connection.recv(65_536)
                connection.sendall(OK)

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def has_ipv6() -> bool:
    """Whether this machine has a loopback address of IPv6."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
