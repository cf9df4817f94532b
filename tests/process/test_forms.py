"""What somebody types into a page of the dashboard is sent by its script, and by nothing else."""

import re
from collections.abc import Iterator

import pytest

from tests.support.caller import Caller
from tests.support.server import BusServer

HTML = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
ADDRESS = "127.0.0.1:9"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus with a token."""
    with BusServer(tmp_path_factory.mktemp("closed"), {"EVENTBUS_ADMIN_TOKENS": "admin-0123456789"}) as bus:
        yield bus


def test_without_its_script_no_page_puts_what_is_typed_into_an_address(caller: Caller, closed: BusServer) -> None:
    """A form that a script sends is none whose fields a browser writes into a URL, the one for a token least of all."""
    door = Caller(closed.port).call("GET", "/", [HTML]).text
    (field,) = re.findall(r"<input[^>]*password[^>]*>", door)
    assert "name=" not in field
    caller.register(ADDRESS)
    paths = ("/dashboard/send", f"/dashboard/subscriber?address={ADDRESS}")
    for page in (door, *(caller.call("GET", path, [HTML]).text for path in paths)):
        forms = re.findall(r"<form[^>]*data-act[^>]*>", page)
        assert forms
        assert all('method="post"' in form for form in forms)
