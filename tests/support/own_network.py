"""A network of one's own, with nothing in it but loopback: its ports, and who listens on them, are a test's to choose.

See network_namespaces(7). Only this thread moves there, and what it starts; sockets stay where they were made.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A machine of its own, as it seems: where it is, where it reaches us, and how a command is run there."""

    address: str
    ours: str
    prefix: tuple[str, ...] = ()


@contextmanager
def neighbours(count: int) -> Iterator[Sequence[Neighbour]]:
    """Be in a network of one's own, with so many further ones beside it, each at the end of a cable."""
    with own_network(), ExitStack() as stack:
        yield [stack.enter_context(_neighbour(number)) for number in range(1, count + 1)]


@contextmanager
def _neighbour(number: int) -> Iterator[Neighbour]:
    name, ours, theirs = f"eventbus-{os.getpid()}-{number}", f"10.90.{number}.1", f"10.90.{number}.2"
    inside = ("ip", "netns", "exec", name)
    _ip("netns", "add", name)
    try:
        _ip("link", "add", f"eb{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
        for prefix, link, address in (((), f"eb{number}", ours), (inside, "eth0", theirs)):
            _ip("address", "add", f"{address}/30", "dev", link, prefix=prefix)
            _ip("link", "set", link, "up", prefix=prefix)
        _ip("link", "set", "lo", "up", prefix=inside)
        yield Neighbour(theirs, ours, inside)
    finally:
        _ip("netns", "delete", name)


def _ip(*arguments: str, prefix: tuple[str, ...] = ()) -> None:
    subprocess.run([*prefix, "ip", *arguments], check=True)


def narrow_ports(first: int, last: int) -> None:
    """Let connections leave from these ports only; OSError where that is not allowed."""
    _PORTS.write_text(f"{first} {last}")


def _call(function: "ctypes._NamedFuncPointer", *arguments: int) -> None:
    if function(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
