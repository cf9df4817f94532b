"""A subscriber that takes each connection and never answers."""

import socket
from contextlib import ExitStack


class Tarpit:
    """Listens on a host of loopback, and accepts nothing: the kernel takes connections, and what is sent, for it."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._stack = ExitStack()
        self.address = ""

    def __enter__(self) -> "Tarpit":
        listener = self._stack.enter_context(socket.socket())
        listener.bind((self._host, 0))
        listener.listen(4_096)
        self.address = f"{self._host}:{listener.getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
