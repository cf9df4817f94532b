"""What the bus makes of a query string: as Go's ``url.ParseQuery`` reads it, with the same errors."""

import pytest

from tests.support.answers import assert_says
from tests.support.caller import Caller

BY_ADDRESS = [("POST", "/registerAndKeepAlive"), ("DELETE", "/deregister")]
ALL = [*BY_ADDRESS, ("POST", "/sendMessage"), ("GET", "/listSubscribers")]
#: Registered as spare addresses: nothing is published while they are.
FIRST, SECOND = "127.0.0.1:9", "127.0.0.1:10"
NO_ADDRESS = "Error:Wrong input address."
SEMICOLON = "Error:invalid semicolon separator in query"


@pytest.mark.parametrize(("method", "path"), BY_ADDRESS)
@pytest.mark.parametrize(
    "query",
    ["", "?", "?address", "?address=", "?Address=127.0.0.1:9", "?other=1", "?address=&address=127.0.0.1:9"],
)
def test_a_missing_address_is_refused(caller: Caller, method: str, path: str, query: str) -> None:
    """Without a value for ``address`` the answer is exactly ``Error:Wrong input address.``."""
    assert_says(caller.call(method, path + query), 400, NO_ADDRESS)


@pytest.mark.parametrize(("method", "path"), BY_ADDRESS)
def test_a_form_body_holds_no_address(caller: Caller, method: str, path: str) -> None:
    """Only the query is read for ``address``, never a form body."""
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    assert_says(caller.call(method, path, form, b"address=127.0.0.1:9"), 400, NO_ADDRESS)


@pytest.mark.parametrize(("method", "path"), ALL)
@pytest.mark.parametrize(
    ("query", "quoted"),
    [
        ("address=%zz", "%zz"),
        ("address=%2", "%2"),
        ("address=%", "%"),
        ("address=%z", "%z"),
        ("address=127.0.0.1%zz:9", "%zz"),
        ("address=127.0.0.1:9%", "%"),
        ("address=%2g3", "%2g"),
        ("address=%31%3", "%3"),
        ("address=%%31", "%%3"),
        ("%zz=127.0.0.1:9", "%zz"),
        ("addr%2=127.0.0.1:9", "%2"),
        ("%k1=%v1", "%k1"),
        (f"address={FIRST}&other=%zz", "%zz"),
        ("other=%zz", "%zz"),
        ("address=%aa&b=%2&c=%zz", "%2"),
        ("%zz", "%zz"),
        ('address=%"x', r"%\"x"),
        ("address=%+1", "%+1"),
    ],
)
def test_a_broken_escape_is_refused(caller: Caller, method: str, path: str, query: str, quoted: str) -> None:
    """The first broken escape, in a key or a value, is quoted back as far as it goes."""
    assert_says(caller.call(method, f"{path}?{query}"), 400, f'Error:invalid URL escape "{quoted}"')


@pytest.mark.parametrize(("method", "path"), ALL)
@pytest.mark.parametrize(
    "query", [";", f"address={FIRST};", f"address={FIRST};b=1", f"address={FIRST}&a;b", "address=;%zz"]
)
def test_a_semicolon_is_refused(caller: Caller, method: str, path: str, query: str) -> None:
    """A ``;`` separates nothing and is refused wherever it stands."""
    assert_says(caller.call(method, f"{path}?{query}"), 400, SEMICOLON)


@pytest.mark.parametrize("query", ["a=%zz&b;c", "b;c&a=%zz"])
def test_a_semicolon_wins_over_a_broken_escape(caller: Caller, query: str) -> None:
    """Of both mistakes the semicolon is named, whichever comes first."""
    assert_says(caller.call("POST", f"/registerAndKeepAlive?{query}"), 400, SEMICOLON)


def test_an_escaped_semicolon_is_a_character(caller: Caller) -> None:
    """``%3B`` belongs to the value, which is then no address."""
    text = caller.call("POST", "/registerAndKeepAlive?address=127.0.0.1%3B9").text
    assert text.startswith(f"{NO_ADDRESS} ")


def test_escapes_are_read(caller: Caller) -> None:
    """An escaped address is the address."""
    target = "/registerAndKeepAlive?%61ddress=127.0.0.1%3A9%2Forders"
    assert_says(caller.call("POST", target), 200, "success")
    assert caller.listed("127.0.0.1:9/orders")


@pytest.mark.parametrize("query", [f"&&address={FIRST}&", f"address={FIRST}&=&x", f"=1&address={FIRST}"])
def test_empty_pairs_are_passed_over(caller: Caller, query: str) -> None:
    """Stray ``&`` and ``=`` mean nothing."""
    assert_says(caller.call("POST", f"/registerAndKeepAlive?{query}"), 200, "success")


def test_the_first_of_two_addresses_counts(caller: Caller) -> None:
    """A key given twice counts once, the first, in registering and in deregistering."""
    both = f"address={FIRST}&address={SECOND}"
    caller.register(SECOND)
    assert_says(caller.call("POST", f"/registerAndKeepAlive?{both}"), 200, "success")
    assert_says(caller.call("DELETE", f"/deregister?{both}"), 200, "success")
    assert [found["address"] for found in caller.subscribers()] == [SECOND]


@pytest.mark.parametrize(("method", "path"), BY_ADDRESS)
@pytest.mark.parametrize(
    "written",
    [
        "127.0.0.1:99999",
        "127.0.0.1:0",
        "127.0.0.1:port",
        "user:secret@127.0.0.1:9",
        "127.0.0.1:9?a=1",
        "127.0.0.1:9%3Fa=1",
        "127.0.0.1:9%23part",
        "127.0.0.1+:9",
        "127.0.0.1%20:9",
        "127.0.0.1:9%0D%0AX:1",
        "127.0.0.1:9%00",
        "ftp://127.0.0.1:9",
        ":9",
        "/orders",
        "[::1",
        "b%C3%BCcher.example",
        "%FF",
        "a" * 513,
    ],
)
def test_an_impossible_address_is_refused_with_a_reason(caller: Caller, method: str, path: str, written: str) -> None:
    """What cannot be an address is answered ``Error:Wrong input address.``, a space and a reason."""
    response = caller.call(method, f"{path}?address={written}")
    start, reason = response.text[: len(NO_ADDRESS) + 1], response.text[len(NO_ADDRESS) + 1 :]
    assert_says(response, 400, response.text)
    assert start == f"{NO_ADDRESS} "
    assert reason == reason.strip() != ""
    assert caller.subscribers() == []
