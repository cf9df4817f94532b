"""How a journal on Redis is named: one server, or where to ask which server it is."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qsl, unquote, urlsplit


class Topology(StrEnum):
    """How the server is found that takes writes."""

    SERVER = "server"  # it is named
    SENTINEL = "sentinel"  # Sentinels know it, by the name of what they watch
    CLUSTER = "cluster"  # every server of the cluster knows it, by the slot of the journal's keys


#: The port where a URL names none.
PORTS = {Topology.SERVER: 6379, Topology.SENTINEL: 26_379, Topology.CLUSTER: 6379}
#: Every scheme, with the way that it means and whether it speaks TLS.
SCHEMES = {
    f"{scheme}{'' if topology is Topology.SERVER else f'+{topology}'}": (topology, tls)
    for topology in Topology
    for scheme, tls in (("redis", False), ("rediss", True))
}
#: The forms of a URL, for people.
FORMS = (
    "redis://[USER:PASSWORD@]HOST[:PORT][/NUMBER]",
    "redis+sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]/SERVICE[/NUMBER]",
    "redis+cluster://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]",
)
#: What may be said of TLS after a question mark.
TLS_OPTIONS = frozenset({"ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"})
#: A name or an IPv4 address, or an IPv6 address in brackets, and perhaps a port.
_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?\Z")
#: What is watched has a name of these characters (as Sentinel asks for).
_SERVICE = re.compile(r"[A-Za-z0-9._-]+\Z")
#: A database's number.
_NUMBER = re.compile(r"[0-9]{1,5}\Z")


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A URL in its parts. ``hosts`` has one host for a server, and any number of those that are asked."""

    topology: Topology
    tls: bool
    hosts: tuple[tuple[str, int], ...]
    redacted: str  #: the URL without what is secret in it, and without options
    service: str = ""  #: what Sentinels call it
    database: int = 0
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls_options: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def is_redis(url: str) -> bool:
    """Whether a URL names a journal on Redis, rightly or not."""
    return url.partition("://")[0] in SCHEMES and "://" in url


def parse(url: str) -> RedisUrl:
    """Take a URL apart. Raises ValueError, which does not repeat it: there may be a password in it."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or parts.fragment:
        raise ValueError("no URL of a Redis server")
    topology, tls = SCHEMES[parts.scheme]
    account, _, named = parts.netloc.rpartition("@")
    username, _, password = account.partition(":")
    hosts = tuple(_host(text, PORTS[topology]) for text in named.split(","))
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
    """The service that is asked for, and the database's number; a cluster has neither."""
    path = path.removeprefix("/")
    said = path.split("/") if path else []
    service = said.pop(0) if topology is Topology.SENTINEL and said else ""
    number = said.pop(0) if topology is not Topology.CLUSTER and said else "0"
    if said or not _NUMBER.match(number) or (topology is Topology.SENTINEL and not _SERVICE.match(service)):
        raise ValueError("no service, or no number of a database")
    return service, int(number)


def _options(query: str, *, tls: bool) -> tuple[tuple[str, str], ...]:
    options = parse_qsl(query, keep_blank_values=True)
    if {name for name, _ in options} - (TLS_OPTIONS if tls else set()):
        raise ValueError("options that are none of TLS")
    return tuple(options)
