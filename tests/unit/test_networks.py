import ipaddress
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.errors import SettingsError
from eventbus.core.networks import DENIED_NETWORKS, NetworkRules, rules_of

USUAL = NetworkRules()
METADATA = IPv4Address("169.254.169.254")

DENIED = [
    ("0.0.0.0", "unspecified"),  # noqa: S104 - nothing is bound
    ("0.1.2.3", "unspecified"),
    ("100.100.100.200", "metadata"),
    ("168.63.129.16", "metadata"),
    ("169.254.0.0", "link-local"),
    ("169.254.169.254", "metadata"),
    ("169.254.170.2", "metadata"),
    ("169.254.255.255", "link-local"),
    ("192.0.0.192", "reserved"),
    ("198.18.0.1", "reserved"),
    ("203.0.113.1", "documentation"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.255", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "reserved"),
    ("::", "unspecified"),
    ("100::1", "reserved"),
    ("2001:db8::1", "documentation"),
    ("64:ff9b:1::a9fe:a9fe", "reserved"),
    ("fd00:ec2::254", "metadata"),
    ("fe80::1", "link-local"),
    ("febf:ffff::1", "link-local"),
    ("fec0::1", "reserved"),
    ("ff02::1", "multicast"),
]
USUALLY_FINE = [
    "1.1.1.1",
    "8.8.8.8",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.201",
    "127.0.0.1",
    "127.255.255.255",
    "169.253.255.255",
    "169.255.0.0",
    "172.16.0.1",
    "192.168.1.1",
    "223.255.255.255",
    "::1",
    "2001:4860:4860::8888",
    "2606:4700::1111",
    "fc00::1",
    "fd00:ec2::253",
    "fd00:ec2::255",
    "fdff::1",
    "fe7f:ffff::1",
    "::ffff:127.0.0.1",
    "64:ff9b::8.8.8.8",
]

#: Deny, allow, an address, and whether it may be dialled.
SETTINGS = [
    ("", "169.254.169.254/32", "169.254.169.254", True),
    ("", "169.254.169.254", "169.254.169.254", True),
    ("", "169.254.169.254/32", "169.254.169.253", False),
    ("", "169.254.0.0/16", "169.254.169.254", True),
    ("", "169.0.0.0/8", "169.254.169.254", False),
    ("", "0.0.0.0/0", "169.254.169.254", False),
    ("", "0.0.0.0/0, ::/0", "::ffff:169.254.169.254", False),
    ("", "169.254.0.0/16", "::ffff:169.254.1.1", True),
    ("", "169.254.0.0/16", "64:ff9b::169.254.1.1", True),
    ("", "240.0.0.0/4", "255.255.255.255", False),
    ("", "255.255.255.255", "255.255.255.255", True),
    ("", "fe80::/10", "fe80::1", True),
    ("", "fe80::/64", "fe80::1", True),
    ("", "fe80::/9", "fe80::1", False),
    ("", "fd00:ec2::254", "fd00:ec2::254", True),
    ("", "fd00:ec2::/32", "fd00:ec2::254", False),
    ("10.0.0.0/8", "", "10.1.2.3", False),
    ("10.0.0.0/8", "", "11.1.2.3", True),
    ("10.0.0.0/8", "", "::ffff:10.1.2.3", False),
    ("10.0.0.0/8", "", "2002:a01:203::1", False),
    ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", True),
    ("10.0.0.0/8", "10.1.0.0/16", "10.2.2.3", False),
    ("10.1.0.0/16", "10.0.0.0/8", "10.1.2.3", False),
    ("10.1.0.0/16", "10.0.0.0/8", "10.2.2.3", True),
    ("10.0.0.0/8", "10.0.0.0/8", "10.1.2.3", False),
    ("10.0.0.0/8, 10.1.1.0/24", "10.1.0.0/16", "10.1.1.1", False),
    ("10.0.0.0/8, 10.1.1.0/24", "10.1.0.0/16", "10.1.2.1", True),
    ("127.0.0.0/8,::1", "", "127.0.0.1", False),
    ("127.0.0.0/8,::1", "", "::1", False),
    ("fc00::/7", "", "fd12::1", False),
    ("*", "", "8.8.8.8", False),
    ("*", "", "2606:4700::1111", False),
    ("*", "10.0.0.0/8", "10.1.2.3", True),
    ("*", "10.0.0.0/8", "::ffff:10.1.2.3", True),
    ("*", "10.0.0.0/8", "8.8.8.8", False),
    ("*", "10.0.0.0/8", "::1", False),
    ("*", "10.0.0.0/8", "169.254.169.254", False),
    (" * ", "fd12::/16", "fd12::1", True),
    ("*", "fd12::/16", "127.0.0.1", False),
]


def mapped(ip: IPv4Address) -> IPv6Address:
    """IPv4-mapped (RFC 4291, 2.5.5.2)."""
    return IPv6Address(0xFFFF << 32 | int(ip))


def compatible(ip: IPv4Address) -> IPv6Address:
    """IPv4-compatible (RFC 4291, 2.5.5.1)."""
    return IPv6Address(int(ip))


def nat64(ip: IPv4Address) -> IPv6Address:
    """Translated by NAT64 (RFC 6052, 2.1)."""
    return IPv6Address(0x64_FF9B << 96 | int(ip))


def six_to_four(ip: IPv4Address, rest: int = 1) -> IPv6Address:
    """6to4 (RFC 3056), with 80 bits after the IPv4 address."""
    return IPv6Address(0x2002 << 112 | int(ip) << 80 | rest)


def teredo(server: IPv4Address, client: IPv4Address, between: int = 0) -> IPv6Address:
    """Teredo (RFC 4380, 4), with 32 bits of flags and port between its server and its client."""
    return IPv6Address(0x2001_0000 << 96 | int(server) << 64 | between << 32 | int(client) ^ 0xFFFF_FFFF)


def isatap(ip: IPv4Address) -> IPv6Address:
    """ISATAP (RFC 5214, 6.1) in a private network."""
    return IPv6Address(0xFD12 << 112 | 0x5EFE << 32 | int(ip))


def teredo_client(ip: IPv4Address) -> IPv6Address:
    """A client of a public Teredo server."""
    return teredo(IPv4Address("8.8.8.8"), ip)


def teredo_server(ip: IPv4Address) -> IPv6Address:
    """A public client of a Teredo server."""
    return teredo(ip, IPv4Address("8.8.8.8"))


DISGUISES: list[Callable[[IPv4Address], IPv6Address]] = [
    mapped, compatible, nat64, six_to_four, teredo_client, teredo_server, isatap,
]  # fmt: skip
#: As often within a network that is denied as anywhere.
IPV4 = st.one_of(
    st.ip_addresses(v=4),
    st.sampled_from([network for network, _ in DENIED_NETWORKS if network.version == 4]).flatmap(
        lambda network: st.ip_addresses(v=4, network=network)
    ),
)


@pytest.mark.parametrize(("text", "why"), DENIED)
def test_nobody_is_sent_to_where_nobody_should_be(text: str, why: str) -> None:
    """Link-local, metadata, unspecified, multicast and reserved addresses are refused, with the reason."""
    reason = USUAL.refusal(ipaddress.ip_address(text))
    assert reason is not None
    assert reason.startswith(text)
    assert why in reason


@pytest.mark.parametrize("text", USUALLY_FINE)
def test_private_loopback_and_public_addresses_are_allowed_by_default(text: str) -> None:
    """Without settings, subscribers may be in private networks, on this machine, and anywhere in public."""
    assert USUAL.refusal(ipaddress.ip_address(text)) is None


@pytest.mark.parametrize(("network", "what"), DENIED_NETWORKS, ids=str)
def test_a_network_that_is_denied_is_so_from_its_first_address_to_its_last(
    network: ipaddress.IPv4Network, what: str
) -> None:
    """Both ends of each network are refused, and the network's own name allows both, as far as no part is listed."""
    allowing = rules_of("", str(network))
    for ip in (network[0], network[-1]):
        assert USUAL.refusal(ip) is not None, what
        parts = [part for part, _ in DENIED_NETWORKS if ip in part and part.prefixlen > network.prefixlen]
        assert (allowing.refusal(ip) is None) == (not parts), what


@pytest.mark.parametrize(("deny", "allow", "text", "fine"), SETTINGS)
def test_the_more_specific_network_counts(deny: str, allow: str, text: str, fine: bool) -> None:
    """An allowance wins over a denial when it is more specific, and over what is always denied when it names it."""
    assert (rules_of(deny, allow).refusal(ipaddress.ip_address(text)) is None) is fine


@pytest.mark.parametrize("disguise", DISGUISES)
@given(ip=IPV4)
def test_a_disguise_is_refused_exactly_when_what_it_hides_is(
    disguise: Callable[[IPv4Address], IPv6Address], ip: IPv4Address
) -> None:
    """Every IPv4 address in every form of IPv6 that leads to it is refused when it is, and only then."""
    hidden = disguise(ip)
    if hidden == IPv6Address("::1"):
        return  # loopback, and no IPv4 address
    assert (USUAL.refusal(hidden) is None) == (USUAL.refusal(ip) is None)


@pytest.mark.parametrize("disguise", DISGUISES)
@given(ip=IPV4, bits=st.integers(0, 32))
def test_a_disguise_is_judged_by_the_settings_too(
    disguise: Callable[[IPv4Address], IPv6Address], ip: IPv4Address, bits: int
) -> None:
    """A network that the settings deny is denied in every disguise."""
    network = ipaddress.ip_network((ip, bits), strict=False)
    assert NetworkRules(deny=(network,)).refusal(ip) is not None
    if disguise(ip) != IPv6Address("::1"):
        assert NetworkRules(deny=(network,)).refusal(disguise(ip)) is not None


@given(rest=st.one_of(st.integers(0, 2**80 - 1), st.integers(0, 2**32 - 1).map(lambda low: 0x5EFE << 32 | low)))
def test_nothing_after_a_6to4_network_hides_it(rest: int) -> None:
    """A 6to4 address is refused for the IPv4 address in its network, whatever its interface is called."""
    assert USUAL.refusal(six_to_four(METADATA, rest)) is not None


@given(between=st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0x5EFE, 0x0200_5EFE])))
def test_no_flags_or_port_hide_the_ends_of_teredo(between: int) -> None:
    """A Teredo address is refused for its server and for its client, whatever stands between the two."""
    fine = IPv4Address("8.8.8.8")
    assert USUAL.refusal(teredo(METADATA, fine, between)) is not None
    assert USUAL.refusal(teredo(fine, METADATA, between)) is not None


def test_a_disguise_is_named_with_what_it_stands_for() -> None:
    """The reason says which address was meant, and which one was written."""
    reason = USUAL.refusal(nat64(METADATA)) or ""
    assert "169.254.169.254 is link-local" in reason
    assert str(nat64(METADATA)) in reason


@pytest.mark.parametrize("name", ["EVENTBUS_DENY_NETWORKS", "EVENTBUS_ALLOW_NETWORKS"])
@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "localhost", "10.0.0.0/8 11.0.0.0/8", "10.0/8", "*/8"])
def test_what_is_no_network_stops_the_start(name: str, text: str) -> None:
    """A list with anything but networks in it is refused with the variable's name."""
    deny, allow = ("10.0.0.0/8," + text, "") if "DENY" in name else ("", text)
    with pytest.raises(SettingsError, match=f"^{name} must be a list of networks"):
        rules_of(deny, allow)


def test_everything_can_be_denied_but_not_allowed() -> None:
    """``*`` stands for all networks in the denials alone."""
    with pytest.raises(SettingsError, match=r"^EVENTBUS_ALLOW_NETWORKS"):
        rules_of("", "*")


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_empty_lists_change_nothing(text: str) -> None:
    """Lists that hold nothing are the default."""
    assert rules_of(text, text) == USUAL
