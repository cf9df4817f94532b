"""The dashboard's pages as a client without a browser gets them: headers, JSON, tokens and origins."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import quote, urljoin

import pytest

from eventbus.client import Bus
from tests.support.answers import assert_problem
from tests.support.caller import JSON, Caller, register_target
from tests.support.deadline import eventually
from tests.support.responders import always
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

PAGES = [
    "/",
    "/dashboard/subscribers",
    "/dashboard/subscriber?address={address}",
    "/dashboard/journal",
    "/dashboard/event?id={event}",
    "/dashboard/scheduled",
    "/dashboard/event?id={scheduled}",
    "/dashboard/deadLetters",
    "/dashboard/send",
    "/dashboard/settings",
]
FILES = {
    "dashboard.css": "text/css; charset=utf-8",
    "uplot.css": "text/css; charset=utf-8",
    "dashboard.js": "text/javascript; charset=utf-8",
    "charts.js": "text/javascript; charset=utf-8",
    "uplot.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml; charset=utf-8",
}
ADMIN, PUBLISHER = "admin-0123456789", "publisher-0123456789"
SECRET = "whsec_" + "c2VjcmV0IQ" * 4
CLOSED = {
    "EVENTBUS_ADMIN_TOKENS": ADMIN,
    "EVENTBUS_PUBLISH_TOKENS": PUBLISHER,
    "EVENTBUS_SIGNING_SECRETS": SECRET,
}
OURS, THEIRS = "http://127.0.0.1", "http://elsewhere.example"
HTML = ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")


class Found(HTMLParser):
    """What a page would load or run: addresses, and code that stands in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.posts: list[str] = []  # what forms send to
        self.inline: list[str] = []
        self._code = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element refers to, and what its attributes would run."""
        self._code = tag in ("script", "style")
        for name, value in attrs:
            if name in ("src", "href", "action", "srcset", "data", "poster", "formaction"):
                sends = name == "action" and ("method", "post") in attrs
                (self.posts if sends else self.addresses).append(value or "")
            if name.startswith("on") or name in ("style", "srcdoc"):
                self.inline.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        """Note code between tags."""
        if self._code and data.strip():
            self.inline.append(data)


@pytest.fixture(scope="module")
def places(bus: BusServer) -> Iterator[dict[str, str]]:
    """A subscriber's address and an event's id on the shared bus, as they stand in links."""
    caller = Caller(bus.port)
    with RecordingSubscriber() as subscriber:
        caller.register(subscriber.address, lease=3_600)
        (later,) = Bus(f"http://127.0.0.1:{bus.port}").publish("later", b"1", delay=3_600).ids
        yield {"address": quote(subscriber.address), "event": caller.publish(b'{"a":1}'), "scheduled": later}
        caller.deregister(subscriber.address)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_nothing_but_from_the_bus(bus: BusServer, places: dict[str, str], path: str) -> None:
    """A page comes as HTML with a policy that allows nothing inline and nothing from elsewhere, and needs neither."""
    response = Caller(bus.port).call("GET", path.format(**places), [HTML])
    assert (response.status, response.header("Content-Type")) == (200, "text/html; charset=utf-8")
    assert response.header("X-Content-Type-Options") == "nosniff"
    assert response.header("Cache-Control") == "no-store"
    assert response.header("Referrer-Policy") == "no-referrer"
    policy = response.header("Content-Security-Policy") or ""
    assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy.split("; "))
    assert not re.search("unsafe|https?:|\\*", policy)
    found = Found(response.text)
    assert len(found.addresses) > 10
    assert [address for address in found.addresses if not re.match(r"(\.\.?/)[a-z?]*|#main$", address)] == []
    assert found.inline == []


@pytest.mark.parametrize("path", [*PAGES, "/docs"])
def test_a_page_stays_below_the_prefix_that_a_proxy_takes_off(
    bus: BusServer, places: dict[str, str], path: str
) -> None:
    """All that a page refers to is there, seen from below a prefix, and nothing leads out of it."""
    caller, here = Caller(bus.port), path.format(**places)
    found = Found(caller.call("GET", here, [HTML]).text)
    for address in found.posts:
        whole = urljoin(f"/pre/fix{here}", address)
        assert whole.startswith("/pre/fix/"), address
        assert "POST" in (caller.call("OPTIONS", whole.removeprefix("/pre/fix")).header("Allow") or "")
    for address in found.addresses:
        whole = urljoin(f"/pre/fix{here}", address).partition("#")[0]
        if "://" not in whole and not whole.startswith("data:"):
            assert whole.startswith("/pre/fix/"), address
            assert caller.call("GET", whole.removeprefix("/pre/fix"), [HTML]).status == 200, address


#: What is no path, or none that a link could be trusted with.
NO_PREFIX = ("", "bus", "//evil.example", "/a//b", "https://evil.example", "/a?b", "/a b", "/..", "/a/../b", "/a" * 200)


def test_the_document_says_where_the_bus_is(bus: BusServer) -> None:
    """At the root; at the prefix that a proxy tells, where that is a path and nothing else."""
    caller = Caller(bus.port)

    def server(*told: str) -> str:
        headers = [("X-Forwarded-Prefix", each) for each in told]
        (said,) = caller.call("GET", "/openapi.json", headers).json()["servers"]
        return str(said["url"])

    assert server() == "/"
    assert server("/bus") == server("/bus/") == "/bus"
    assert server("/a-b/c.d_e~") == "/a-b/c.d_e~"
    assert {server(told) for told in NO_PREFIX} == {"/"}
    assert server("/a", "/b") == "/"
    hint = caller.call("GET", "/", [HTML, ("X-Forwarded-Prefix", "/<b>")]).text
    assert "<b>" not in hint.partition("<main")[2].partition("tiles")[0]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_told_as_json_too(bus: BusServer, places: dict[str, str], path: str) -> None:
    """Who accepts JSON gets what the page shows as an object."""
    response = Caller(bus.port).call("GET", path.format(**places), [JSON])
    assert (response.status, response.header("Content-Type")) == (200, "application/json")
    assert response.json()


def test_what_pages_load_is_there(caller: Caller) -> None:
    """Scripts, styles and the icon come with their own types, and refer to nothing elsewhere."""
    for name, kind in FILES.items():
        response = caller.call("GET", f"/dashboard/static/{name}")
        assert (response.status, response.header("Content-Type")) == (200, kind), name
        assert not re.search(r"url\(|@import|importScripts|eval\(|new Function", response.text), name


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/dashboard/event?id=nothing", 404),
        ("/dashboard/event", 404),
        ("/dashboard/subscriber?address=127.0.0.1:1", 404),
        ("/dashboard/subscriber", 400),
        ("/dashboard/deadLetters?after=x", 400),
        ("/dashboard/journal?upto=-1", 400),
        ("/dashboard/subscribers?start=99999999999", 400),
        ("/?since=%zz", 400),
    ],
)
def test_what_cannot_be_displayed_is_an_error_page(caller: Caller, path: str, status: int) -> None:
    """What is not there is 404, what cannot be asked for 400: as a page, or as a problem."""
    response = caller.call("GET", path, [HTML])
    assert (response.status, response.header("Content-Type")) == (status, "text/html; charset=utf-8")
    assert "This page cannot be displayed" in response.text
    assert response.header("Content-Security-Policy")
    assert_problem(caller.call("GET", path, [JSON]), status)


def test_a_subscriber_that_is_removed_keeps_its_page_while_it_has_dead_letters(caller: Caller) -> None:
    """A dead letter's link leads to a page, also after its subscriber deregistered; without dead letters it is 404."""
    with RecordingSubscriber(always(422)) as subscriber:
        address = subscriber.address
        caller.register(address)
        event = caller.publish(b"{}")
        eventually(lambda: caller.subscriber(address)["dead"] == 1, 30)
        caller.deregister(address)
    page = f"/dashboard/subscriber?address={quote(address)}"
    found = caller.call("GET", page, [JSON]).json()
    assert (found["status"], [letter["event"] for letter in found["letters"]]) == (None, [event])
    assert "Not registered any more." in caller.call("GET", page, [HTML]).text
    caller.call("DELETE", f"/deadLetters?address={quote(address)}")
    assert caller.call("GET", page, [HTML]).status == 404


# Tokens


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """Calls a bus with tokens and secrets."""
    with BusServer(tmp_path_factory.mktemp("closed"), CLOSED) as server:
        yield Caller(server.port)


def bearer(token: str) -> tuple[str, str]:
    """The header that a token is sent in."""
    return "Authorization", f"Bearer {token}"


@pytest.mark.parametrize("path", [path for path in PAGES if "{" not in path] + ["/dashboard/event?id=x"])
def test_where_tokens_are_set_a_page_is_for_administrators(closed: Caller, path: str) -> None:
    """Without a token a page is the login form, 401; with another's 403; as JSON a problem; both name the challenge."""
    for headers, status in (([], 401), ([bearer("unknown-0123456789")], 401), ([bearer(PUBLISHER)], 403)):
        response = closed.call("GET", path, [HTML, *headers])
        assert response.status == status
        assert "A token is required" in response.text
        assert (response.header("WWW-Authenticate") or "").startswith('Bearer realm="eventbus"')
        assert response.header("Content-Security-Policy")
        assert "<table" not in response.text
        problem = closed.call("GET", path, [JSON, *headers])
        assert_problem(problem, status)
        assert problem.header("WWW-Authenticate") == response.header("WWW-Authenticate")
    assert closed.call("GET", path, [HTML, bearer(ADMIN)]).status == (404 if "event" in path else 200)


def test_the_login_form_loads_without_a_token(closed: Caller) -> None:
    """What a page needs to ask for the token is open: styles and scripts, which hold no secret."""
    for name in FILES:
        assert closed.call("GET", f"/dashboard/static/{name}").status == 200


def test_secrets_are_shown_nowhere(closed: Caller) -> None:
    """The settings tell whether tokens and secrets are set, and no page has a part of one in it."""
    settings = closed.call("GET", "/dashboard/settings", [JSON, bearer(ADMIN)]).json()["settings"]
    assert (settings["tokens"], settings["signing_secrets"]) == ("set", "set")
    pages = [closed.call("GET", path, [kind, bearer(ADMIN)]).text for path in PAGES for kind in (HTML, JSON)]
    for secret in (ADMIN, PUBLISHER, SECRET, SECRET.removeprefix("whsec_"), "secret!"):
        assert [page for page in pages if secret in page] == []


# Origins


def test_what_a_page_from_elsewhere_asks_for_is_refused(caller: Caller) -> None:
    """Whatever changes something is 403 for a browser on another's page, told by Sec-Fetch-Site or else by Origin."""
    address = f"{OURS.removeprefix('http://')}:9"
    foreign = [
        [("Origin", THEIRS)], [("Origin", "null")], [("Origin", "http://127.0.0.1.elsewhere.example")],
        [("Origin", THEIRS), ("Sec-Fetch-Site", "cross-site")], [("Sec-Fetch-Site", "same-site")],
        [("Origin", OURS), ("Sec-Fetch-Site", "cross-site")], [("Origin", THEIRS), ("Authorization", "Basic eDp5")],
    ]  # fmt: skip
    requests = [
        ("POST", "/sendMessage"), ("POST", register_target(address)), ("DELETE", f"/deregister?address={address}"),
        ("POST", "/deadLetters/replay?all=true"), ("DELETE", "/deadLetters?all=true"),
        ("POST", f"/replay?address={address}&from=earliest"), ("POST", "/cancel?id=x"), ("DELETE", "/events/x"),
    ]  # fmt: skip
    for headers in foreign:
        for method, target in requests:
            assert caller.call(method, target, headers).status == 403, (method, target, headers)
            assert_problem(caller.call(method, target, [JSON, *headers]), 403)
        assert caller.call("GET", "/dashboard/send", headers).status == 200
    assert not caller.listed(address)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Origin", OURS)],
        [("Origin", OURS), ("Sec-Fetch-Site", "same-origin")],
        [("Sec-Fetch-Site", "none")],
        [("Origin", THEIRS), ("Sec-Fetch-Site", "same-origin")],
        [("Origin", THEIRS), ("Eventbus-Page", "dashboard")],
        [("Origin", THEIRS), ("X-Forwarded-Host", "elsewhere.example")],
    ],
)
def test_what_the_own_pages_and_programs_ask_for_is_done(caller: Caller, headers: list[tuple[str, str]]) -> None:
    """The bus's own pages may publish, and so may whoever is no browser and says neither."""
    assert caller.publish(b"{}", *headers)
