"""Free ports on loopback that nothing takes by chance before they are listened on."""

import os
import random
import socket

from eventbus.core.ports import DENIED_PORTS

#: Below Linux's range for outgoing connections (32768 to 60999), so that none of those ever sits on one; above it
#: stand the ports of eventbus.testing.
ALL_PORTS = range(20_000, 30_000)
#: Those of this process, where tests run side by side: each share picks among its own.
_number, _shares = (int(part) for part in os.environ.get("TESTS_SHARE", "0/1").split("/"))
PORTS = ALL_PORTS[_number::_shares]
#: Such as pages of documentation name: as wide as theirs, so that tables look the same.
FOUR_DIGITS = range(4_000, 10_000)[_number::_shares]
LOOPBACK = "127.0.0.1"
_given: set[int] = set()


def free_port(within: range = PORTS) -> int:
    """A port that nobody listens on now, and that was not given before: a bus remembers an address's account.

    None of another protocol, to which the bus delivers nothing.
    """
    for port in random.sample(sorted(set(within) - _given - DENIED_PORTS.keys()), 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))  # noqa: S104 - as the bus does; closed again at once
            except OSError:
                continue
            _given.add(port)
            return port
    raise RuntimeError("None of 200 ports is free")
