"""Ordinary heads: what the bus reads itself means the same to gunicorn's parser, to the last header."""

import gc
import random
from collections.abc import Iterator
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.parser import RequestParser

from eventbus.web.server import ordinary_head as module
from eventbus.web.server.environment import environ_of, frozen
from eventbus.web.server.host_header import is_host
from eventbus.web.server.ordinary_head import MAX_ORDINARY_BYTES, OrdinaryHead, knows_ordinary_heads, ordinary_head
from tests.support.request_corpus import BAD, ODD, line, post

#: What the heads below are made of: the sound, and the unsound.
METHODS = [b"GET", b"POST", b"BREW", b"OPTIONS", b"CONNECT", b"get", b"AB", b"A" * 21, b"G\x00T", b"M-SEARCH", b""]
TARGETS = [b"/", b"/sendMessage?topic=a.b&once=ce", b"/a%20b?c?d", b"/?", b"//a/b", b"/a#b", b"/[::1]?[", b"/a;b:c@d",
           b"/\xff", b"/a\tb", b"*", b"http://a/b", b"a", b"/\\\"<>^`{|}", b"/" + b"a" * 3_900, b"/" + b"a" * 4_200,
           ]  # fmt: skip
VERSIONS = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b"HTTP/1.1 ", b""]
ENDS = [b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n", b"\r\n "]
FIELDS = [b"Host: bus", b"host:\t127.0.0.1:3000 ", b"Host: a b", b"Content-Length: 5", b"content-length: 0",
          b"Content-Length: 05", b"Content-Length: 5, 5", b"Content-Length: \xb2", b"Content-Length:",
          b"Content-Length: 9999999999999999999", b"Transfer-Encoding: chunked", b"Expect: 100-continue",
          b"Connection: close", b"connection: Keep-Alive", b"Connection: keep-alive, close", b"Connection:",
          b"Upgrade: h2c", b"Content-Type: application/json", b"Content-Type: a", b"X_Y: a", b"X-Y: a", b"x-y: b",
          b"ce-id: caf\xc3\xa9", b"X: a:b", b"X: \x7f", b"X:\x00", b"X : a", b" X: a", b"X", b":",
          b"Authorization: Bearer a", b"authorization:Bearer b ", b"Cookie: a=b", b"Eventbus-Secret: \xff",
          b"Eventbus-Secret : a", b"X: " + b"a" * 3_000, b"X-Forwarded-Proto: https", b"Script-Name: /a",
          b"Proxy: a"]  # fmt: skip


def gunicorn_reads(head: bytes) -> tuple[Any, dict[str, Any]]:
    """The request and its environment, by gunicorn's parser. Raises what that raises."""
    request = next(RequestParser(frozen(Config()), [head], ("10.0.0.1", 1)))
    return request, environ_of(request, {}, SimpleNamespace(held=b""))  # type: ignore[arg-type] # nothing else is read


def assert_same(head: bytes, found: OrdinaryHead) -> None:
    """Gunicorn's parser takes an ordinary head for the same."""
    request, environ = gunicorn_reads(head)
    assert found.environ == {name: value for name, value in environ.items() if name in found.environ}
    assert environ.keys() - found.environ.keys() == {"wsgi.input", "eventbus.held", "wsgi.url_scheme"}
    assert (found.method, found.path, (1, found.minor_version)) == (request.method, request.path, request.version)
    assert (found.length, found.last) == (request.body.reader.length, request.should_close())
    assert is_host(environ["HTTP_HOST"])
    assert not request.body.awaits


def mixed(rng: random.Random) -> bytes:
    """Some head, mostly sound, with lines that end in some way."""
    parts = [rng.choice(each[: rng.choice((1, 2, 4, len(each)))]) for each in (METHODS, TARGETS, VERSIONS)]
    fields = rng.sample(FIELDS, rng.randrange(6)) + [b"Host: bus"] * rng.choice((0, 1, 1))
    ends = [rng.choice(ENDS) if rng.random() < 0.1 else b"\r\n" for _ in range(len(fields) + 1)]
    lines = [b" ".join(parts), *fields]
    return b"".join(one + end for one, end in zip(lines, ends, strict=True)) + b"\r\n"


def test_an_ordinary_head_is_the_same_to_gunicorns_parser() -> None:
    """Of thousands of heads, those that are ordinary are accepted by gunicorn's parser, with the same environment."""
    rng = random.Random(18)  # noqa: S311 - the same heads each time
    heads = [mixed(rng) for _ in range(5_000)]
    found = [(head, one) for head in heads if (one := ordinary_head(head)) is not None]
    assert len(found) > 300
    for head, one in found:
        assert_same(head, one)


def test_a_head_with_changed_bytes_is_the_same_to_gunicorns_parser() -> None:
    """A head in which any byte is another is refused by both, or means the same to both."""
    rng = random.Random(18)  # noqa: S311 - the same heads each time
    sound = post(b"ce-id: a", b"Content-Length: 5", b"Connection: close").replace(b"Message", b"Message?topic=a%20b")
    for place in range(len(sound)):
        for byte in (*b"\r\n\t :?#%/\x00\x7f\xff", rng.randrange(256)):
            head = sound[:place] + bytes([byte]) + sound[place + 1 :]
            if (found := ordinary_head(head)) is not None:
                assert_same(head, found)


@pytest.mark.parametrize("request_bytes", BAD.values(), ids=BAD)
def test_no_bad_head_is_ordinary(request_bytes: bytes) -> None:
    """What gunicorn's parser, or the check of the host, refuses is left to them."""
    head = request_bytes[: request_bytes.find(b"\r\n\r\n") + 4]
    try:
        environ = gunicorn_reads(head)[1]
    except (ParseException, StopIteration, OSError):
        assert ordinary_head(head) is None
    else:
        assert ordinary_head(head) is None or is_host(environ["HTTP_HOST"])


def test_what_publishers_send_is_ordinary() -> None:
    """The heads of common clients are read by the bus itself, whatever their headers' case."""
    for head in (
        post(b"Content-Length: 2"),
        post(b"content-length: 2", b"user-agent: curl/8.5.0", b"accept: */*", b"content-type: application/json"),
        post(b"User-Agent: Go-http-client/1.1", b"Content-Length: 1024", b"Accept-Encoding: gzip"),
        post(b"Authorization: Bearer abc", b"Idempotency-Key: 1", b"traceparent: 00-1-2-01", b"ce-type: a.b"),
        line(b"GET /events?after=earliest HTTP/1.1\r\nConnection: keep-alive"),
    ):
        assert ordinary_head(head) is not None


def test_what_needs_thought_is_not_ordinary() -> None:
    """Chunks, an expectation, an absolute form, a fragment, odd methods and long heads are gunicorn's."""
    for head in (
        post(b"Transfer-Encoding: chunked"),
        post(b"Expect: 100-continue", b"Content-Length: 5"),
        post(b"X: " + b"a" * MAX_ORDINARY_BYTES),
        *(
            line(text + b" HTTP/1.1")
            for text in (b"GET http://a/", b"GET /#a", b"M-SEARCH /", b"CONNECT /", b"OPTIONS *")
        ),
    ):
        assert ordinary_head(head) is None
    assert any(ordinary_head(data) is None for data, _ in ODD.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("proxy_protocol", "v1"),
        ("secure_scheme_headers", {"X-FORWARDED-PROTO": "https"}),
        ("limit_request_line", 1_000),
        ("limit_request_fields", 10),
        ("limit_request_field_size", 500),
    ],
)
def test_settings_of_gunicorn_that_would_refuse_or_add_something_are_heeded(name: str, value: Any) -> None:
    """With a narrower limit, the proxy protocol or a header for the scheme, gunicorn's parser reads every head."""
    cfg = Config()
    cfg.set("secure_scheme_headers", {})
    assert knows_ordinary_heads(cfg)
    cfg.set(name, value)
    assert not knows_ordinary_heads(cfg)


@pytest.mark.parametrize(
    "name", ["Authorization", "AUTHORIZATION", "Proxy-Authorization", "cookie", "Eventbus-Forward-Authorization",
             "eventbus-secret", " Authorization", "Authorization ", "Eventbus-Secret\t"]
)  # fmt: skip
@pytest.mark.parametrize("head_bytes", [400, 2_000])
def test_credentials_are_not_remembered(name: str, head_bytes: int) -> None:
    """What is kept of heads for speed has no credential, be the head ordinary or not; the rest of it is kept."""
    secret = f"s3cret-{name.strip()}-{head_bytes}"
    filling = b"X-Filling: " + b"a" * (head_bytes - 100)
    for _ in range(2):
        found = ordinary_head(post(filling, f"{name}: {secret}".encode(), b"Content-Length: 5"))
        variable = "HTTP_" + name.upper().replace("-", "_")
        assert (None if found is None else found.environ[variable]) == (secret if name == name.strip() else None)
    caches = [value for value in vars(module).values() if hasattr(value, "cache_info")]
    assert len(caches) == 4
    kept = repr([list(_reachable(cache)) for cache in caches])
    assert (filling.decode() in kept, secret in kept) == (True, False)


def _reachable(cache: Any) -> Iterator[Any]:
    """Yield the texts and bytes that a cache holds."""
    seen: set[int] = set()
    waiting = [one for one in gc.get_referents(cache) if not isinstance(one, ModuleType | FunctionType | dict)]
    waiting += [one for one in gc.get_referents(cache) if isinstance(one, dict) and "__name__" not in one]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, ModuleType | FunctionType | type):
            continue
        seen.add(id(one))
        if isinstance(one, str | bytes):
            yield one
        else:
            waiting += gc.get_referents(one)
