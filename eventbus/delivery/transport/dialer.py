"""Opens connections to subscribers: looks a name up, passes over what may not be dialled, and dials what was checked.

Lookups run on threads of their own, one at a time for a name, so that a resolver that does not answer holds up
nobody but the subscribers whose names it should know.
"""

import errno
import ipaddress
import socket
import time
from collections.abc import Callable, Collection
from itertools import islice
from typing import Any

import gevent
from gevent import monkey
from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

from eventbus.core.networks import Ip, NetworkRules, embedded
from eventbus.core.ports import port_refusal
from eventbus.delivery.transport.base import Examined
from eventbus.delivery.transport.happy_eyeballs import connect_first

#: Lookups under way at once, at most.
LOOKUPS = 64
#: Of these, for names that have not been found before.
UNKNOWN_LOOKUPS = LOOKUPS * 3 // 4
#: Names that were found, and those that were not, that are remembered.
REMEMBERED = 4_096
#: Addresses of one name that are dialled, at most.
ADDRESSES = 64
#: Seconds for which a name is not looked up again: so many times what a lookup without success took, and at most.
AGAIN, LONGEST_AGAIN = 3.0, 30.0
#: Seconds that a lookup may take where a registration waits for it.
CHECK_SECONDS = 2.0
#: Hosts on which every address is listened to.
EVERY_HOST = ("", "0.0.0.0", "::")  # noqa: S104 - they are told apart
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
#: The resolver of the C library, below gevent's.
_getaddrinfo: Callable[..., list[tuple[Any, ...]]] = monkey.get_original("socket", "getaddrinfo")


class NotAllowed(OSError):
    """Nothing may be sent to this address; the text says why."""


class Dialer:
    """Knows the rules, where the bus itself listens, and which ports are allowed that are no HTTP's.

    A listener is host and port, "" for every host.
    """

    def __init__(
        self,
        rules: NetworkRules,
        listeners: Collection[tuple[str, int]] = (),
        allow_ports: frozenset[int] = frozenset(),
    ) -> None:
        self._rules = rules
        self._allow_ports = allow_ports
        self._listeners = tuple(listeners)
        self._threads: ThreadPool | None = None
        self._lookups: dict[str, AsyncResult[tuple[list[Ip], str]]] = {}
        self._found: dict[str, None] = {}  # names that were found, the latest last
        self._missing: dict[str, tuple[float, str]] = {}  # until when a name counts as not found, and why

    def examine(self, host: str, port: int) -> Examined:
        """Whether a subscriber can be there, and where that is, as far as can be told now."""
        with gevent.Timeout(CHECK_SECONDS) as deadline:
            try:
                good = self._allowed(host, port)
            except NotAllowed as error:
                return Examined(str(error))
            except OSError:
                return Examined()
            except gevent.Timeout as timer:
                if timer is not deadline:
                    raise
                return Examined()
        return Examined(ips=frozenset(str(each) for ip in good for each in (unmapped(ip), *embedded(ip))))

    def connect(self, host: str, port: int, seconds: float = 10.0) -> socket.socket:
        """A connected socket. Raises OSError, NotAllowed among them; the caller bounds the time, to ``seconds``."""
        return connect_first(self._allowed(host, port), lambda ip: _connected(ip, port), seconds)

    def _allowed(self, host: str, port: int) -> list[Ip]:
        """The addresses that may be dialled. Raises OSError, NotAllowed where there are only others."""
        reason = port_refusal(port, self._allow_ports)
        if reason is not None:
            raise NotAllowed(reason)
        found = self._addresses(host)
        reasons = [self._reason(ip, port) for ip in found]
        good = [ip for ip, reason in zip(found, reasons, strict=True) if reason is None]
        if found and not good:
            raise NotAllowed(f"{reasons[0]}.")
        return good

    def _reason(self, ip: Ip, port: int) -> str | None:
        if any(port == own_port and listens_at(host, ip) for host, own_port in self._listeners):
            return f"{ip} port {port} is the bus itself"
        return self._rules.refusal(ip)

    def _addresses(self, host: str) -> list[Ip]:
        try:
            return [ipaddress.ip_address(host)]
        except ValueError:
            return self._look_up(host)

    def _look_up(self, host: str) -> list[Ip]:
        lookup = self._lookups.get(host)
        if lookup is None:
            until, why = self._missing.get(host, (0.0, ""))
            if time.monotonic() < until:
                raise OSError(why)
            if host not in self._found and len(self._lookups) >= UNKNOWN_LOOKUPS:
                raise OSError(errno.EBUSY, "too many names are being looked up")
            if self._threads is None:
                self._threads = ThreadPool(LOOKUPS)
            lookup = self._lookups[host] = AsyncResult()
            gevent.spawn(self._run, self._threads, host, lookup)
        found, why = lookup.get() or ([], "the name has no address")
        if why:
            raise OSError(why)
        return found

    def _run(self, threads: ThreadPool, host: str, lookup: "AsyncResult[tuple[list[Ip], str]]") -> None:
        began = time.monotonic()
        try:
            found, why = threads.apply(_resolve, (host,))
        except Exception as unforeseen:
            found, why = [], f"the host name could not be looked up: {unforeseen!r}"
        finally:
            del self._lookups[host]
        self._remember(host, began, why)
        lookup.set((found, why))

    def _remember(self, host: str, began: float, why: str) -> None:
        """A name that was found may use threads that others may not; one that was not is left alone for a while."""
        now = time.monotonic()
        self._found.pop(host, None)
        self._missing.pop(host, None)
        if why:
            self._missing[host] = now + min(LONGEST_AGAIN, AGAIN * (now - began)), why
        else:
            self._found[host] = None
        if len(self._found) > REMEMBERED:
            self._found.pop(next(iter(self._found)))
        if len(self._missing) > REMEMBERED:
            self._missing.pop(next(iter(self._missing)))


def _connected(ip: Ip, port: int) -> socket.socket:
    """A socket that is connected to this address. Raises OSError."""
    peer = socket.socket(_FAMILIES[ip.version], socket.SOCK_STREAM)
    try:
        peer.connect((str(ip), port))
    except BaseException:
        peer.close()
        raise
    return peer


def _resolve(host: str) -> tuple[list[Ip], str]:
    """Runs on a thread: the addresses of a name, in the resolver's order, or why there are none."""
    try:
        rows = _getaddrinfo(host, None, 0, socket.SOCK_STREAM)
    except OSError as error:
        return [], error.strerror or str(error)
    except UnicodeError as error:
        return [], f"the host name cannot be looked up: {error}"
    texts = dict.fromkeys(row[4][0].partition("%")[0] for row in rows)
    return [ipaddress.ip_address(text) for text in islice(texts, ADDRESSES)], ""


def listens_at(host: str, ip: Ip) -> bool:
    """Whether who listens on ``host``, one address or all, is reached at this one."""
    if host in EVERY_HOST:
        return is_own(ip)
    return unmapped(ipaddress.ip_address(host)) == unmapped(ip)


def unmapped(ip: Ip) -> Ip:
    """An IPv4 address that is written as an IPv6 one, as itself."""
    return (ip.ipv4_mapped if ip.version == 6 else None) or ip


def is_own(ip: Ip) -> bool:
    """Whether an address is this machine's: only such a one can be bound to."""
    with socket.socket(_FAMILIES[ip.version], socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(ip), 0))
        except OSError:
            return False
        return True
