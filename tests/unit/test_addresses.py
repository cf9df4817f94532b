import pytest

from eventbus.core.addresses import MAX_ADDRESS_LENGTH, parse_address
from eventbus.core.errors import BadAddress

ACCEPTED = [
    # as written, the one spelling, where events go
    ("127.0.0.1:8000", "127.0.0.1:8000", "http://127.0.0.1:8000/event"),
    ("localhost", "localhost", "http://localhost/event"),
    ("localhost:80", "localhost", "http://localhost/event"),
    ("localhost:443", "localhost:443", "http://localhost:443/event"),
    ("localhost:00080", "localhost", "http://localhost/event"),
    ("http://Orders.Internal:8080", "orders.internal:8080", "http://orders.internal:8080/event"),
    ("HTTPS://api.example.com:443", "https://api.example.com", "https://api.example.com/event"),
    ("https://api.example.com:80", "https://api.example.com:80", "https://api.example.com:80/event"),
    ("example.com.", "example.com", "http://example.com/event"),
    ("my_service-1:9000", "my_service-1:9000", "http://my_service-1:9000/event"),
    ("xn--bcher-kva.example", "xn--bcher-kva.example", "http://xn--bcher-kva.example/event"),
    ("[::1]:8000", "[::1]:8000", "http://[::1]:8000/event"),
    ("[2001:DB8:0:0::0001]", "[2001:db8::1]", "http://[2001:db8::1]/event"),
    ("api.internal:8080/orders", "api.internal:8080/orders", "http://api.internal:8080/orders/event"),
    ("localhost/", "localhost", "http://localhost/event"),
    ("localhost/a/b//", "localhost/a/b", "http://localhost/a/b/event"),
    ("localhost/Case%20kept", "localhost/Case%20kept", "http://localhost/Case%20kept/event"),
    ("localhost/%7Eann", "localhost/~ann", "http://localhost/~ann/event"),
    ("localhost/%7eann", "localhost/~ann", "http://localhost/~ann/event"),
    ("localhost/%61%2Db%5fc%2E1/", "localhost/a-b_c.1", "http://localhost/a-b_c.1/event"),
    ("localhost/%2f%3a%2541", "localhost/%2F%3A%2541", "http://localhost/%2F%3A%2541/event"),
    ("localhost/a://b", "localhost/a://b", "http://localhost/a://b/event"),
    ("localhost/@home", "localhost/@home", "http://localhost/@home/event"),
]
REFUSED = [
    # as written, what the reason says
    (" localhost", "without spaces"),
    ("local host", "without spaces"),
    ("localhost\r\nHost: x", "visible ASCII"),
    ("local\0host", "visible ASCII"),
    ("bücher.example", "punycode"),
    ("ftp://localhost", "'ftp'"),
    ("://localhost", "scheme"),
    ("user:secret@localhost", "must not contain a user name"),
    ("localhost?x=1", "must not contain a query"),
    ("localhost/a?x=1", "must not contain a query"),
    ("localhost#top", "must not contain a fragment"),
    (":8000", "host is missing"),
    ("http://", "host is missing"),
    ("/orders", "host is missing"),
    ("localhost:", "from 1 to 65535"),
    ("localhost:0", "from 1 to 65535"),
    ("localhost:65536", "from 1 to 65535"),
    ("localhost:+80", "'+80'"),
    ("localhost:http", "'http'"),
    ("::1", "needs brackets"),
    ("[::1", "IPv6"),
    ("[::1]8000", "IPv6"),
    ("[127.0.0.1]", "IPv6"),
    ("[fe80::1%eth0]", "must not have a zone"),
    ("127.1", "four decimal numbers"),
    ("2130706433", "four decimal numbers"),
    ("0x7f000001", "four decimal numbers"),
    ("0177.0.0.1", "four decimal numbers"),
    ("127.0.0.256", "four decimal numbers"),
    ("127.0.0.1.", "four decimal numbers"),
    ("-a.example", "is not a host name"),
    ("a-.example", "is not a host name"),
    ("a..example", "is not a host name"),
    ("a" * 64, "is not a host name"),
    (".".join(["a" * 63] * 4), "is not a host name"),
    ("localhost/%2", "is not a path"),
    ("localhost/%zz", "is not a path"),
    ("localhost/a\\b", "is not a path"),
    ("localhost/a/../b", ". or .."),
    ("localhost/.", ". or .."),
    ("localhost/%2e%2E/b", ". or .."),
    ("localhost/.%2e/b", ". or .."),
]


@pytest.mark.parametrize(("written", "key", "url"), ACCEPTED)
def test_an_address_has_one_spelling_and_one_url(written: str, key: str, url: str) -> None:
    """However an address is written, it has one spelling, and events go to its /event."""
    address = parse_address(written)
    assert (address.key, address.url) == (key, url)
    assert address.text == written


@pytest.mark.parametrize(("written", "reason"), REFUSED)
def test_what_cannot_be_delivered_to_is_refused_with_the_reason(written: str, reason: str) -> None:
    """An address that cannot be delivered to is refused, and the error says why."""
    with pytest.raises(BadAddress) as refusal:
        parse_address(written)
    assert reason in str(refusal.value)


def test_a_missing_address_is_refused_without_more_words() -> None:
    """No address at all is refused with an empty reason, so that the answer is the plain one."""
    with pytest.raises(BadAddress) as refusal:
        parse_address("")
    assert not str(refusal.value)


def test_an_address_may_be_long_but_not_longer() -> None:
    """An address of 512 characters is accepted, and one of 513 refused with its length."""
    longest = "localhost/".ljust(MAX_ADDRESS_LENGTH, "a")
    assert len(parse_address(longest).key) == 512
    with pytest.raises(BadAddress, match="513"):
        parse_address(longest + "a")
