"""Patterns of addresses match hosts, networks and ports, and nothing that only looks like them."""

import pytest

from eventbus.core.address_patterns import parse_pattern
from eventbus.core.addresses import parse_address
from eventbus.core.errors import BadRequest

MATCHES = [
    ("*", "localhost:8080"),
    ("*", "https://shop.example"),
    ("*:8080", "10.0.0.1:8080"),
    ("mail.example", "mail.example"),
    ("mail.example", "https://mail.example/api"),
    ("MAIL.example.", "mail.EXAMPLE:9"),
    ("mail.example:80", "mail.example"),
    ("mail.example:443", "https://mail.example"),
    ("https://mail.example", "https://mail.example:8443"),
    ("*.shop.svc:8080", "a.b.shop.svc:8080"),
    ("10.0.0.0/8", "10.1.2.3:1"),
    ("10.0.0.0/8:9000", "10.1.2.3:9000"),
    ("10.1.2.3", "10.1.2.3:1"),
    ("[::1]:8080", "[::1]:8080"),
    ("[fd00::/8]", "[fd00::7]:80"),
    ("[fd00::/8]:80", "[fd00::7]"),
]
OTHERS = [
    ("*:8080", "localhost:8081"),
    ("mail.example", "mail.example.evil.example"),
    ("mail.example", "xmail.example"),
    ("mail.example:443", "mail.example"),
    ("https://mail.example", "mail.example:443"),
    ("http://mail.example", "https://mail.example"),
    ("*.shop.svc", "shop.svc"),
    ("*.shop.svc", "xshop.svc"),
    ("*.shop.svc", "a.shop.svc.evil.example"),
    ("10.0.0.0/8", "11.0.0.1"),
    ("10.0.0.0/8", "ten.example"),
    ("10.0.0.0/8:9000", "10.1.2.3:9001"),
    ("[fd00::/8]", "10.0.0.1"),
    ("[::ffff:10.0.0.0/104]", "10.0.0.1"),
]
WRONG = [
    "", " ", "a b", "mail.example/", "mail.example/path", "user@mail.example", "ftp://mail.example", "mail.example:",
    "mail.example:0", "mail.example:65536", "mail.example:*", "m*il.example", "*mail.example", "*.", "a.*.example",
    "10.0.0.1/8", "10.0.0.0/33", "[::1", "::1", "[fd00::/129]", "*/8", "exämple", "?", "a\n",
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "address"), MATCHES)
def test_what_a_pattern_stands_for_matches(pattern: str, address: str) -> None:
    """Names, addresses, networks and ports are compared as they are delivered to, whatever their spelling."""
    assert parse_pattern(pattern).matches(parse_address(address))


@pytest.mark.parametrize(("pattern", "address"), OTHERS)
def test_what_only_looks_like_it_does_not_match(pattern: str, address: str) -> None:
    """Neither a name around it, nor another port or scheme, nor a name where a network is meant."""
    assert not parse_pattern(pattern).matches(parse_address(address))


@pytest.mark.parametrize("pattern", WRONG)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    """With what a pattern may be."""
    with pytest.raises(BadRequest, match="An address pattern must be HOST or HOST:PORT"):
        parse_pattern(pattern)


@pytest.mark.parametrize("pattern", [pattern for pattern, _ in MATCHES])
def test_a_pattern_is_read_again_as_it_was_written(pattern: str) -> None:
    """Nodes pass patterns on as texts."""
    first = parse_pattern(pattern)
    assert parse_pattern(first.text) == first
