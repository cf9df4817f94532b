"""Free ports on loopback that nothing takes by chance before they are listened on."""

import random
import socket

#: Below Linux's range for outgoing connections (32768 to 60999), so that none of those ever sits on one.
PORTS = range(20_000, 32_000)
LOOPBACK = "127.0.0.1"
_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on now, and that was not given before: a bus remembers an address's account."""
    for port in random.sample(sorted(set(PORTS) - _given), 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))  # noqa: S104 - as the bus does; closed again at once
            except OSError:
                continue
            _given.add(port)
            return port
    raise RuntimeError("None of 200 ports is free")
