"""A network of one's own, with nothing in it but loopback: its ports, and who listens on them, are a test's to choose.

See network_namespaces(7). Only this thread moves there, and what it starts; sockets stay where they were made.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x4000_0000
_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def why_not() -> str | None:
    """Why there can be no such network here, if so."""
    if os.geteuid() != 0:
        return "only root may make a network namespace without a user namespace"
    return None if shutil.which("ip") else "there is no ip command"


@contextmanager
def own_network() -> Iterator[None]:
    """Be in a network of one's own; OSError where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as home:
        _call(libc.unshare, _CLONE_NEWNET)
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            _call(libc.setns, home.fileno(), _CLONE_NEWNET)


def narrow_ports(first: int, last: int) -> None:
    """Let connections leave from these ports only; OSError where that is not allowed."""
    _PORTS.write_text(f"{first} {last}")


def _call(function: "ctypes._NamedFuncPointer", *arguments: int) -> None:
    if function(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
