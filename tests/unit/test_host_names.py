"""A browser may ask for the bus by names that no page from elsewhere can have, and by those that are set."""

import pytest

from eventbus.core.errors import CrossOrigin, ForeignHost, SettingsError
from eventbus.core.host_names import hosts_of, names_of
from eventbus.web.browsers import check_browser, may_be_browser

HOSTS = hosts_of(names_of("bus.example.com:8080, Other.Example.Com.,"), "machine-7.corp.example")
READ = {"PATH_INFO": "/events", "REQUEST_METHOD": "GET"}
LANGUAGE = {"HTTP_ACCEPT_LANGUAGE": "en"}


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:3000", "LOCALHOST", "localhost.", "shop.localhost:3000"),
        *("127.0.0.1:3000", "10.0.0.7", "203.0.113.9:80", "[::1]:3000", "[fd00::7]", "[::ffff:7f00:1]:3000"),
        *(
            "eventbus:3000",
            "bus",
            "eventbus.default.svc.cluster.local:3000",
            "bus.internal",
            "printer.local",
            "x.home.arpa",
        ),
        *(
            "machine-7.corp.example:3000",
            "bus.example.com",
            "bus.example.com:8443",
            "other.example.com",
            "bus.example.com.",
        ),
    ],
)
def test_a_name_that_no_foreign_page_can_have_is_known(host: str) -> None:
    """IP addresses, names that the public DNS does not have, this machine's, and those that are set: at any port."""
    assert HOSTS.knows(host)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "evil.example:3000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "bus.example.com.evil",
        ),
        *("a.bus.example.com", "machine-7.evil.example", "evil.com.", "bus.internal.evil.com", "internal.com", "1.2.3"),
        *("127.0.0.1@evil.example", "evil.example:127.0.0.1", "evil.example,localhost", "xn--bs-yja.example", "arpa."),
    ],
)
def test_any_other_name_is_not(host: str) -> None:
    """However much it looks like a known one."""
    assert not HOSTS.knows(host)


def test_a_star_is_every_name() -> None:
    """Who has something else that checks it may turn the check off."""
    assert hosts_of(names_of("*"), "").knows("evil.example")


@pytest.mark.parametrize(
    "text", ["http://bus.example.com", "bus.example.com:x", "a/b", ".", ":80", "*.example.com", "a b", " , ,", "a..b"]
)
def test_what_is_no_host_name_stops_the_start(text: str) -> None:
    """A sentence says what a name is."""
    with pytest.raises(SettingsError, match=r"^EVENTBUS_HOSTS must"):
        names_of(text)


@pytest.mark.parametrize(
    "sent",
    [
        {"HTTP_ORIGIN": "http://evil.example"},
        {"HTTP_SEC_FETCH_SITE": "same-origin", "HTTP_SEC_FETCH_MODE": "cors"},
        {"HTTP_SEC_FETCH_DEST": "empty", "HTTP_SEC_FETCH_MODE": "cors", "HTTP_ACCEPT_LANGUAGE": "*"},
        {"HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8"},
        {"HTTP_ACCEPT": "Text/HTML"},
        {"HTTP_ACCEPT": "*/*", "HTTP_ACCEPT_LANGUAGE": "en-US,en;q=0.9"},
        {"HTTP_ACCEPT": "application/json", "HTTP_ACCEPT_LANGUAGE": "", "HTTP_USER_AGENT": "Java/21"},
    ],
)
def test_a_browser_is_known_by_what_no_page_can_leave_out(sent: dict[str, str]) -> None:
    """Whatever it asks, a foreign name is refused, and the answer says what to set."""
    assert may_be_browser(sent)
    with pytest.raises(ForeignHost, match=r"EVENTBUS_HOSTS=bus\.elsewhere\.example for the bus, or set tokens"):
        check_browser({**READ, **sent, "HTTP_HOST": "Bus.Elsewhere.example:3000"}, HOSTS)


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"HTTP_ACCEPT": "*/*", "HTTP_USER_AGENT": "curl/8"},
        {"HTTP_ACCEPT": "application/json", "HTTP_USER_AGENT": "Mozilla/5.0 (compatible; a monitor)"},
        {"HTTP_ACCEPT": "*/*", "HTTP_ACCEPT_LANGUAGE": "*", "HTTP_SEC_FETCH_MODE": "cors", "HTTP_USER_AGENT": "node"},
        {"HTTP_ACCEPT": "text/html, image/gif, image/jpeg, */*; q=0.2", "HTTP_USER_AGENT": "Java/21.0.2"},
        {"HTTP_X_FORWARDED_HOST": "evil.example"},
    ],
)
def test_a_program_may_ask_by_any_name(sent: dict[str, str]) -> None:
    """Also those that send some of what browsers do: Node's fetch and Java's HttpURLConnection."""
    assert not may_be_browser(sent)
    check_browser({**READ, **sent, "HTTP_HOST": "anything.example"}, HOSTS)


@pytest.mark.parametrize(
    "name", ["HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED", "HTTP_EVENTBUS_PAGE", "HTTP_AUTHORIZATION"]
)
def test_nothing_that_a_page_can_send_stands_for_the_host(name: str) -> None:
    """A page to which its own name leads here sets any header of its own."""
    with pytest.raises(ForeignHost):
        check_browser({**READ, **LANGUAGE, "HTTP_HOST": "evil.example", name: "localhost"}, HOSTS)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_ask_by_any_name(path: str) -> None:
    """They tell nothing of the bus but that it lives."""
    check_browser({**READ, **LANGUAGE, "HTTP_HOST": "evil.example", "PATH_INFO": path}, HOSTS)


def test_with_tokens_no_name_is_asked_but_pages_are() -> None:
    """Without a token a foreign page gets nothing; that it may change nothing holds all the same."""
    asked = {**READ, **LANGUAGE, "HTTP_HOST": "evil.example", "HTTP_ORIGIN": "http://other.example"}
    check_browser(asked, None)
    with pytest.raises(CrossOrigin, match="A page from elsewhere"):
        check_browser({**asked, "REQUEST_METHOD": "POST"}, None)


def test_a_refusal_repeats_little() -> None:
    """What was sent is cut, shows no control characters, and is proposed as a name only where it is one."""
    with pytest.raises(ForeignHost) as error:
        check_browser({**READ, **LANGUAGE, "HTTP_HOST": "evil.example\x1b" + "x" * 9_000}, HOSTS)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 500
    assert "set EVENTBUS_HOSTS for the bus" in str(error.value)
