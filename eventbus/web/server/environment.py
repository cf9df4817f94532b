"""The WSGI environment of a request: what its connection adds to every one, and what its head says."""

from collections.abc import Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

from gunicorn.http.wsgi import base_environ

from eventbus.web.server.cgi import unquoted, variable_of
from eventbus.web.server.connections import ClientConnection
from eventbus.web.server.listeners import Name
from eventbus.web.server.ordinary_request import OrdinaryRequest
from eventbus.web.server.request_reader import RequestReader

#: In the environment: a function that sends 100 Continue, if the client waits for it.
CONTINUE = "eventbus.continue"
#: In the environment: the request's ClientConnection.
CONNECTION = "eventbus.connection"
#: In the environment: the bytes after the request's head that have already arrived.
BUFFERED = "eventbus.held"


def frozen(cfg: Any) -> Any:
    """Return gunicorn's settings as plain attributes: its own object computes each one with every access."""
    settings = {name: getattr(cfg, name) for name in cfg.settings}
    return _Frozen(cfg, settings | {"is_ssl": cfg.is_ssl})


class _Frozen(SimpleNamespace):
    """Settings as they were at the start; any other attribute is that of gunicorn's object."""

    def __init__(self, cfg: Any, settings: dict[str, Any]) -> None:
        super().__init__(**settings, _cfg=cfg, environ={**base_environ(cfg), "wsgi.multithread": True})

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_cfg"], name)


def connection_environ(cfg: Any, connection: ClientConnection, peer: Name, server: Name) -> dict[str, Any]:
    """Return what the environments of all requests on a connection have in common."""
    return {
        **cfg.environ,
        "wsgi.url_scheme": "https" if cfg.is_ssl else "http",
        "SCRIPT_NAME": "",
        "REMOTE_ADDR": peer[0],
        "REMOTE_PORT": str(peer[1]),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        CONNECTION: connection,
    }


def environ_of(request: Any, common: Mapping[str, Any], reader: RequestReader) -> dict[str, Any]:
    """Return the environment of a request, ordinary or of gunicorn's parser; ``common`` is its connection's part."""
    if type(request) is OrdinaryRequest:
        return {**common, **request.head.environ, "wsgi.input": request.body, BUFFERED: len(reader.held)}
    environ = {**common, "wsgi.input": request.body, BUFFERED: len(reader.held), "wsgi.url_scheme": request.scheme}
    request.body.awaits = request._expected_100_continue  # noqa: SLF001 - gunicorn's own function reads it
    if request.body.awaits:
        environ[CONTINUE] = partial(_continue, request.body, reader)
    environ["REQUEST_METHOD"] = request.method
    environ["QUERY_STRING"] = request.query
    environ["RAW_URI"] = request.uri
    environ["SERVER_PROTOCOL"] = f"HTTP/{request.version[0]}.{request.version[1]}"
    environ["PATH_INFO"] = unquoted(request.path) or "/"
    for name, value in request.headers:
        key = variable_of(name)
        if key.startswith("HTTP_") and key in environ:
            environ[key] = f"{environ[key]},{value}"
        else:
            environ[key] = value
    return environ


def _continue(body: Any, reader: RequestReader) -> bytes:
    """Send 100 Continue, for which the client waits with its body (RFC 9110, 10.1.1)."""
    body.awaits = False
    reader.client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    return b""
