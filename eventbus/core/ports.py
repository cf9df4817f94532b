"""Ports of protocols other than HTTP, to which the bus does not deliver unless they are allowed. Pure.

A service with a line protocol may take the lines of a request, which a publisher chooses, for commands. Others block a
host that keeps sending invalid requests. Browsers block such ports for the same reasons
(https://fetch.spec.whatwg.org/#port-blocking).
"""

import re

from eventbus.core.errors import SettingsError

#: In ``EVENTBUS_ALLOW_PORTS``: all ports.
ALL_PORTS = "*"
#: Each denied port, and its protocol.
DENIED_PORTS: dict[int, str] = {
    **dict.fromkeys((20, 21, 989, 990), "FTP"),
    22: "SSH",
    **dict.fromkeys((23, 992), "Telnet"),
    **dict.fromkeys((25, 465, 587), "SMTP"),
    43: "WHOIS",
    53: "DNS",
    79: "Finger",
    **dict.fromkeys((109, 110, 995), "POP"),
    **dict.fromkeys((119, 433, 563), "NNTP"),
    **dict.fromkeys((143, 220, 993), "IMAP"),
    **dict.fromkeys((194, 994, *range(6_665, 6_670), 6_697), "IRC"),
    **dict.fromkeys((389, 636), "LDAP"),
    **dict.fromkeys((512, 513), "remote login"),
    **dict.fromkeys((514, 601, 6_514), "syslog"),
    **dict.fromkeys((515, 9_100), "printers"),
    540: "UUCP",
    554: "RTSP",
    873: "rsync",
    **dict.fromkeys((2_003, 2_004), "Graphite"),
    2_049: "NFS",
    2_181: "ZooKeeper",
    3_306: "MySQL",
    3_690: "Subversion",
    4_190: "Sieve",
    4_222: "NATS",
    5_038: "Asterisk",
    **dict.fromkeys((5_060, 5_061), "SIP"),
    5_432: "PostgreSQL",
    **dict.fromkeys((6_379, 6_380, 16_379, 26_379), "Redis"),
    9_418: "Git",
    11_211: "memcached",
    11_300: "beanstalkd",
    61_613: "STOMP",
}


def ports_of(text: str) -> frozenset[int]:
    """Read ``EVENTBUS_ALLOW_PORTS``: ports, comma-separated. Raises SettingsError."""
    parts = [part for item in text.split(",") if (part := item.strip())]
    if ALL_PORTS in parts:
        return frozenset(DENIED_PORTS)
    for part in parts:
        if not re.fullmatch(r"[0-9]{1,5}", part) or not 1 <= int(part) <= 65_535:
            raise SettingsError(
                f"EVENTBUS_ALLOW_PORTS must be ports from 1 to 65535, comma-separated, or *, not {part!r}"
            )
    return frozenset(map(int, parts))


def port_refusal(port: int, allowed: frozenset[int]) -> str | None:
    """Return why a port is denied; None if it is allowed."""
    if port not in DENIED_PORTS or port in allowed:
        return None
    return f"Port {port} is that of {DENIED_PORTS[port]}, not of HTTP; EVENTBUS_ALLOW_PORTS={port} allows it."
