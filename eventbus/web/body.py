"""Reads a request's body: bounded in size and in time, whole or not at all."""

from typing import IO

import gevent
from flask import Request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, RequestTimeout

from eventbus.web.intake import refusal


def read_body(request: Request, max_bytes: int, seconds: float) -> bytes:
    """The whole body. Raises BadRequest, RequestEntityTooLarge or RequestTimeout."""
    environ = request.environ
    length = environ.get("CONTENT_LENGTH")
    if length == "0" or (length is None and "HTTP_TRANSFER_ENCODING" not in environ):
        return b""
    if length is not None and int(length) > max_bytes:
        raise RequestEntityTooLarge(_too_large(max_bytes))
    body = _read(environ["wsgi.input"], max_bytes + 1, seconds)
    if len(body) > max_bytes:
        raise RequestEntityTooLarge(_too_large(max_bytes))
    if length is not None and len(body) != int(length):
        raise BadRequest("The body ended before its Content-Length was reached.")
    return body


def _read(stream: IO[bytes], limit: int, seconds: float) -> bytes:
    with gevent.Timeout(seconds) as deadline:
        try:
            return stream.read(limit)
        except gevent.Timeout as timer:
            if timer is not deadline:
                raise
            raise RequestTimeout(f"The body did not come within {seconds:g} seconds.") from None
        except ParseException as error:
            raise BadRequest(refusal(error, seconds)[1]) from None
        except OSError:
            raise BadRequest("The body broke off.") from None


def _too_large(max_bytes: int) -> str:
    return f"The body may have at most {max_bytes} bytes."
