"""Addresses, fed with anything: there is no third way beside an address and a refusal."""

import re
from urllib.parse import urlsplit

from hypothesis import example, given
from hypothesis import strategies as st

from eventbus.core.addresses import DEFAULT_PORTS, MAX_ADDRESS_LENGTH, Address, parse_address
from eventbus.core.errors import BadAddress
from eventbus.core.model import Options, Subscriber
from eventbus.delivery.transport.request import subscriber_head

#: What addresses are made of, and what has broken parsers of them.
PIECES = [
    "http://", "https://", "HTTPS://", "ftp://", "://", ":", "/", "//", "@", "?", "#", "%", "%2f", "%2E", "%00", "%zz",
    "[", "]", "[::1]", "[::ffff:127.0.0.1]", "[fe80::1%eth0]", "::", ".", "..", "127.0.0.1", "0x7f", "0177", "1",
    "localhost", "a", "A", "_", "-", "xn--", "80", "443", "65535", "65536", "00080", " ", "\t", "\r\n", "\0", "\x7f",
    "\\", "*", "é", "１", "。", "\u200b", "\ud800",
]  # fmt: skip
MADE = st.lists(st.sampled_from(PIECES), max_size=10).map("".join)
#: Addresses as people write them.
LABELS = st.from_regex(r"[A-Za-z_]([A-Za-z0-9_-]{0,5}[A-Za-z0-9])?", fullmatch=True)
ANY_HOSTS = st.one_of(
    st.lists(LABELS, min_size=1, max_size=4).map(".".join),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address.exploded}]"),
)
SCHEMES = st.sampled_from(["", "http://", "https://", "HTTP://", "Https://"])
PORTS = st.one_of(st.just(""), st.sampled_from([80, 443]).map(":{}".format), st.integers(1, 65_535).map(":{}".format))
PATHS = st.from_regex(r"(/[a-zA-Z0-9:@_-]{0,5}){0,4}", fullmatch=True)
ADDRESSES = st.builds("".join, st.tuples(SCHEMES, ANY_HOSTS, PORTS, PATHS))
ANYTHING = st.one_of(st.text(), MADE, ADDRESSES, st.binary().map(lambda data: data.decode("latin-1")))
#: Hosts that have a longer spelling than they may be written in, and others.
HOSTS = st.sampled_from(["[::ffff:7f00:1]", "[::ffff:1:1]", "[1::]", "localhost", "Example.Com.", "127.0.0.1"])
VISIBLE = re.compile(r"[!-~]+\Z")


def parsed(text: str) -> Address | None:
    """The address, or None where it was refused with words that can be sent to whoever wrote it."""
    try:
        return parse_address(text)
    except BadAddress as refusal:
        str(refusal).encode()
        return None


@given(ANYTHING)
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """Whatever is sent as an address is an address, as it was written, or is refused in words that can be sent."""
    address = parsed(text)
    assert address is None or address.text == text


@given(ANYTHING)
@example("[::ffff:7f00:1]/".ljust(MAX_ADDRESS_LENGTH, "a"))
def test_the_one_spelling_is_its_own(text: str) -> None:
    """The one spelling of whatever was accepted is an address with the same spelling, that leads to the same place."""
    address = parsed(text)
    if address is not None:
        again = parse_address(address.key)
        assert (again.key, again.url) == (address.key, address.url)


@given(HOSTS, st.integers(0, 40), st.sampled_from(["", "http://", "https://"]))
def test_an_address_of_any_length_that_is_accepted_has_a_spelling_that_is(host: str, less: int, scheme: str) -> None:
    """An address that just fits still fits in its one spelling, or is refused."""
    address = parsed(f"{scheme}{host}/".ljust(MAX_ADDRESS_LENGTH - less, "a"))
    if address is not None:
        assert parse_address(address.key).key == address.key


@given(ANYTHING)
def test_a_url_is_visible_ascii_and_leads_to_the_address(text: str) -> None:
    """Where events go is visible ASCII, and any reader of URLs finds scheme, host, port and path of the address."""
    address = parsed(text)
    if address is None:
        return
    assert VISIBLE.match(address.url)
    url = urlsplit(address.url)
    assert (url.scheme, url.hostname, url.path) == (address.scheme, address.host, f"{address.path}/event")
    assert (url.port or DEFAULT_PORTS[url.scheme]) == address.port
    assert (url.username, url.password, url.query, url.fragment) == (None, None, "", "")


@given(ANYTHING)
def test_no_address_breaks_out_of_a_requests_head(text: str) -> None:
    """The request line and the Host header of any accepted address are each one line of three and of two words."""
    address = parsed(text)
    if address is None:
        return
    first, host, *_ = subscriber_head(Subscriber(address, Options())).decode("ascii").split("\r\n")
    assert first.split(" ") == ["POST", f"{address.path}/event", "HTTP/1.1"]
    assert host.split(" ") == ["Host:", address.authority]
