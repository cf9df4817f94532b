"""What the bus makes of a query string: as Go's ``url.ParseQuery`` reads it, with the same errors."""

import pytest

from tests.support.answers import assert_says
from tests.support.caller import Caller

BY_ADDRESS = [("POST", "/registerAndKeepAlive"), ("DELETE", "/deregister")]
ALL = [*BY_ADDRESS, ("POST", "/sendMessage"), ("GET", "/listSubscribers")]
#: Registered as spare addresses: nothing is published while they are.
FIRST, SECOND = "127.0.0.1:9", "127.0.0.1:10"
NO_ADDRESS = "Error:Wrong input address."


@pytest.mark.parametrize(("method", "path"), BY_ADDRESS)
@pytest.mark.parametrize(
    "query",
    ["", "?address=", "?Address=127.0.0.1:9", "?address=&address=127.0.0.1:9"],
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
    ("query", "error"),
    [
        (f"address={FIRST}&other=%zz", 'invalid URL escape "%zz"'),
        ('%"x', r'invalid URL escape "%\"x"'),
        (f"address={FIRST}&a;b", "invalid semicolon separator in query"),
    ],
)
def test_a_query_that_cannot_be_parsed_is_refused(
    caller: Caller, method: str, path: str, query: str, error: str
) -> None:
    """Each of the four routes refuses such a query, whatever else it holds, with the text of Go's parser."""
    assert_says(caller.call(method, f"{path}?{query}"), 400, f"Error:{error}")


def test_escapes_are_read(caller: Caller) -> None:
    """An escaped address is the address."""
    target = "/registerAndKeepAlive?%61ddress=127.0.0.1%3A9%2Forders"
    assert_says(caller.call("POST", target), 200, "success")
    assert caller.listed("127.0.0.1:9/orders")


def test_the_first_of_two_addresses_counts(caller: Caller) -> None:
    """A key given twice counts once, the first, in registering and in deregistering."""
    both = f"address={FIRST}&address={SECOND}"
    caller.register(SECOND)
    assert_says(caller.call("POST", f"/registerAndKeepAlive?{both}"), 200, "success")
    assert_says(caller.call("DELETE", f"/deregister?{both}"), 200, "success")
    assert [found["address"] for found in caller.subscribers()] == [SECOND]


@pytest.mark.parametrize(("method", "path"), BY_ADDRESS)
@pytest.mark.parametrize(
    "written", ["127.0.0.1:99999", "127.0.0.1:9%3Fa=1", "127.0.0.1+:9", "127.0.0.1:9%0D%0AX:1", "127.0.0.1:9%00", "%FF"]
)
def test_an_impossible_address_is_refused_with_a_reason(caller: Caller, method: str, path: str, written: str) -> None:
    """What cannot be an address is answered ``Error:Wrong input address.``, a space and a reason."""
    response = caller.call(method, f"{path}?address={written}")
    start, reason = response.text[: len(NO_ADDRESS) + 1], response.text[len(NO_ADDRESS) + 1 :]
    assert_says(response, 400, response.text)
    assert start == f"{NO_ADDRESS} "
    assert reason == reason.strip() != ""
    assert caller.subscribers() == []
