"""A browser's request changes something only where it is sent by a page of this bus."""

import pytest

from eventbus.web.origins import by_browser, is_at, is_ours, refusal

OURS, THEIRS = "http://bus.internal", "http://evil.example"


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://bus.internal", "bus.internal"),
        ("http://bus.internal:8080", "bus.internal:8080"),
        ("http://bus.internal:8080", "bus.internal"),  # proxy_set_header Host $host
        ("http://bus.internal", "BUS.internal"),
        ("HTTP://Bus.Internal", "bus.internal"),
        ("http://bus.internal", "bus.internal:80"),
        ("https://bus.internal", "bus.internal:443"),
        ("https://bus.internal:8443", "bus.internal:8443"),
        ("http://[::1]:3000", "[::1]:3000"),
        ("http://[::1]", "[::1]"),
        ("http://[::1]:3000", "[::1]"),
    ],
)
def test_an_origin_is_at_its_host(origin: str, host: str) -> None:
    """In any case, with the scheme's own port or without, and by a name whose port a proxy leaves out."""
    assert is_at(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example", "bus.internal"),
        ("http://bus.internal.evil.example", "bus.internal"),
        ("http://evil.example/bus.internal", "bus.internal"),
        ("http://bus.internal@evil.example", "bus.internal"),
        ("http://bus.internal:8080", "bus.internal:3000"),
        ("http://bus.internal", "bus.internal:443"),
        ("https://bus.internal", "bus.internal:80"),
        ("https://bus.internal", "bus.internal:3000"),
        ("http://[::1]", "[::2]"),
        ("null", "bus.internal"),
        ("null", "null"),
        ("", ""),
        ("http://", ""),
        ("bus.internal", "bus.internal"),
        ("moz-extension://bus.internal", "bus.internal:80"),
    ],
)
def test_an_origin_is_nowhere_else(origin: str, host: str) -> None:
    """Neither at another host or port, nor at one that only looks like it."""
    assert not is_at(origin, host)


@pytest.mark.parametrize(
    ("environ", "ours"),
    [
        ({"HTTP_ORIGIN": THEIRS, "HTTP_SEC_FETCH_SITE": "same-origin"}, True),
        ({"HTTP_SEC_FETCH_SITE": "none"}, True),
        ({"HTTP_ORIGIN": OURS, "HTTP_SEC_FETCH_SITE": "cross-site"}, False),
        ({"HTTP_ORIGIN": OURS, "HTTP_SEC_FETCH_SITE": "same-site"}, False),
        ({"HTTP_ORIGIN": THEIRS, "HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_EVENTBUS_PAGE": "dashboard"}, False),
        ({"HTTP_ORIGIN": OURS}, True),
        ({"HTTP_ORIGIN": THEIRS}, False),
        ({"HTTP_ORIGIN": "null"}, False),
        ({"HTTP_ORIGIN": THEIRS, "HTTP_EVENTBUS_PAGE": "dashboard"}, True),
        ({"HTTP_ORIGIN": THEIRS, "HTTP_AUTHORIZATION": "bearer x"}, True),
        ({"HTTP_ORIGIN": THEIRS, "HTTP_AUTHORIZATION": "Basic eDp5"}, False),  # which a browser sends by itself
        ({"HTTP_ORIGIN": THEIRS, "HTTP_X_FORWARDED_HOST": "evil.example"}, True),  # a page cannot send that one
        (
            {"HTTP_ORIGIN": OURS, "HTTP_HOST": "127.0.0.1:3000", "HTTP_X_FORWARDED_HOST": "a.example, bus.internal"},
            True,
        ),
        ({"HTTP_ORIGIN": OURS, "HTTP_HOST": "127.0.0.1:3000"}, False),
    ],
)
def test_a_page_of_this_bus_is_known(environ: dict[str, str], ours: bool) -> None:
    """By what its browser tells, and by what no other page could send."""
    assert by_browser(environ)
    assert is_ours({"HTTP_HOST": "bus.internal", **environ}) == ours


def test_a_refusal_says_what_to_set() -> None:
    """Where it may be a proxy's doing; what was sent is cut, and shows no control characters."""
    said = refusal({"HTTP_ORIGIN": "http://bus.internal", "HTTP_HOST": "127.0.0.1:3000\x1b" + "x" * 9_000})
    assert "http://bus.internal" in said
    assert "proxy_set_header Host $http_host" in said
    assert said.isprintable()
    assert len(said) < 500
    assert "nginx" not in refusal({"HTTP_ORIGIN": THEIRS, "HTTP_SEC_FETCH_SITE": "cross-site"})


def test_who_is_no_browser_is_not_asked() -> None:
    """A client that sends neither header may do what its token lets it."""
    assert not by_browser({"HTTP_HOST": "bus.internal"})
