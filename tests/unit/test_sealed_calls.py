"""A request with something secret is sealed: only a node that has one of the caller's tokens can read it."""

import base64
import hmac
import json
import sys

import pytest

from eventbus.core.access import NOBODY, Access
from eventbus.core.errors import CallRefused, Conflict
from eventbus.core.tokens import Scope, Tokens, tokens_of
from eventbus.web.cluster.sealing import unseal
from eventbus.web.cluster.signed_calls import CallReader, Key, OpenedCall, SignedCall, key_of, sign

ADMIN, OLD, NEW, PUBLISH = "admin-0123456789", "subscribe-0-old-0", "subscribe-0-new-0", "publish-0123456789"
REQUEST = {"REQUEST_METHOD": "POST", "PATH_INFO": "/registerAndKeepAlive", "QUERY_STRING": "address=a%3A1"}
NOW = 1_000_000.0
SUBSCRIBING = frozenset({Scope.SUBSCRIBE})
AUTHORIZATION = "Bearer not-for-redis"
SECRET_FIELDS = {"HTTP_EVENTBUS_FORWARD_AUTHORIZATION": AUTHORIZATION}


def keys(**texts: str) -> list[Key]:
    """The keys of a node with these tokens."""
    tokens: Tokens = tokens_of({Scope(scope): text for scope, text in texts.items()})
    return [(key_of(digest), Access(scopes)) for digest, scopes in tokens.by_digest().items()]


def opened(of: list[Key], text: bytes) -> OpenedCall:
    """The call as a node with these keys takes it."""
    return CallReader().open(text, of, "there", NOW)


def sealed(of: list[Key], scopes: frozenset[Scope] = SUBSCRIBING) -> SignedCall:
    """A call whose request has something secret."""
    return sign(of, "there", NOW, REQUEST, Access(scopes), secret=SECRET_FIELDS)


@pytest.mark.parametrize(
    ("asking", "asked"),
    [
        ({"subscribe": OLD}, {"subscribe": OLD}),
        ({"subscribe": f"{OLD},{NEW}"}, {"subscribe": NEW}),
        ({"subscribe": OLD}, {"subscribe": f"{NEW},{OLD}"}),
        ({"subscribe": NEW, "admin": ADMIN}, {"subscribe": OLD, "admin": ADMIN}),
    ],
)
def test_who_has_one_of_the_tokens_reads_a_sealed_request(asking: dict[str, str], asked: dict[str, str]) -> None:
    """The request is complete, and nothing of it is in the call, raw or as Base64."""
    sent = sealed(keys(**asking))
    found = opened(keys(**asked), sent.text)
    assert found.request == REQUEST | SECRET_FIELDS
    assert AUTHORIZATION not in repr(found)
    for hidden in (
        b"not-for-redis",
        b"FORWARD_AUTHORIZATION",
        b"/registerAndKeepAlive",
        base64.b64encode(b"not-for-redis")[:12],
    ):
        assert hidden not in sent.text
    assert sent.verify(found.reply(b"done")) == b"done"


def test_a_token_that_may_not_do_it_reads_no_sealed_request() -> None:
    """A publisher who can read Redis learns nothing: its token seals none, as it signs none."""
    publisher, both = keys(publish=PUBLISH), keys(publish=PUBLISH, subscribe=OLD)
    text = sealed(both).text.partition(b"\n")[2]
    with pytest.raises(CallRefused, match="not signed by any"):
        opened(publisher, sealed(both).text)
    fields = json.loads(text)
    with pytest.raises(CallRefused, match="sealed by none of this node's tokens"):
        unseal([key for key, _ in publisher], fields["sealed"], f"{fields['name']} there".encode())


def test_a_sealed_request_belongs_to_one_call() -> None:
    """Who knows a token cannot put what another call carried into one of its own, for another node."""
    fields = json.loads(sealed(keys(subscribe=OLD)).text.partition(b"\n")[2])
    own = [key for key, _ in keys(subscribe=OLD)]
    assert unseal(own, fields["sealed"], f"{fields['name']} there".encode())
    with pytest.raises(CallRefused, match="sealed by none"):
        unseal(own, fields["sealed"], f"{fields['name']} elsewhere".encode())


@pytest.mark.parametrize(
    "sent", [None, {}, {"keys": []}, {"keys": ["é"], "text": ""}, {"keys": 7, "text": ""}, "text", 7]
)
def test_what_is_sealed_wrongly_is_refused(sent: object) -> None:
    """Nothing but CallRefused is raised."""
    of = keys(subscribe=OLD)
    fields = {"to": "there", "name": "a" * 32, "until": int(NOW), "scopes": ["subscribe"], "sealed": sent}
    text = json.dumps(fields).encode()
    signature = hmac.new(of[0][0], b"call\n" + text, "sha256").hexdigest().encode()
    with pytest.raises(CallRefused):
        opened(of, signature + b"\n" + text)


def test_without_a_token_nothing_secret_is_sent() -> None:
    """The error says what to set."""
    for of, scopes in (([], frozenset[Scope]()), (keys(publish=PUBLISH), SUBSCRIBING)):
        with pytest.raises(Conflict, match="EVENTBUS_SUBSCRIBE_TOKENS or EVENTBUS_ADMIN_TOKENS, to the same"):
            sealed(of, scopes)
    assert opened([], sign([], "there", NOW, REQUEST, NOBODY, secret={}).text).request == REQUEST


def test_without_the_package_nothing_is_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra that brings it."""
    sent = sealed(keys(subscribe=OLD))
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(Conflict, match=r"eventbus\[redis\]"):
        sealed(keys(subscribe=OLD))
    with pytest.raises(CallRefused, match=r"eventbus\[redis\]"):
        opened(keys(subscribe=OLD), sent.text)
