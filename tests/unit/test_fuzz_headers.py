"""Kept headers, fed with any environment: what is sent on is whole lines of known names, or nothing."""

import re
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.errors import BadRequest
from eventbus.core.model import Event
from eventbus.delivery.transport.request import event_head
from eventbus.web.kept_headers import MAX_HEAD_BYTES, kept_head

#: What a header's name is made of, as WSGI has it: no lower case, and no hyphen (RFC 9110, 5.6.2).
NAME = "ABCXYZ0123456789_!#$%&'*+.^`|~"
ALWAYS = ["CONTENT_TYPE", "HTTP_CONTENT_ENCODING", "HTTP_TRACEPARENT", "HTTP_TRACESTATE"]
OTHERS = ["HTTP_COOKIE", "HTTP_AUTHORIZATION", "HTTP_HOST", "CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "REMOTE_ADDR"]
KEYS = st.one_of(
    st.sampled_from([*ALWAYS, *OTHERS]),
    st.text(NAME, max_size=12).map("HTTP_CE_{}".format),
    st.text(NAME, max_size=12).map("HTTP_{}".format),
)
#: Values as a server may hand them over: any bytes as Latin-1, short and long.
VALUES = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=30),
    st.text("a: \t\xff", max_size=30),
    st.sampled_from(["a\r\nEvil: 1", "\r\n\r\n", "\n", "\0", ": ", "\x85", "x" * MAX_HEAD_BYTES, "y" * 8_000]),
)
ENVIRONS = st.dictionaries(KEYS, VALUES, max_size=8)
LINE = re.compile(rb"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+): (?P<value>[\t\x20-\x7e\x80-\xff]*)\Z")
NAMES = {"content-type", "content-encoding", "traceparent", "tracestate"}


def kept(environ: Mapping[str, str]) -> bytes | None:
    """The kept head; None where it was refused in words that can be sent."""
    try:
        return kept_head(environ)
    except BadRequest as refusal:
        check_words(str(refusal))
        return None


def check_words(said: str) -> None:
    """What a publisher is told is one line that can be sent, and no longer than it has to be."""
    assert said.isprintable()
    assert 0 < len(said.encode()) < 200


def lines_of(head: bytes) -> list[tuple[str, str]]:
    """The lines of a head, each of which is one header."""
    *lines, rest = head.split(b"\r\n")
    assert rest == b""
    found = [LINE.match(line) for line in lines]
    return [(match["name"].decode("latin-1"), match["value"].decode("latin-1")) for match in found if match]


def expected(environ: Mapping[str, str]) -> dict[str, str]:
    """What should be sent on of these headers, by name in lower case."""
    always = {key.removeprefix("HTTP_").replace("_", "-").lower(): environ[key] for key in ALWAYS if environ.get(key)}
    events = {k[5:].replace("_", "-").lower(): value for k, value in environ.items() if k.startswith("HTTP_CE_")}
    return always | events


@given(ENVIRONS)
def test_any_headers_are_kept_as_whole_lines_or_refused(environ: dict[str, str]) -> None:
    """What is kept is a line for each header that travels, with its value as it came, and not one line more."""
    head = kept(environ)
    if head is not None:
        lines = lines_of(head)
        assert head.count(b"\r\n") == head.count(b"\r") == head.count(b"\n") == len(lines)
        assert {name.lower(): value for name, value in lines} == expected(environ)
        assert len(lines) == len(expected(environ))


@given(ENVIRONS)
def test_nothing_else_is_kept(environ: dict[str, str]) -> None:
    """No name but the four and those of CloudEvents ever travels, and never more than 16 KiB."""
    head = kept(environ) or b""
    assert len(head) <= MAX_HEAD_BYTES
    assert all(name.lower() in NAMES or name.startswith("ce-") for name, _ in lines_of(head))


@given(ENVIRONS)
def test_what_is_kept_is_refused_only_for_a_reason(environ: dict[str, str]) -> None:
    """Headers are refused for a control character in one that travels, or for their size, and for nothing else."""
    wanted = expected(environ)
    controls = any(re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value) for value in wanted.values())
    size = sum(len(name) + len(value) + len(": \r\n") for name, value in wanted.items())
    assert (kept(environ) is None) == (controls or size > MAX_HEAD_BYTES)


@given(ENVIRONS, st.binary(max_size=20))
def test_an_event_tells_its_headers_as_they_were_kept(environ: dict[str, str], body: bytes) -> None:
    """An event reads its kept headers back, and its part of a request's head has no line that is not a header."""
    head = kept(environ)
    if head is not None:
        event = Event(1, "id", "a.b", head, body, 0.0)
        assert event.headers == dict(lines_of(head))
        assert len(lines_of(event_head(event))) == len(lines_of(head)) + 3
