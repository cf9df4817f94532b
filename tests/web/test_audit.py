"""Who asked for a change, as far as that is known, and never by which token."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from eventbus.core.settings import Settings
from eventbus.core.tokens import Scope, tokens_of
from eventbus.journal.sqlite import SqliteJournal
from eventbus.journal.sqlite.store import MEMORY
from eventbus.services.bus import Bus
from eventbus.services.known_tokens import KnownTokens
from eventbus.web.app import create_app
from eventbus.web.audit import MAX_FORWARDED_CHARACTERS, asked_by
from tests.support.scripted import ScriptedTransport

TOKENS = tokens_of(
    {Scope.SUBSCRIBE: "subscribe-0123456789", Scope.PUBLISH: "publish-0123456789", Scope.ADMIN: "admin-0123456789"}
)
BOTH = tokens_of({Scope.SUBSCRIBE: "both-0123456789abc", Scope.PUBLISH: "both-0123456789abc"})


def environ(**more: Any) -> dict[str, Any]:
    """A request's environment."""
    return {"REMOTE_ADDR": "10.0.0.7", **more}


@pytest.mark.parametrize(
    ("tokens", "token", "scope"),
    [
        (TOKENS, "admin-0123456789", "admin"),
        (TOKENS, "subscribe-0123456789", "subscribe"),
        (BOTH, "both-0123456789abc", "publish+subscribe"),
    ],
)
def test_a_token_is_told_by_what_it_may_do(tokens: Any, token: str, scope: str) -> None:
    """The scope is told, the token is not."""
    told = asked_by(environ(), KnownTokens(tokens).find(token))
    assert told == {"client": "10.0.0.7", "scope": scope}


def test_without_tokens_there_is_no_scope() -> None:
    """Where none are set, what a client sends as one is not looked at."""
    assert asked_by(environ(HTTP_AUTHORIZATION="Bearer secret-of-another"), None) == {"client": "10.0.0.7"}


@pytest.mark.parametrize(("address", "client"), [("::ffff:10.0.0.7", "10.0.0.7"), ("::1", "::1"), ("", "unknown")])
def test_an_address_has_one_spelling(address: str, client: str) -> None:
    """As IPv4 where it is such; a client over a Unix socket has none."""
    assert asked_by({"REMOTE_ADDR": address}, None) == {"client": client}


def test_what_a_proxy_says_is_told_apart_and_bounded() -> None:
    """It is what it says it is: nobody has checked that."""
    told = asked_by(environ(HTTP_X_FORWARDED_FOR="1.2.3.4, " + "9" * 5_000), None)
    assert told["client"] == "10.0.0.7"
    assert told["forwarded_for"].startswith("1.2.3.4, 9")
    assert len(told["forwarded_for"]) == MAX_FORWARDED_CHARACTERS


def test_every_view_that_changes_something_logs_it() -> None:
    """All but publishing, of which metrics and the journal tell."""
    bus = Bus(Settings(journal=f"sqlite:///{MEMORY}"), SqliteJournal(MEMORY), ScriptedTransport())
    app = create_app(bus)
    changing = {
        rule.endpoint for rule in app.url_map.iter_rules() if (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
    }
    silent = {name for name in changing if not logs_a_change(app.view_functions[name])}
    assert len(changing) > 5
    assert silent == {"messages.send_message"}


def logs_a_change(view: Callable[..., Any]) -> bool:
    """Whether a view logs what it changes, itself or by a function of its own module."""
    source = inspect.getsource(view)
    functions = inspect.getmembers(inspect.getmodule(view), inspect.isfunction)
    helpers = [inspect.getsource(each) for name, each in functions if name.startswith("_") and f"{name}(" in source]
    return any("log_change(" in each for each in (source, *helpers))
