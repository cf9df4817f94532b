"""Flask with what this bus has no use for left out: sessions, signals, hosts, and the search for a fixed path."""

from collections.abc import Callable
from typing import Any

from flask import Flask, Request, Response
from flask.sessions import NullSession, SessionInterface, SessionMixin
from werkzeug.exceptions import NotFound
from werkzeug.routing import MapAdapter, Rule

from eventbus.web.accept import VARIES
from eventbus.web.current import the_request
from eventbus.web.parameters import IGNORED, IGNORED_KEY
from eventbus.web.replies import Reply


class BusFlask(Flask):
    """A Flask application without sessions, signals or a server name.

    ``before_request``, ``after_request`` and the like are not called: routes do their own work here.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None, template_folder=None)
        self.session_interface = _NoSessions()
        self.url_map.merge_slashes = False
        self._fixed: dict[tuple[str, str], Rule] | None = None
        self.guards: tuple[
            Callable[[Request], None], ...
        ] = ()  #: called before each view; what one raises is the answer

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Match on path and method alone."""
        return None if request is None else _Adapter(self, request.environ)

    def fixed(self) -> dict[tuple[str, str], Rule]:
        """The rules without variables, by path and method; worked out at the first request."""
        if self._fixed is None:
            self._fixed = {
                (rule.rule, method): rule
                for rule in self.url_map.iter_rules()
                if not rule.arguments
                for method in rule.methods or ()
            }
        return self._fixed

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The view itself: none is a coroutine, which Flask looks for with each request."""
        return func

    def do_teardown_request(self, exc: BaseException | None = None) -> None:
        """Nothing: there is no hook and no signal."""

    def do_teardown_appcontext(self, exc: BaseException | None = None) -> None:
        """Nothing either."""

    def full_dispatch_request(self) -> Any:
        """Call the view, and make its answer a response; a Reply is one already."""
        current = the_request()
        try:
            self.check_request(current)
            answer: Any = self.dispatch_request()
        except Exception as error:
            answer = self.handle_user_exception(error)
        if not isinstance(answer, Reply | Response):
            answer = self.make_response(answer)
        environ = current.environ
        if VARIES in environ:
            answer.headers["Vary"] = "Accept"
        if IGNORED_KEY in environ:
            answer.headers[IGNORED] = environ[IGNORED_KEY]
        return answer

    def check_request(self, current: Request) -> None:
        """Let a request through, or raise what is answered."""
        for guard in self.guards:
            guard(current)


class _Adapter(MapAdapter):
    """Finds fixed paths in a table, the others as Werkzeug does."""

    def __init__(self, app: BusFlask, environ: dict[str, Any]) -> None:
        self._app = app
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        super().__init__(app.url_map, "", "/", None, "http", path, method, environ["QUERY_STRING"])

    def match(self, *args: Any, **kwargs: Any) -> Any:
        """The rule for this path. Raises NotFound for more than one slash before it, which Werkzeug passes over."""
        rule = self._app.fixed().get((self.path_info, self.default_method))
        if rule is not None:
            return rule, {}
        if self.path_info.startswith("//"):
            raise NotFound
        return super().match(*args, **kwargs)


class _NoSessions(SessionInterface):
    """Nobody has a session."""

    _none = NullSession()

    def open_session(self, app: Flask, request: Request) -> SessionMixin | None:
        """The same for all."""
        return self._none

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Nothing to save."""
