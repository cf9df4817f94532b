"""Converts what the requests library passes and expects: prepared requests and responses."""

from io import BytesIO
from urllib.parse import SplitResult

import requests

from eventbus.delivery.transport.request import encode_value
from eventbus.delivery.transport.response_reader import ResponseReader


def head_of(request: requests.PreparedRequest, url: SplitResult) -> bytes:
    """Return the head of a request."""
    target = f"{url.path or '/'}{_query_of(request.url or '')}".encode("ascii")
    headers = {"Host": url.netloc, **request.headers}
    lines = [b"%s: %s\r\n" % (to_bytes(name), to_bytes(value)) for name, value in headers.items()]
    return b"%s %s HTTP/1.1\r\n%s\r\n" % (to_bytes(request.method or "GET"), target, b"".join(lines))


def _query_of(url: str) -> str:
    """Return the query of a URL with its ``?``, also where nothing follows that."""
    _, mark, query = url.partition("#")[0].partition("?")
    return f"{mark}{query}"


def to_bytes(text: str | bytes) -> bytes:
    """Return what goes on the wire. Raise BadRequest for what may not."""
    return text if isinstance(text, bytes) else encode_value(text)


def response_of(reader: ResponseReader, request: requests.PreparedRequest) -> requests.Response:
    """Return what was read as the response to a request."""
    parsed = reader.parse()
    response = requests.Response()
    response.status_code = reader.status
    response.url = request.url or ""
    response.request = request
    response.raw = BytesIO(parsed.body)
    for name, value in parsed.headers:
        title, text = name.decode("latin-1"), value.decode("latin-1")
        response.headers[title] = f"{response.headers[title]}, {text}" if title in response.headers else text
    return response
