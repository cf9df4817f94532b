"""The head of an ordinary request, by one strict grammar; gunicorn's parser reads every other. Pure.

What is ordinary is a part of what gunicorn's parser accepts, and means the same to both: no part of it could be taken
differently by a proxy in front. Nothing is refused here.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, cast

from eventbus.web.server.cgi import unquoted, variable_of
from eventbus.web.server.host_header import is_host

#: Bytes of a head that may be ordinary, and its header lines, at most: within gunicorn's own limits.
MAX_ORDINARY_BYTES, MAX_ORDINARY_FIELDS = 4_094, 64
#: Heads that are remembered, and lines of ordinary heads. A publisher mostly sends the same head again and again, or
#: one in which a line or two are new.
REMEMBERED_HEADS, REMEMBERED_LINES = 256, 512
#: Bytes of a head that is remembered as a whole, at most.
MAX_REMEMBERED_BYTES = 1_024

#: How lines with a credential begin, in lower case: they are parsed again each time, and never remembered.
_CREDENTIALS = (
    b"authorization", b"proxy-authorization", b"cookie", b"eventbus-forward-authorization", b"eventbus-secret",
)  # fmt: skip
_END = b"\r\n\r\n"
#: RFC 9112, 3: a request line in origin form, whose path begins with one slash; and RFC 9110, 5.
_REQUEST_LINE = re.compile(rb"(?!CONNECT )([A-Z]{3,20}) (/(?!/)[!\"$-~]*) HTTP/1\.([01])")
_FIELD = re.compile(rb"([A-Za-z0-9-]+):[\t ]*([\t -~\x80-\xff]*)")
_LENGTH = re.compile(r"[0-9]{1,15}\Z")
#: The CGI variables of header names as most clients write them. Others are computed.
_VARIABLES = {
    name: "HTTP_" + name.upper().replace("-", "_")
    for title in (
        "Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control", "Connection", "Cookie",
        "Host", "Idempotency-Key", "Origin", "Referer", "Traceparent", "Tracestate", "User-Agent", "X-Forwarded-For",
        "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "X-Request-Id",
    )
    for name in (title, title.lower())
}  # fmt: skip
_VARIABLES |= {"Content-Type": "CONTENT_TYPE", "content-type": "CONTENT_TYPE"}
_VARIABLES |= {"Content-Length": "CONTENT_LENGTH", "content-length": "CONTENT_LENGTH"}
#: Headers that change how a request is read, beyond its length: gunicorn's parser decides what they mean.
_NOT_ORDINARY = frozenset({"HTTP_TRANSFER_ENCODING", "HTTP_EXPECT"})


class OrdinaryHead(NamedTuple):
    """A head: its part of the WSGI environment, and what the connection needs to know."""

    environ: Mapping[str, str]
    method: str
    path: str  # as it was sent, with its escapes
    minor_version: int  # of HTTP/1
    length: int  # bytes of the body
    last: bool  # whether the client wants the connection to close


def ordinary_head(head: bytes) -> OrdinaryHead | None:
    """Return what a head says, its empty line included; None if it is not ordinary."""
    if len(head) > MAX_ORDINARY_BYTES:
        return None
    text = head.lower()
    if b"authorization" in text or b"cookie" in text or b"eventbus-secret" in text:
        return _with_credentials(head)
    return _without_credentials(head)


def _with_credentials(head: bytes) -> OrdinaryHead | None:
    """Return the same of a head that may have credentials: their lines are added to what the others say."""
    first, *lines = head.split(b"\r\n")
    secret = [line for line in lines if line.lstrip(b"\t ").lower().startswith(_CREDENTIALS)]
    found = _without_credentials(b"\r\n".join([first, *(line for line in lines if line not in secret)]))
    fields = list(map(_field, secret))
    if found is None or None in fields or len(lines) > MAX_ORDINARY_FIELDS + 2:
        return None
    variables = dict(cast(list[tuple[str, str]], fields))
    if len(variables) != len(fields):
        return None  # a header is given twice
    return found._replace(environ={**found.environ, **variables})


def _without_credentials(head: bytes) -> OrdinaryHead | None:
    return _remembered(head) if len(head) <= MAX_REMEMBERED_BYTES else _parsed(head)


def _parsed(head: bytes) -> OrdinaryHead | None:
    if not head.endswith(_END):
        return None
    first, *lines = head[: -len(_END)].split(b"\r\n")
    request, fields = _request_line(first), list(map(_remembered_field, lines))
    if request is None or None in fields or len(fields) > MAX_ORDINARY_FIELDS:
        return None
    variables = dict(cast(list[tuple[str, str]], fields))
    if len(variables) != len(fields) or not is_host(variables.get("HTTP_HOST", " ")):
        return None  # a header is given twice
    length = variables.get("CONTENT_LENGTH", "0")
    if not _LENGTH.match(length) or not _NOT_ORDINARY.isdisjoint(variables):
        return None
    path, minor_version, environ = request
    last = is_last(variables.get("HTTP_CONNECTION", ""), minor_version)
    return OrdinaryHead(environ | variables, environ["REQUEST_METHOD"], path, minor_version, int(length), last)


@lru_cache(REMEMBERED_HEADS)
def _request_line(line: bytes) -> tuple[str, int, dict[str, str]] | None:
    """Return the path as it was sent, the minor version, and the variables of a request line."""
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        return None
    method, target, minor = (part.decode("ascii") for part in found.groups())
    path, _, query = target.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "QUERY_STRING": query,
        "RAW_URI": target,
        "SERVER_PROTOCOL": f"HTTP/1.{minor}",
        "PATH_INFO": unquoted(path),
    }
    return path, int(minor), environ


def _field(line: bytes) -> tuple[str, str] | None:
    """Return the variable and the value of a header's line."""
    found = _FIELD.fullmatch(line)
    if found is None:
        return None
    name, value = found[1].decode("ascii"), found[2].decode("latin-1")
    return _VARIABLES.get(name) or variable_of(name.upper()), value.rstrip(" \t")


_remembered_field = lru_cache(REMEMBERED_LINES)(_field)
_remembered = lru_cache(REMEMBERED_HEADS)(_parsed)


def is_last(connection: str, minor_version: int) -> bool:
    """Return whether the connection closes after a request, by its ``Connection`` header and its version of HTTP/1."""
    wish = connection.lower()
    return wish == "close" or (minor_version == 0 and wish != "keep-alive")


def knows_ordinary_heads(cfg: Any) -> bool:
    """Return whether, by gunicorn's settings, its parser accepts each ordinary head and takes it for the same."""
    limits = (
        (cfg.limit_request_line, MAX_ORDINARY_BYTES),
        (cfg.limit_request_field_size, MAX_ORDINARY_BYTES),
        (cfg.limit_request_fields, MAX_ORDINARY_FIELDS),
    )
    is_bounded = any(0 < limit < needed for limit, needed in limits)
    return cfg.proxy_protocol == "off" and not cfg.secure_scheme_headers and not is_bounded
