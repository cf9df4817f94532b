"""A smaller Flask: no sessions, signals, host matching or request hooks, and a table for paths without variables."""

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from flask import Flask, Request, Response
from flask.ctx import AppContext
from flask.sansio.blueprints import Blueprint
from werkzeug.exceptions import NotFound
from werkzeug.routing import MapAdapter, Rule

from eventbus.core.override import override
from eventbus.services.bus import Bus
from eventbus.web.accept import VARIES
from eventbus.web.parameters import IGNORED_ENVIRON_KEY, IGNORED_HEADER
from eventbus.web.replies import Reply
from eventbus.web.request_context import NoGlobals, SmallContext
from eventbus.web.subscription_changes import Changes

#: Called before each view. What it raises becomes the response.
Guard = Callable[[Request], None]


class BusFlask(Flask):
    """The Flask application over one bus; ``guards`` are called before each view, in their order.

    Flask's request hooks (``before_request`` and the like) would never be called: setting one raises HooksUnsupported.
    """

    app_ctx_globals_class = NoGlobals

    def __init__(self, name: str, bus: Bus, guards: Iterable[Guard] = ()) -> None:
        super().__init__(name, static_folder=None, template_folder=None)
        self.bus = bus
        self.changes = Changes()
        self.shared_context = AppContext(self)  #: for all requests
        self.url_map.merge_slashes = False
        self._guards = tuple(guards)
        self._fixed: dict[tuple[str, str], Rule] | None = None

    @override
    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        return None if request is None else _Adapter(self, request.environ)

    def fixed(self) -> dict[tuple[str, str], Rule]:
        """Return the rules without variables by path and method; the first request computes them."""
        if self._fixed is None:
            self._check_hooks()
            self._fixed = {
                (rule.rule, method): rule
                for rule in self.url_map.iter_rules()
                if not rule.arguments
                for method in rule.methods or ()
            }
        return self._fixed

    @override
    def before_request(self, f: Callable[..., Any]) -> NoReturn:
        raise HooksUnsupported("before_request")

    @override
    def after_request(self, f: Callable[..., Any]) -> NoReturn:
        raise HooksUnsupported("after_request")

    @override
    def teardown_request(self, f: Callable[..., Any]) -> NoReturn:
        raise HooksUnsupported("teardown_request")

    @override
    def teardown_appcontext(self, f: Callable[..., Any]) -> NoReturn:
        raise HooksUnsupported("teardown_appcontext")

    @override
    def url_value_preprocessor(self, f: Callable[..., Any]) -> NoReturn:
        raise HooksUnsupported("url_value_preprocessor")

    @override
    def register_blueprint(self, blueprint: Blueprint, **options: Any) -> None:
        super().register_blueprint(blueprint, **options)
        self._check_hooks()

    def _check_hooks(self) -> None:
        """Raise HooksUnsupported if there is a hook, as a blueprint can bring."""
        for name, hooks in (
            ("before_request", self.before_request_funcs),
            ("after_request", self.after_request_funcs),
            ("teardown_request", self.teardown_request_funcs),
            ("teardown_appcontext", self.teardown_appcontext_funcs),
            ("url_value_preprocessor", self.url_value_preprocessors),
        ):
            if hooks:
                raise HooksUnsupported(name)

    @override
    def request_context(self, environ: dict[str, Any]) -> SmallContext:
        return SmallContext(self, environ)

    @override
    def wsgi_app(self, environ: dict[str, Any], start_response: Any) -> Any:
        context = SmallContext(self, environ)
        try:
            try:
                context.push()
                answer = self._answer(context.request)
            except Exception as error:
                answer = self.handle_exception(error)
            return answer(environ, start_response)
        finally:
            context.pop()

    def _answer(self, request: Request) -> Any:
        """Return the response to a request: that of its view, or of the handler of what is raised."""
        environ, rule = request.environ, request.url_rule
        try:
            self.check_request(request)
            if rule is None or request.view_args or environ["REQUEST_METHOD"] == "OPTIONS":
                answer: Any = self.dispatch_request()
            else:  # as dispatch_request would, which looks the request up again (3 %)
                answer = self.view_functions[rule.endpoint]()
        except Exception as error:
            answer = self.handle_user_exception(error)
        if not isinstance(answer, Reply | Response):
            answer = self.make_response(answer)
        if VARIES in environ:
            answer.headers["Vary"] = "Accept"
        if IGNORED_ENVIRON_KEY in environ:
            answer.headers[IGNORED_HEADER] = environ[IGNORED_ENVIRON_KEY]
        return answer

    def check_request(self, current: Request) -> None:
        """Return if every guard admits a request; raise what a guard raises."""
        for guard in self._guards:
            guard(current)


class HooksUnsupported(NotImplementedError):
    """A request hook of Flask was set on an application that never calls one."""

    def __init__(self, hook: str) -> None:
        super().__init__(f"{hook} is never called in this application; pass a guard to BusFlask(guards=...) instead")


class _Adapter(MapAdapter):
    """Looks paths without variables up in a table, and leaves the rest to Werkzeug."""

    def __init__(self, app: BusFlask, environ: dict[str, Any]) -> None:
        self._app = app
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        super().__init__(app.url_map, "", "/", None, "http", path, method, environ["QUERY_STRING"])

    @override
    def match(self, *args: Any, **kwargs: Any) -> Any:
        if self.path_info.startswith("//"):  # Werkzeug would ignore the second slash
            raise NotFound
        return super().match(*args, **kwargs)
