"""What Flask keeps for a request, made cheaper: one small object, whose parts are made when they are read.

The percentages say how many of the instructions of a publish to nobody each of these saves.
"""

from contextvars import Token
from typing import Any, NoReturn

from flask import Request
from flask.ctx import AppContext, RequestContext, _AppCtxGlobals
from flask.globals import _cv_app, _cv_request
from flask.sessions import NullSession
from werkzeug.routing import MapAdapter

from eventbus.core.override import override

_NO_SESSION = NullSession()
#: The attributes that Werkzeug computes for each request, few of which are read.
_COMPUTED = frozenset({"method", "scheme", "server", "root_path", "path", "query_string", "headers", "remote_addr"})


class LazyRequest(Request):
    """Flask's request over an environment. Its attributes are computed once one of them is read (8 %)."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ
        self.shallow = False

    def __getattr__(self, name: str) -> Any:
        if name not in _COMPUTED:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        super().__init__(self.environ, populate_request=False)
        return self.__dict__[name]


class SmallContext(RequestContext):
    """The context of a request to a BusFlask: without a session, signals and teardown (16 %).

    Flask's own makes a context of the application for each request, too; here all share one.
    """

    app: Any  # a BusFlask

    def __init__(self, app: Any, environ: dict[str, Any]) -> None:
        self.app = app
        self.request = LazyRequest(environ)
        self.flashes = None
        self._session = _NO_SESSION
        self._adapter: MapAdapter | None = None
        self._tokens: tuple[Token[AppContext], Token[RequestContext]]

    @property
    def url_adapter(self) -> MapAdapter | None:  # type: ignore[override]
        """What matches paths that have variables; Flask's own makes one for each request."""
        if self._adapter is None:
            self._adapter = self.app.create_url_adapter(self.request)
        return self._adapter

    @override
    def push(self) -> None:
        self._tokens = _cv_app.set(self.app.shared_context), _cv_request.set(self)
        self.match_request()

    @override
    def pop(self, exc: BaseException | None = None) -> None:
        app_token, token = self._tokens
        _cv_request.reset(token)
        _cv_app.reset(app_token)

    @override
    def match_request(self) -> None:  # by a table where the path has no variables (11 %)
        request, environ = self.request, self.request.environ
        rule = self.app.fixed().get((environ["PATH_INFO"], environ["REQUEST_METHOD"]))
        if rule is None:
            super().match_request()
        else:
            request.url_rule, request.view_args = rule, {}


class NoGlobals(_AppCtxGlobals):
    """``flask.g``, in which nothing may be kept: all requests have the same."""

    @override
    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise NotImplementedError(f"all requests share flask.g here, so {name!r} cannot be kept in it")
