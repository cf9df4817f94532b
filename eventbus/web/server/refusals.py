"""What a request that could not be read is answered."""

from http import HTTPStatus

from gunicorn.http import errors

from eventbus.core.errors import TooManyStreams

#: Status and sentence for each error of gunicorn's parser; the first match counts. The request is not repeated.
_REFUSALS: tuple[tuple[type[Exception], int, str], ...] = (
    (errors.LimitRequestLine, 414, "The request line is too long."),
    (errors.LimitRequestHeaders, 431, "The headers are too long or too many."),
    (errors.ExpectationFailed, 417, "The Expect header is not supported; only 100-continue is."),
    (errors.InvalidRequestMethod, 400, "The method is invalid."),
    (errors.InvalidHTTPVersion, 400, "The HTTP version is not supported."),
    (errors.InvalidRequestLine, 400, "The request line is invalid."),
    (errors.ObsoleteFolding, 400, "A header is folded over several lines."),
    (errors.InvalidHeaderName, 400, "A header name is invalid."),
    (errors.InvalidHeader, 400, "A header is invalid, or contradicts another one."),
    (errors.UnsupportedTransferCoding, 400, "The Transfer-Encoding is not supported."),
    (errors.InvalidChunkSize, 400, "A chunk size is invalid."),
    (errors.ChunkMissingTerminator, 400, "A chunk has no terminator."),
    (errors.InvalidChunkExtension, 400, "A chunk extension is invalid."),
    (errors.ParseException, 400, "It cannot be parsed."),
)


class HeadTooSlow(Exception):
    """A request's head began and did not end in time."""


def refusal(error: BaseException, head_seconds: float) -> tuple[int, str]:
    """Return status and sentence for a request that could not be read; 500 for an error of the server."""
    if isinstance(error, HeadTooSlow):
        return 408, f"The request's head did not arrive within {head_seconds:g} seconds."
    if isinstance(error, TooManyStreams):
        return 503, str(error)
    for kind, status, sentence in _REFUSALS:
        if isinstance(error, kind):
            return status, f"This is not a valid HTTP request. {sentence}"
    return 500, "Internal error; see the server log."


def error_response(status: int, sentence: str) -> bytes:
    """Return a response in plain text that closes the connection, as bytes."""
    body = f"Error: {sentence}".encode("utf-8", "replace")
    wait = "Retry-After: 5\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nServer: eventbus\r\nConnection: close\r\n{wait}"
        "X-Content-Type-Options: nosniff\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body
