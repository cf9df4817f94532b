"""Name servers that do not answer, and the way to start a process that asks them (resolv.conf(5))."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import LOOPBACK

#: Binds the files over the system's own, for this process alone, and becomes what comes after them.
_SCRIPT = 'mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/nsswitch.conf && shift 2 && exec "$@"'


@contextmanager
def silent_name_server() -> Iterator[socket.socket]:
    """Take questions on loopback's port for them, in a network of one's own, and answer none; the socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((LOOPBACK, 53))
        yield server


def command_with_name_server(folder: Path) -> tuple[str, ...]:
    """What to put before a command, so that names are looked up there, each for longer than a test takes."""
    resolver, switch = folder / "resolv.conf", folder / "nsswitch.conf"
    resolver.write_text(f"nameserver {LOOPBACK}\noptions timeout:30 attempts:3\n")
    switch.write_text("hosts: files dns\n")
    return "unshare", "--mount", "sh", "-c", _SCRIPT, "sh", str(resolver), str(switch)
