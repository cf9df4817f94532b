"""The networks that subscribers may be in: rules for IP addresses, including those embedded in IPv6 ones. Pure.

``ipaddress`` changes what it takes for private or global between versions of Python, so the denied networks are listed
here.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from eventbus.core.errors import SettingsError

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: In ``EVENTBUS_DENY_NETWORKS``: all networks that are not allowed.
ALL_NETWORKS = "*"
#: Networks that are denied unless they, or parts of them, are allowed explicitly, and what they are: IANA's registries
#: of special-purpose addresses, and the metadata services of cloud providers.
DENIED_NETWORKS: tuple[tuple[Network, str], ...] = tuple(
    (ipaddress.ip_network(network), what)
    for network, what in (
        ("0.0.0.0/8", "unspecified"),
        ("100.100.100.200/32", "a cloud's metadata"),
        ("168.63.129.16/32", "a cloud's metadata"),
        ("169.254.0.0/16", "link-local, where clouds keep their metadata"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "reserved for documentation"),
        ("192.88.99.0/24", "reserved"),
        ("198.18.0.0/15", "reserved for benchmarks"),
        ("198.51.100.0/24", "reserved for documentation"),
        ("203.0.113.0/24", "reserved for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("255.255.255.255/32", "broadcast"),
        ("::/128", "unspecified"),
        ("64:ff9b:1::/48", "reserved for local translation"),
        ("100::/64", "reserved for discarding"),
        ("2001:db8::/32", "reserved for documentation"),
        ("3fff::/20", "reserved for documentation"),
        ("fd00:ec2::254/128", "a cloud's metadata"),
        ("fd20:ce::254/128", "a cloud's metadata"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "reserved"),
        ("ff00::/8", "multicast"),
    )
)
_COMPATIBLE = ipaddress.ip_network("::/96")
_TRANSLATED = ipaddress.ip_network("::ffff:0:0:0/96")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_WORD = 0xFFFF_FFFF
#: The third word of an ISATAP address, without the bit for a globally unique address.
_ISATAP = 0x0000_5EFE


@dataclass(frozen=True, slots=True)
class NetworkRules:
    """What is denied beyond DENIED_NETWORKS, and what is allowed.

    The more specific network counts. Of two that are equal, the denial counts.
    """

    deny: tuple[Network, ...] = ()
    allow: tuple[Network, ...] = ()

    def refusal(self, ip: Ip) -> str | None:
        """Return why an address is denied; None if it is allowed. Embedded IPv4 addresses are checked, too."""
        plain = ip.ipv4_mapped or ip if ip.version == 6 else ip
        for address in (plain, *embedded(plain)):
            reason = self._refusal(address)
            if reason is not None:
                return reason if address == ip else f"{reason}, which is embedded in {ip}"
        return None

    def _refusal(self, ip: Ip) -> str | None:
        allowed = _closest(self.allow, ip)
        for network, what in DENIED_NETWORKS:
            if ip in network and allowed < network.prefixlen:
                return f"{ip} is {what}"
        if _closest(self.deny, ip) >= max(0, allowed):
            return f"{ip} is in a network that is denied by EVENTBUS_DENY_NETWORKS"
        return None


def rules_of(deny: str, allow: str) -> NetworkRules:
    """Read the two settings: networks, comma-separated. Raises SettingsError."""
    denied = ",".join("0.0.0.0/0,::/0" if part.strip() == ALL_NETWORKS else part for part in deny.split(","))
    return NetworkRules(_networks("EVENTBUS_DENY_NETWORKS", denied), _networks("EVENTBUS_ALLOW_NETWORKS", allow))


def embedded(ip: Ip) -> Iterator[ipaddress.IPv4Address]:
    """Yield the IPv4 addresses that are embedded in an IPv6 one.

    IPv4-compatible (RFC 4291, 2.5.5.1) and -translated (RFC 2765), NAT64 (RFC 6052), 6to4 (RFC 3056), Teredo
    (RFC 4380: its server and its client) and ISATAP (RFC 5214, 6.1).
    """
    if ip.version == 4:
        return
    number = int(ip)
    if (ip in _COMPATIBLE and number > 1) or ip in _NAT64 or ip in _TRANSLATED:
        yield ipaddress.IPv4Address(number & _WORD)
    if ip.sixtofour is not None:
        yield ip.sixtofour
    if ip.teredo is not None:
        yield from ip.teredo
    elif number >> 32 & 0xFDFF_FFFF == _ISATAP:
        yield ipaddress.IPv4Address(number & _WORD)


def _closest(networks: Iterable[Network], ip: Ip) -> int:
    """Return the longest prefix length of the networks that contain an address; -1 if none does."""
    return max((network.prefixlen for network in networks if ip in network), default=-1)


def _networks(name: str, text: str) -> tuple[Network, ...]:
    found = []
    for part in filter(None, (item.strip() for item in text.split(","))):
        try:
            found.append(ipaddress.ip_network(part))
        except ValueError as error:
            raise SettingsError(
                f"{name} must be a list of networks such as 10.0.0.0/8, comma-separated: {error}"
            ) from None
    return tuple(found)
