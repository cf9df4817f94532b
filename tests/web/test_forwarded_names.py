"""A node passes on who asks, and what that token permits, so that the owner of a subscription knows and checks it."""

import hmac
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventbus.core.access import OPEN, Access, access_fields
from eventbus.core.addresses import parse_address
from eventbus.core.errors import CallRefused
from eventbus.core.model import Terms
from eventbus.core.tokens import Scope, tokens_of
from eventbus.services.audit import AuditEntry
from eventbus.web.cluster.signed_calls import CallReader, key_of, sign
from tests.support.in_process_nodes import InProcessNode, in_process_nodes
from tests.support.token_file import token_table

THERE = "127.0.0.1:8002"
SHOP, MAIL, ADA, WATCH = (f"token-of-{name}-0123456789" for name in ("shop", "mail", "ada", "watch"))
UNNAMED = "unnamed-subscribe-0123"
FILE = "\n".join(
    [
        token_table(SHOP, "shop", ["subscribe"], subscribe=["orders.>"], addresses=["127.0.0.1"]),
        token_table(MAIL, "mail", ["subscribe"]),
        token_table(ADA, "ada", ["admin"]),
        token_table(WATCH, "watch", ["view"]),
    ]
)
REGISTER = f"/registerAndKeepAlive?address={THERE}&topic=orders.a"

Two = tuple[InProcessNode, InProcessNode]


def bearer(token: str) -> dict[str, str]:
    """The headers of a client."""
    return {"Authorization": f"Bearer {token}", "Accept": "application/json"}


@pytest.fixture(params=["", UNNAMED])
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Two]:
    """Two nodes with one file, with a token of the settings beside it and without; the second has the subscriber."""
    path = tmp_path / "tokens.toml"
    path.write_text(FILE)
    tokens, files = tokens_of({Scope.SUBSCRIBE: request.param}), dict.fromkeys(("here", "there"), str(path))
    with in_process_nodes("here", "there", tokens=tokens, files=files) as (here, there):
        here.owners[THERE] = "there"
        yield here, there


def test_a_subscription_belongs_to_who_made_it_by_another_node(two: Two) -> None:
    """The owner's node knows the name, refuses another one, and takes an administrator's change."""
    here, there = two
    assert here.ask("POST", REGISTER, bearer(SHOP)).json["owner"] == "shop"
    assert there.bus.dispatcher.lanes[THERE].subscriber.owner == "shop"
    for method, target in (("POST", REGISTER), ("DELETE", f"/deregister?address={THERE}")):
        refused = here.ask(method, target, bearer(MAIL))
        assert (refused.status_code, "belongs to the token name 'shop'" in refused.text) == (403, True)
    assert here.ask("POST", f"{REGISTER}&max_in_flight=2", bearer(ADA)).status_code == 200
    assert here.ask("DELETE", f"/deregister?address={THERE}", bearer(SHOP)).status_code == 200
    assert len(here.asked) == 5


def test_the_patterns_of_a_token_hold_on_the_owners_node(two: Two) -> None:
    """There the topics that a renewal leaves as they are, are known."""
    here, there = two
    there.bus.register(parse_address(THERE), Terms(topics=("payments",)))
    refused = here.ask("POST", f"/registerAndKeepAlive?address={THERE}", bearer(SHOP))
    assert (refused.status_code, "but not to payments" in refused.text) == (403, True)
    assert here.ask("POST", REGISTER, bearer(SHOP)).status_code == 200


def test_an_audit_names_who_asked_another_node(two: Two) -> None:
    """On the node that made the change."""
    here, there = two
    noted: list[AuditEntry] = []
    there.bus.audit.listen(noted.append)
    here.ask("POST", REGISTER, bearer(SHOP))
    here.ask("POST", f"/pause?address={THERE}", bearer(ADA))
    assert [(entry.changed.value, entry.target, entry.actor) for entry in noted] == [
        ("subscriber.registered", THERE, "shop"),
        ("subscriber.paused", THERE, "ada"),
    ]


def test_a_viewer_sees_all_nodes_and_has_no_actions(two: Two) -> None:
    """What all nodes answer is asked for with what the token permits, too."""
    here, there = two
    there.bus.register(parse_address(THERE), Terms())
    for target in ("/listSubscribers", "/dashboard/subscribers"):
        answer = here.ask("GET", target, bearer(WATCH))
        assert (answer.headers["Eventbus-Nodes"], THERE in answer.text) == ("2 of 2", True)
    page = here.ask("GET", f"/dashboard/subscriber?address={THERE}", bearer(WATCH) | {"Accept": "text/html"})
    assert (page.status_code, THERE in page.text, "data-act=" in page.text) == (200, True, False)
    assert here.ask("POST", f"/pause?address={THERE}", bearer(WATCH)).status_code == 403


def test_a_token_that_one_node_knows_is_passed_on_when_the_other_has_the_file(tmp_path: Path) -> None:
    """For a moment a file is newer on one node: what both have said counts, and a new name has to wait."""
    files = {name: str(tmp_path / f"{name}.toml") for name in ("here", "there")}
    for path in files.values():
        Path(path).write_text(FILE)
    nora = "token-of-nora-0123456789"
    with in_process_nodes("here", "there", files=files) as (here, there):
        here.owners[THERE] = "there"

        def update(node: InProcessNode) -> None:
            Path(files[node.id]).write_text(FILE + "\n" + token_table(nora, "nora", ["subscribe"]))
            node.bus.tokens.check()
            node.bus.tokens.check()

        update(here)
        assert here.ask("POST", REGISTER, bearer(SHOP)).status_code == 200
        refused = here.ask("POST", REGISTER, bearer(nora))
        assert (refused.status_code, "not signed by any" in refused.text) == (503, True)
        update(there)
        assert here.ask("POST", REGISTER, bearer(nora)).status_code == 403
        assert here.ask("POST", REGISTER, bearer(SHOP)).status_code == 200


# Made-up calls

REQUEST = {"REQUEST_METHOD": "DELETE", "PATH_INFO": "/deregister", "QUERY_STRING": f"address={THERE}"}


@pytest.mark.parametrize(
    "claimed",
    [
        Access(frozenset({Scope.SUBSCRIBE}), "shop"),
        Access(frozenset({Scope.SUBSCRIBE}), subscribe=("orders.*",)),
        Access(frozenset(Scope), "ada"),
    ],
)
def test_who_knows_a_token_of_the_settings_speaks_for_no_name(claimed: Access) -> None:
    """A call that is made up with it is refused, whatever it claims."""
    digest = next(iter(tokens_of({Scope.SUBSCRIBE: UNNAMED}).by_digest()))
    forged = sign([(key_of(digest), Access(frozenset(Scope)))], "there", 1.0, REQUEST, claimed)
    keys = [(key_of(digest), Access(frozenset({Scope.SUBSCRIBE})))]
    with pytest.raises(CallRefused, match="names a client for whom none of the tokens that signed it may speak"):
        CallReader().open(forged.text, keys, "there", 1.0)


def test_who_has_the_whole_file_speaks_for_its_clients_alone(two: Two) -> None:
    """The key is made of all digests, and yet permits nothing that no token in the file does."""
    here, _ = two
    ((key, _),) = here.bus.tokens.call_keys
    for claimed in (Access(frozenset({Scope.SUBSCRIBE}), "nora"), Access(frozenset(Scope), "shop")):
        forged = sign([(key, Access(frozenset(Scope)))], "there", 1.0, REQUEST, claimed)
        with pytest.raises(CallRefused, match="names a client"):
            CallReader().open(forged.text, here.bus.tokens.call_keys, "there", 1.0)


@pytest.mark.parametrize(
    "change",
    [{"publish": ["a..b"]}, {"addresses": ["a/b"]}, {"subscribe": 7}, {"scopes": ["root"]}, {"scopes": None}],
)
def test_what_no_node_would_say_of_a_client_is_refused(change: dict[str, object]) -> None:
    """Also where it is signed."""
    key, shop = key_of(b"digest"), Access(frozenset({Scope.SUBSCRIBE}), "shop")
    fields = json.loads(sign([(key, OPEN)], "there", 1.0, REQUEST, shop).text.partition(b"\n")[2])
    assert fields.items() >= access_fields(shop).items()
    text = json.dumps(fields | change).encode()
    signature = hmac.new(key, b"call\n" + text, "sha256").hexdigest().encode()
    with pytest.raises(CallRefused, match="malformed"):
        CallReader().open(b"%s\n%s" % (signature, text), [(key, OPEN)], "there", 1.0)


def test_a_name_that_was_put_into_a_signed_call_is_refused() -> None:
    """The signature covers it."""
    key, shop = key_of(b"digest"), Access(frozenset({Scope.SUBSCRIBE}), "shop")
    sent = sign([(key, OPEN)], "there", 1.0, REQUEST, shop).text
    with pytest.raises(CallRefused, match="not signed by any"):
        CallReader().open(sent.replace(b'"client": "shop"', b'"client": "mail"'), [(key, OPEN)], "there", 1.0)
