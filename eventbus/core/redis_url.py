"""URLs of journals on Redis: a single server, Sentinels, or a cluster."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qsl, unquote, urlsplit


class Topology(StrEnum):
    """How the server that accepts writes is found."""

    SERVER = "server"  # the URL names it
    SENTINEL = "sentinel"  # Sentinels know it, by the name of a service
    CLUSTER = "cluster"  # any server of the cluster knows it, by the slot of the journal's keys


#: The port if the URL has none.
DEFAULT_PORTS = {Topology.SERVER: 6379, Topology.SENTINEL: 26_379, Topology.CLUSTER: 6379}
#: Each scheme: its topology, and whether it uses TLS.
SCHEMES = {
    f"{scheme}{'' if topology is Topology.SERVER else f'+{topology}'}": (topology, tls)
    for topology in Topology
    for scheme, tls in (("redis", False), ("rediss", True))
}
#: The forms of a URL, for error messages.
FORMS = (
    "redis://[USER:PASSWORD@]HOST[:PORT][/NUMBER]",
    "redis+sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]/SERVICE[/NUMBER]",
    "redis+cluster://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]",
)
#: The options for TLS in the query.
TLS_OPTIONS = frozenset({"ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"})
#: A name, an IPv4 address, or an IPv6 address in brackets, with an optional port.
_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?\Z")
#: The name of a service (Sentinel allows these characters).
_SERVICE = re.compile(r"[A-Za-z0-9._-]+\Z")
#: A database's number.
_NUMBER = re.compile(r"[0-9]{1,5}\Z")


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """The parts of a URL. ``hosts`` is one host for a server, and one or more for Sentinels and clusters."""

    topology: Topology
    tls: bool
    hosts: tuple[tuple[str, int], ...]
    redacted: str  #: the URL without its secrets and options
    service: str = ""  #: the name that Sentinels know
    database: int = 0
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls_options: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def is_redis(url: str) -> bool:
    """Return whether a URL has a scheme of Redis; the rest may be invalid."""
    return url.partition("://")[0] in SCHEMES and "://" in url


def parse(url: str) -> RedisUrl:
    """Parse a URL. Raises ValueError, whose text does not repeat the URL: it may hold a password."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or parts.fragment:
        raise ValueError("no URL of a Redis server")
    topology, tls = SCHEMES[parts.scheme]
    account, _, named = parts.netloc.rpartition("@")
    username, _, password = account.partition(":")
    hosts = tuple(_host(text, DEFAULT_PORTS[topology]) for text in named.split(","))
    if topology is Topology.SERVER and len(hosts) > 1:
        raise ValueError("more than one server")
    service, database = _path(topology, parts.path)
    return RedisUrl(
        topology,
        tls,
        hosts,
        f"{parts.scheme}://{named}{parts.path}",
        service,
        database,
        unquote(username) or None,
        unquote(password) or None,
        _options(parts.query, tls=tls),
    )


def _host(text: str, port: int) -> tuple[str, int]:
    found = _HOST.match(text)
    number = int(found["port"] or port) if found else 0
    if not found or not 1 <= number <= 65_535:
        raise ValueError("no host, or no port from 1 to 65535")
    return found["six"] or found["name"], number


def _path(topology: Topology, path: str) -> tuple[str, int]:
    """Return the service for Sentinels, and the number of the database; a cluster has neither."""
    path = path.removeprefix("/")
    parts = path.split("/") if path else []
    service = parts.pop(0) if topology is Topology.SENTINEL and parts else ""
    number = parts.pop(0) if topology is not Topology.CLUSTER and parts else "0"
    if parts or not _NUMBER.match(number) or (topology is Topology.SENTINEL and not _SERVICE.match(service)):
        raise ValueError("no service, or no number of a database")
    return service, int(number)


def _options(query: str, *, tls: bool) -> tuple[tuple[str, str], ...]:
    options = parse_qsl(query, keep_blank_values=True)
    if {name for name, _ in options} - (TLS_OPTIONS if tls else set()):
        raise ValueError("options that are none of TLS")
    return tuple(options)
