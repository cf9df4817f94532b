"""The application's own Flask: guards protect each view, and a hook that Flask would call is no silent no-op."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask, Request, current_app, g, render_template_string, request, session
from werkzeug.test import create_environ

from eventbus.core.errors import Forbidden
from eventbus.core.settings import MEMORY, Settings
from eventbus.core.tokens import Scope
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services.bus import Bus
from eventbus.web.flask_app import BusFlask, HooksUnsupported
from eventbus.web.request_context import LazyRequest
from tests.support.scripted import ScriptedTransport

HOOKS = ("before_request", "after_request", "teardown_request", "url_value_preprocessor")


@pytest.fixture
def bus() -> Bus:
    """A bus in memory that was not started."""
    return Bus(Settings(journal=f"sqlite:///{MEMORY}"), SqliteJournal(MEMORY), ScriptedTransport())


def hook(*_: Any) -> None:
    """Do nothing."""


@pytest.mark.parametrize("name", [*HOOKS, "teardown_appcontext"])
def test_a_hook_on_the_application_raises(bus: Bus, name: str) -> None:
    """A hook that would never be called raises, and says what to use instead."""
    with pytest.raises(HooksUnsupported, match=f"{name}.*guard"):
        getattr(BusFlask("app", bus), name)(hook)


@pytest.mark.parametrize(
    "name", [*HOOKS, "before_app_request", "after_app_request", "teardown_app_request", "app_url_value_preprocessor"]
)
def test_a_blueprint_with_a_hook_is_not_registered(bus: Bus, name: str) -> None:
    """A blueprint's hook raises when the blueprint is registered."""
    blueprint = Blueprint("part", __name__)
    getattr(blueprint, name)(hook)
    with pytest.raises(HooksUnsupported, match="guard"):
        BusFlask("app", bus).register_blueprint(blueprint)


def test_a_hook_that_was_put_into_a_table_of_flask_raises_at_the_first_request(bus: Bus) -> None:
    """A hook that goes around the methods is found before any view runs."""
    app = BusFlask("app", bus)
    app.add_url_rule("/", view_func=lambda: "open")
    app.before_request_funcs[None] = [hook]
    app.testing = True  # so that what goes wrong outside of views is raised
    with pytest.raises(HooksUnsupported, match="before_request"):
        app.test_client().get("/")


def refuse(_: Request) -> None:
    """Refuse every request."""
    raise Forbidden("not allowed", scope=Scope.ADMIN)


@pytest.mark.parametrize(("guard", "status"), [(hook, 200), (refuse, 403)])
def test_a_guard_decides_whether_a_view_is_called(bus: Bus, guard: Callable[[Request], None], status: int) -> None:
    """What a guard raises becomes the response, and its view does not run."""
    app = BusFlask("app", bus, [guard])
    app.add_url_rule("/", view_func=lambda: "open")
    app.register_error_handler(Forbidden, lambda error: (str(error), 403))
    assert app.test_client().get("/").status_code == status


def test_flask_has_no_other_hook_around_a_request(bus: Bus) -> None:
    """A new version of Flask with another table of hooks fails here, so that it is not ignored silently."""
    tables = {name for name in vars(Flask("plain")) if name.endswith(("_funcs", "_functions", "_preprocessors"))}
    assert tables == {
        "before_request_funcs", "after_request_funcs", "teardown_request_funcs", "teardown_appcontext_funcs",
        "url_value_preprocessors", "view_functions", "url_default_functions",
    }  # fmt: skip


def test_a_request_has_all_that_flasks_own_has() -> None:
    """Each attribute that Flask's request sets when it is made can be read of this one, with the same value."""
    environ = create_environ("/a b/c?q=1", "http://bus:3000/base", method="PUT", headers={"X-Y": "z"}, data=b"body")
    own, lazy = vars(Request(dict(environ), populate_request=False)), LazyRequest(dict(environ))
    for name in own:
        if name not in ("headers", "environ"):
            assert getattr(LazyRequest(environ), name) == own[name]
    assert (lazy.headers["X-Y"], lazy.args["q"], lazy.get_data(), lazy.url_rule) == ("z", "1", b"body", None)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = lazy.nothing_like_it


def test_a_view_and_its_template_see_the_request(bus: Bus) -> None:
    """In a view, with variables in its path or without, Flask's own names stand for what they do elsewhere."""
    app = BusFlask("app", bus)

    def view(name: str = "none") -> str:
        assert current_app.name == "app"
        assert "key" not in session
        return render_template_string("{{ request.path }} {{ request.method }} {{ name }}", name=name)

    app.add_url_rule("/open", view_func=view)
    app.add_url_rule("/open/<name>", view_func=view)
    client = app.test_client()
    assert client.get("/open").text == "/open GET none"
    assert client.get("/open/a").text == "/open/a GET a"
    assert client.options("/open").headers["Allow"]
    assert client.get("/shut").status_code == 404
    assert not request


def test_nothing_can_be_kept_in_what_all_requests_share(bus: Bus) -> None:
    """Flask's ``g`` is the same for all requests, so setting an attribute of it raises."""
    with BusFlask("app", bus).test_request_context("/"), pytest.raises(NotImplementedError, match="user"):
        g.user = "someone"
