"""The client gives credentials with each registration, checks by its own secret, and shows neither."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from eventbus.client import NO_RETRY, Bus, Inbox, ProtocolError, UsageError, Verifier
from eventbus.client.calls import Call
from eventbus.client.http import Request, Response
from eventbus.testing import FakeBus, deliver

OLD, NEW = (f"whsec_{base64.b64encode(bytes([number]) * 24).decode()}" for number in (1, 2))
BEARER = "Bearer a-token-of-the-subscriber"
AUTHORIZATION, SECRET = "Eventbus-Forward-Authorization", "Eventbus-Secret"


class OldBus:
    """A transport to a bus of a version that knows no credentials."""

    def request(self, _: Request, *, fresh: bool = False) -> Response:
        """Answer as that bus does."""
        found = FakeBus().register("localhost:8001")
        payload = {name: getattr(found, name) for name in type(found).__dataclass_fields__ if name != "credentials"}
        return Response(200, {}, json.dumps(payload, default=lambda value: value.isoformat()).encode())

    def close(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("given", "kinds"),
    [
        ({}, ()),
        ({"authorization": BEARER}, ("authorization",)),
        ({"secret": NEW}, ("authorization", "secret")),
        ({"authorization": ""}, ("secret",)),
        ({"secret": ""}, ()),
    ],
)
def test_a_registration_gives_keeps_and_removes(given: dict[str, str], kinds: tuple[str, ...]) -> None:
    """What a renewal leaves out stays, and what is empty goes."""
    bus = FakeBus()
    steps: list[dict[str, str]] = [{"authorization": BEARER}, {"secret": NEW}, {"authorization": ""}, {"secret": ""}]
    for step in steps[: steps.index(given) + 1] if given else [{}]:
        found = bus.register("localhost:8001", **step)
    assert found.credentials == kinds
    assert [one.credentials for one in bus.subscribers()] == [kinds]


@pytest.mark.parametrize("given", [{"authorization": "a\nb-secret"}, {"secret": "whsec_b-secret"}])
def test_what_is_invalid_is_not_sent(given: dict[str, str]) -> None:
    """The error does not repeat it, be it of a call or of an inbox."""
    for make in (lambda: FakeBus().register("localhost:8001", **given), lambda: Inbox(**given)):
        with pytest.raises(UsageError, match=r"^Eventbus-\S+ must be") as error:
            make()
        assert "b-secret" not in str(error.value)
        assert error.value.__suppress_context__


def test_a_bus_that_takes_no_credentials_is_told_apart() -> None:
    """An older one ignores the headers, and would deliver without them."""
    bus = Bus("http://old", transport=OldBus(), backoff=NO_RETRY)  # type: ignore[arg-type] # it needs no stream
    assert bus.register("localhost:8001").credentials == ()
    with pytest.raises(ProtocolError, match="takes no credentials"):
        bus.register("localhost:8001", secret=NEW)


def test_no_text_of_a_call_shows_them() -> None:
    """Neither a call, nor its request, nor an inbox."""
    headers = {AUTHORIZATION: BEARER, SECRET: NEW}
    inbox = Inbox(authorization=BEARER, secret=NEW)
    for one in (Call(method="POST", path="/", headers=headers), Request("POST", "/", headers, None, 1.0), inbox):
        assert "token-of" not in repr(one)
        assert "AgIC" not in repr(one)
    assert "token-of" not in repr(vars(inbox)["credentials"])


def test_an_inbox_checks_by_the_secret_that_it_gives() -> None:
    """Deliveries of the bus are signed by it, and have the authorization."""
    inbox, found = Inbox(authorization=BEARER, secret=NEW), list[Mapping[str, str]]()
    inbox.on(">")(lambda event: found.append(event.headers))
    assert deliver(inbox, "a").status == 200
    assert found[0]["authorization"] == BEARER
    assert inbox.dispatch("POST", {"Webhook-Id": "1"}, b"").status == 401


def test_while_a_secret_is_rotated_an_inbox_knows_both() -> None:
    """A verifier that is given has to know the one by which the bus signs from now on."""
    assert Inbox(secret=NEW, verifier=Verifier([NEW, OLD])).verifier.secrets == (b"\2" * 24, b"\1" * 24)
    with pytest.raises(UsageError, match="needs its secret too"):
        Inbox(secret=NEW, verifier=Verifier(OLD))
    assert Inbox(verifier=Verifier(OLD)).verifier.secrets == (b"\1" * 24,)


def fails() -> str:
    """An authorization that cannot be made."""
    raise ConnectionError("no-answer-with-a-secret")


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [("", "not empty"), (lambda: "", "is empty"), (fails, "cannot be made: ConnectionError")],
)
def test_an_inbox_never_removes_its_credentials_by_mistake(authorization: str | Callable[[], str], reason: str) -> None:
    """An environment variable that is empty, or a token that cannot be had, registers nothing."""
    with pytest.raises(UsageError, match=reason) as error:
        Inbox(authorization=authorization).credentials.given()
    assert "with-a-secret" not in str(error.value)


def test_an_authorization_may_be_another_each_time() -> None:
    """A function is asked for the one that is valid with each registration."""
    tokens: Any = iter(("Bearer one", "Bearer two"))
    credentials = Inbox(authorization=lambda: next(tokens)).credentials
    assert [credentials.given()["authorization"] for _ in range(2)] == ["Bearer one", "Bearer two"]
