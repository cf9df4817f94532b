"""The head of an ordinary request, by one strict grammar; gunicorn's parser reads every other. Pure.

What is ordinary is a part of what gunicorn's parser accepts, and means the same to both: no part of it could be taken
differently by a proxy in front. Nothing is refused here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from eventbus.web.server.cgi import unquoted, variable_of
from eventbus.web.server.host_header import is_host

#: Bytes of a head that may be ordinary, and its header lines, at most: within gunicorn's own limits.
MAX_ORDINARY_BYTES, MAX_ORDINARY_FIELDS = 4_094, 64
#: Heads that are remembered, and the bytes of such a one, at most. A publisher mostly sends one again and again.
REMEMBERED_HEADS, MAX_REMEMBERED_BYTES = 256, 1_024

#: RFC 9112, 3: a request line in origin form, whose path begins with one slash, and lines that each end with CR LF.
_HEAD = re.compile(
    rb"(?!CONNECT )([A-Z]{3,20}+) (/(?!/)[!\"$-~]*+) HTTP/1\.([01])\r\n"
    rb"((?:[A-Za-z0-9-]++:[\t -~\x80-\xff]*+\r\n)*+)\r\n"
)
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
_NOT_ORDINARY = ("HTTP_TRANSFER_ENCODING", "HTTP_EXPECT")


@dataclass(frozen=True, slots=True)
class OrdinaryHead:
    """A head: its part of the WSGI environment, and what the connection needs to know."""

    environ: Mapping[str, str]
    method: str
    path: str  # as it was sent, with its escapes
    minor_version: int  # of HTTP/1
    length: int  # bytes of the body
    last: bool  # whether the client wants the connection to close


def ordinary_head(head: bytes) -> OrdinaryHead | None:
    """Return what a head says, its empty line included; None if it is not ordinary."""
    return _remembered(head) if len(head) <= MAX_REMEMBERED_BYTES else _parsed(head)


def _parsed(head: bytes) -> OrdinaryHead | None:
    if len(head) > MAX_ORDINARY_BYTES or (found := _HEAD.fullmatch(head)) is None:
        return None
    method, target, minor, fields = found.groups()
    path, _, query = target.decode("ascii").partition("?")
    minor_version = int(minor)
    environ = {
        "REQUEST_METHOD": method.decode("ascii"),
        "QUERY_STRING": query,
        "RAW_URI": target.decode("ascii"),
        "SERVER_PROTOCOL": "HTTP/1.1" if minor_version else "HTTP/1.0",
        "PATH_INFO": unquoted(path),
    }
    lines = fields.decode("latin-1").split("\r\n")[:-1]
    if len(lines) > MAX_ORDINARY_FIELDS:
        return None
    count = len(environ) + len(lines)
    for line in lines:
        name, _, value = line.partition(":")
        environ[_VARIABLES.get(name) or variable_of(name.upper())] = value.strip(" \t")
    if len(environ) != count or not is_host(environ.get("HTTP_HOST", " ")):
        return None  # a header is given twice
    length = environ.get("CONTENT_LENGTH", "0")
    if not _LENGTH.match(length) or any(name in environ for name in _NOT_ORDINARY):
        return None
    last = is_last(environ.get("HTTP_CONNECTION", ""), minor_version)
    return OrdinaryHead(environ, environ["REQUEST_METHOD"], path, minor_version, int(length), last)


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
