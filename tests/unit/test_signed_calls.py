"""A call from node to node counts where a token vouches for it, for one node, once, in time; and carries no token."""

import json
from dataclasses import replace
from typing import Any

import pytest

from eventbus.core.access import OPEN, Access
from eventbus.core.errors import CallRefused
from eventbus.core.tokens import Scope, Tokens, tokens_of
from eventbus.web.cluster.signed_calls import (
    MAX_DEADLINE_MS,
    MAX_SKEW_MS,
    CallReader,
    Key,
    OpenedCall,
    SignedCall,
    key_of,
    sign,
)

ADMIN, OLD, NEW, PUBLISH = "admin-0123456789", "subscribe-0-old-0", "subscribe-0-new-0", "publish-0123456789"
REQUEST = {"REQUEST_METHOD": "DELETE", "PATH_INFO": "/deadLetters", "QUERY_STRING": "all=true"}
NOW = 1_000_000.0
EVERYTHING = frozenset(Scope)
SUBSCRIBING = frozenset({Scope.SUBSCRIBE})


def keys(**texts: str) -> list[Key]:
    """The keys of a node with these tokens."""
    tokens: Tokens = tokens_of({Scope(scope): text for scope, text in texts.items()})
    return [(key_of(digest), Access(scopes)) for digest, scopes in tokens.by_digest().items()]


def call(of: list[Key], scopes: frozenset[Scope] = EVERYTHING, to: str = "there", until: float = NOW) -> SignedCall:
    """A call of a node with these keys, for a client that may do this."""
    return sign(of, to, until, REQUEST, Access(scopes))


def opened(of: list[Key], text: bytes, now: float = NOW) -> OpenedCall:
    """The call as a node with these keys, that has opened none yet, takes it."""
    return CallReader().open(text, of, "there", now)


def test_a_call_and_its_answer_come_through() -> None:
    """The node that is asked knows the request and what its client may do; the one that asks takes its answer."""
    sent = call(keys(admin=ADMIN))
    found = opened(keys(admin=ADMIN), sent.text)
    assert (found.request, found.access) == (REQUEST, OPEN)
    assert sent.verify(found.reply(b"an\nanswer")) == b"an\nanswer"


def test_no_token_and_no_digest_is_in_a_call() -> None:
    """Nor is any in its answer."""
    sent = call(keys(admin=ADMIN, subscribe=OLD))
    written = sent.text + opened(keys(admin=ADMIN), sent.text).reply(b"done")
    for digest in tokens_of({Scope.ADMIN: ADMIN, Scope.SUBSCRIBE: OLD}).by_digest():
        assert digest.hex().encode() not in written
        assert key_of(digest).hex().encode() not in written
    assert ADMIN.encode() not in written
    assert OLD.encode() not in written


def test_without_tokens_nothing_is_signed() -> None:
    """Everything is open then, and a call says nothing of what its client may do."""
    sent = call([], frozenset())
    found = opened([], sent.text)
    assert (found.request, found.access) == (REQUEST, None)
    assert sent.verify(found.reply(b"done")) == b"done"


@pytest.mark.parametrize(
    ("asking", "asked"),
    [
        ({"subscribe": f"{OLD},{NEW}"}, {"subscribe": OLD}),
        ({"subscribe": OLD}, {"subscribe": f"{OLD},{NEW}"}),
        ({"subscribe": f"{OLD},{NEW}"}, {"subscribe": NEW}),
        ({"subscribe": NEW}, {"subscribe": f"{OLD},{NEW}"}),
        ({"subscribe": NEW, "admin": ADMIN}, {"subscribe": OLD, "admin": ADMIN}),
    ],
)
def test_while_tokens_change_one_in_common_is_enough(asking: dict[str, str], asked: dict[str, str]) -> None:
    """One token that both nodes have, and that may do as much as the client's, vouches for it; the answer too."""
    sent = call(keys(**asking), SUBSCRIBING)
    found = opened(keys(**asked), sent.text)
    assert found.access == Access(SUBSCRIBING)
    assert sent.verify(found.reply(b"done")) == b"done"


@pytest.mark.parametrize(
    ("asking", "asked"),
    [
        ({"subscribe": NEW}, {"subscribe": OLD}),
        ({"subscribe": NEW, "publish": PUBLISH}, {"subscribe": OLD, "publish": PUBLISH}),
        ({}, {"subscribe": OLD}),
    ],
)
def test_without_a_token_in_common_a_call_is_refused(asking: dict[str, str], asked: dict[str, str]) -> None:
    """A token that may do less than the client's vouches for nothing; neither does a node without tokens."""
    with pytest.raises(CallRefused, match="set the same ones on all nodes"):
        opened(keys(**asked), call(keys(**asking), SUBSCRIBING).text)


def test_who_knows_one_token_gains_nothing_beyond_it() -> None:
    """A call that is made up with a token's key may do what that token may do on the node that is asked, at most."""
    forged = sign([(keys(subscribe=OLD)[0][0], OPEN)], "there", NOW, REQUEST, OPEN)
    assert opened(keys(subscribe=OLD, admin=ADMIN), forged.text).access == Access(SUBSCRIBING)


def test_a_token_itself_is_no_key() -> None:
    """Nor is its digest: only what costs too much to try many."""
    for digest in tokens_of({Scope.ADMIN: ADMIN}).by_digest():
        for key in (ADMIN.encode(), digest):
            with pytest.raises(CallRefused):
                opened(keys(admin=ADMIN), call([(key, OPEN)]).text)


ALTERED: list[dict[str, Any]] = [
    {"request": REQUEST | {"PATH_INFO": "/replay"}},
    {"scopes": ["admin"]},
    {"until": NOW + 1},
    {"to": "elsewhere"},
    {"name": "another"},
]


@pytest.mark.parametrize("change", ALTERED)
def test_a_call_that_was_altered_is_refused(change: dict[str, Any]) -> None:
    """Whatever of it."""
    signature, _, text = call(keys(subscribe=OLD), SUBSCRIBING).text.partition(b"\n")
    altered = json.dumps(json.loads(text) | change).encode()
    with pytest.raises(CallRefused, match="not signed by any"):
        opened(keys(subscribe=OLD), b"%s\n%s" % (signature, altered))


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"{}", b"\n{}", b"a,b\n{}", b"," * 5_000 + b"\n{}", b"\xff\n\xff", b"\n" + b"[" * 100_000]
)
def test_what_is_no_call_is_refused(text: bytes) -> None:
    """By a node with tokens, and by one without, which has to read it."""
    for of in (keys(admin=ADMIN), []):
        with pytest.raises(CallRefused):
            opened(of, text)


@pytest.mark.parametrize(
    "told",
    [
        {"to": 1, "name": "a", "until": 1, "scopes": [], "request": {}},
        {"to": "a", "name": "a", "until": "x", "scopes": [], "request": {}},
        {"to": "a", "name": "a", "until": 1, "scopes": ["root"], "request": {}},
        {"to": "a", "name": "a", "until": 1, "scopes": [], "request": []},
        {"to": "a", "name": "a", "until": 1, "scopes": [], "request": {"PATH_INFO": True}},
        {"to": "a", "name": "a", "until": 1, "scopes": []},
    ],
)
def test_a_call_of_other_types_is_refused(told: dict[str, Any]) -> None:
    """Where nothing is signed it may hold anything."""
    with pytest.raises(CallRefused, match="malformed"):
        opened([], b"\n" + json.dumps(told).encode())


def test_a_call_counts_for_one_node() -> None:
    """What was meant for another one is refused."""
    with pytest.raises(CallRefused, match="another node"):
        opened(keys(admin=ADMIN), call(keys(admin=ADMIN), to="elsewhere").text)


def test_a_call_counts_once() -> None:
    """As long as it would count at all."""
    reader, sent = CallReader(), call(keys(admin=ADMIN), until=NOW + MAX_DEADLINE_MS)
    reader.open(sent.text, keys(admin=ADMIN), "there", NOW)
    for later in (
        0,
        MAX_DEADLINE_MS,
        MAX_DEADLINE_MS + MAX_SKEW_MS,
        MAX_DEADLINE_MS + MAX_SKEW_MS + 1,
        MAX_DEADLINE_MS + 9 * MAX_SKEW_MS,
    ):
        with pytest.raises(CallRefused, match=r"accepted before|deadline"):
            reader.open(sent.text, keys(admin=ADMIN), "there", NOW + later)


@pytest.mark.parametrize("now", [NOW + MAX_SKEW_MS + 1, NOW - MAX_DEADLINE_MS - MAX_SKEW_MS - 1])
def test_a_call_counts_in_its_time(now: float) -> None:
    """Neither when its caller has given up, nor with a deadline that no caller sets."""
    with pytest.raises(CallRefused, match="deadline"):
        opened(keys(admin=ADMIN), call(keys(admin=ADMIN)).text, now)


def test_so_many_calls_are_remembered_and_no_more() -> None:
    """Past that they are refused until the oldest can count no more."""
    reader, of = CallReader(max_seen=3), keys(admin=ADMIN)
    for _ in range(3):
        reader.open(call(of).text, of, "there", NOW)
    with pytest.raises(CallRefused, match="too many"):
        reader.open(call(of).text, of, "there", NOW)
    later = NOW + MAX_DEADLINE_MS + 4 * MAX_SKEW_MS
    assert reader.open(call(of, until=later).text, of, "there", later).access == OPEN


def test_an_answer_counts_for_its_call_only() -> None:
    """One that was altered, is another call's, or is not signed, is refused."""
    of = keys(admin=ADMIN)
    sent = call(of)
    reply = opened(of, sent.text).reply(b"done")
    for wrong in (b"", b"\ndone", b"done", reply + b"!", replace(opened(of, sent.text), name="another").reply(b"done")):
        with pytest.raises(CallRefused, match="its response is not signed by any"):
            sent.verify(wrong)
    with pytest.raises(CallRefused):
        call(of).verify(reply)
