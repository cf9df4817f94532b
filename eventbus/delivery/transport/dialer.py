"""Resolves subscribers' names, checks the addresses against the rules, and connects to an allowed one.

Lookups run on threads, at most one for each name, so that a resolver that does not answer delays only the subscribers
whose names it should resolve.
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
from eventbus.delivery.transport.base import AddressCheck
from eventbus.delivery.transport.happy_eyeballs import connect_first
from eventbus.delivery.transport.limits import DEFAULT_TIMING, TransportTiming

#: Lookups at the same time.
MAX_LOOKUPS = 64
#: Of these, lookups of names that were never resolved before.
MAX_UNKNOWN_LOOKUPS = MAX_LOOKUPS * 3 // 4
#: Names that are remembered as found, and as many as not found.
MAX_REMEMBERED_NAMES = 4_096
#: Addresses of one name to which connections are tried.
MAX_ADDRESSES = 64
#: Hosts that stand for all addresses of this machine.
ANY_HOST = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
#: Has the signature of socket.getaddrinfo; called on a thread.
GetAddrInfo = Callable[..., list[tuple[Any, ...]]]
#: The C library's resolver, which gevent has not patched.
_getaddrinfo: GetAddrInfo = monkey.get_original("socket", "getaddrinfo")


class NotAllowed(OSError):
    """The rules forbid to send to this address; the text says why."""


class Dialer:
    """Connects to hosts by the network rules.

    ``listeners`` are the hosts ("" for all) and ports where the bus itself listens: it never connects there.
    ``allow_ports`` are allowed although they are well-known ports of other protocols than HTTP.
    """

    def __init__(
        self,
        rules: NetworkRules,
        listeners: Collection[tuple[str, int]] = (),
        allow_ports: frozenset[int] = frozenset(),
        *,
        getaddrinfo: GetAddrInfo = _getaddrinfo,
        timing: TransportTiming = DEFAULT_TIMING,
    ) -> None:
        self._rules = rules
        self._allow_ports = allow_ports
        self._listeners = tuple(listeners)
        self._getaddrinfo = getaddrinfo
        self._timing = timing
        self._threads: ThreadPool | None = None
        self._lookups: dict[str, AsyncResult[tuple[list[Ip], str]]] = {}
        self._found: dict[str, None] = {}  # names that were resolved, the latest last
        self._missing: dict[str, tuple[float, str]] = {}  # until when a name counts as not found (monotonic), and why

    def check_address(self, host: str, port: int) -> AddressCheck:
        """Check a host and a port against the rules; wait for its name at most ``timing.max_check`` seconds."""
        with gevent.Timeout(self._timing.max_check) as deadline:
            try:
                allowed = self._allowed(host, port)
            except NotAllowed as error:
                return AddressCheck(str(error))
            except OSError:
                return AddressCheck()
            except gevent.Timeout as timer:
                if timer is not deadline:
                    raise
                return AddressCheck()
        return AddressCheck(ips=frozenset(str(each) for ip in allowed for each in (unmapped(ip), *embedded(ip))))

    def connect(self, host: str, port: int, seconds: float = 10.0) -> socket.socket:
        """Return a socket connected to an allowed address of the host. Raise OSError, or its subclass NotAllowed.

        The caller enforces the time of ``seconds``.
        """
        return connect_first(self._allowed(host, port), lambda ip: _connect_ip(ip, port), seconds)

    def _allowed(self, host: str, port: int) -> list[Ip]:
        """Return the host's allowed addresses. Raise OSError, and NotAllowed if it has only other addresses."""
        reason = port_refusal(port, self._allow_ports)
        if reason is not None:
            raise NotAllowed(reason)
        found = self._resolve_host(host)
        reasons = [self._refusal(ip, port) for ip in found]
        allowed = [ip for ip, reason in zip(found, reasons, strict=True) if reason is None]
        if found and not allowed:
            raise NotAllowed(f"{reasons[0]}.")
        return allowed

    def _refusal(self, ip: Ip, port: int) -> str | None:
        if any(port == own_port and is_listener(host, ip) for host, own_port in self._listeners):
            return f"{ip} port {port} is the bus itself"
        return self._rules.refusal(ip)

    def _resolve_host(self, host: str) -> list[Ip]:
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
            if host not in self._found and len(self._lookups) >= MAX_UNKNOWN_LOOKUPS:
                raise OSError(errno.EBUSY, "too many names are being looked up")
            if self._threads is None:
                self._threads = ThreadPool(MAX_LOOKUPS)
            lookup = self._lookups[host] = AsyncResult()
            gevent.spawn(self._run_lookup, self._threads, host, lookup)
        found, why = lookup.get() or ([], "the name has no address")
        if why:
            raise OSError(why)
        return found

    def _run_lookup(self, threads: ThreadPool, host: str, lookup: "AsyncResult[tuple[list[Ip], str]]") -> None:
        began = time.monotonic()
        try:
            found, why = threads.apply(_resolve, (self._getaddrinfo, host))
        except Exception as unexpected:
            found, why = [], f"the host name could not be looked up: {unexpected!r}"
        finally:
            del self._lookups[host]
        self._remember(host, began, why)
        lookup.set((found, why))

    def _remember(self, host: str, began: float, why: str) -> None:
        """Remember that a name was resolved, or for how long (by the lookup's duration) it is not looked up again."""
        now = time.monotonic()
        self._found.pop(host, None)
        self._missing.pop(host, None)
        if why:
            seconds = min(self._timing.max_not_found, self._timing.not_found_factor * (now - began))
            self._missing[host] = now + seconds, why
        else:
            self._found[host] = None
        if len(self._found) > MAX_REMEMBERED_NAMES:
            self._found.pop(next(iter(self._found)))
        if len(self._missing) > MAX_REMEMBERED_NAMES:
            self._missing.pop(next(iter(self._missing)))


def _connect_ip(ip: Ip, port: int) -> socket.socket:
    """Return a socket connected to this address. Raise OSError."""
    peer = socket.socket(_FAMILIES[ip.version], socket.SOCK_STREAM)
    try:
        peer.connect((str(ip), port))
    except BaseException:
        peer.close()
        raise
    return peer


def _resolve(getaddrinfo: GetAddrInfo, host: str) -> tuple[list[Ip], str]:
    """Return a name's addresses in the resolver's order, or why there are none; called on a thread."""
    try:
        rows = getaddrinfo(host, None, 0, socket.SOCK_STREAM)
    except OSError as error:
        return [], error.strerror or str(error)
    except UnicodeError as error:
        return [], f"the host name cannot be looked up: {error}"
    texts = dict.fromkeys(row[4][0].partition("%")[0] for row in rows)
    return [ipaddress.ip_address(text) for text in islice(texts, MAX_ADDRESSES)], ""


def is_listener(host: str, ip: Ip) -> bool:
    """Whether a listener on ``host``, which may stand for all addresses, is reached at this address."""
    if host in ANY_HOST:
        return is_local_address(ip)
    return unmapped(ipaddress.ip_address(host)) == unmapped(ip)


def unmapped(ip: Ip) -> Ip:
    """Return the IPv4 address in an IPv4-mapped IPv6 address, and any other address as it is."""
    return (ip.ipv4_mapped if ip.version == 6 else None) or ip


def is_local_address(ip: Ip) -> bool:
    """Whether an address belongs to this machine, and so can be bound."""
    with socket.socket(_FAMILIES[ip.version], socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(ip), 0))
        except OSError:
            return False
        return True
