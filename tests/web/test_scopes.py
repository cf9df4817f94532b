"""Who may do what: every route, method, scope, topic pattern and address pattern, each with what is expected of it."""

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from eventbus.core.errors import NoAccess
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message
from eventbus.core.settings import MEMORY, Settings
from eventbus.core.tokens import Scope, tokens_of
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services.bus import Bus
from eventbus.web.app import create_app
from eventbus.web.cloudevents import BATCH, STRUCTURED
from tests.support.scripted import ScriptedTransport
from tests.support.token_file import token_table

PUBLISH, SUBSCRIBE, VIEW, ADMIN = "publish", "subscribe", "view", "admin"
READ = {SUBSCRIBE, VIEW}
#: Every route with its methods, and the scopes of which one is enough beside ``admin``; None is for everybody.
ROUTES: dict[tuple[str, str], set[str] | None] = {
    ("POST", "/registerAndKeepAlive"): {SUBSCRIBE},
    ("DELETE", "/deregister"): {SUBSCRIBE},
    ("GET", "/listSubscribers"): READ,
    ("POST", "/sendMessage"): {PUBLISH},
    ("GET", "/events"): READ,
    ("GET", "/events/<path:event_id>"): READ,
    ("DELETE", "/events/<path:event_id>"): {PUBLISH},
    ("GET", "/attempts"): {VIEW},
    ("GET", "/deadLetters"): {VIEW},
    ("DELETE", "/deadLetters"): set(),
    ("POST", "/deadLetters/replay"): set(),
    ("GET", "/deadLetters/replays/<replay>"): {VIEW},
    ("POST", "/replay"): set(),
    ("POST", "/pause"): set(),
    ("POST", "/resume"): set(),
    ("POST", "/retry"): set(),
    ("POST", "/skip"): set(),
    ("POST", "/cancel"): {PUBLISH},
    ("GET", "/backup"): set(),
    ("GET", "/metrics"): {VIEW},
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/openapi.json"): None,
    ("GET", "/docs"): None,
    ("GET", "/static/<path:name>"): None,
    ("GET", "/"): {VIEW},
    ("GET", "/dashboard/subscribers"): {VIEW},
    ("GET", "/dashboard/subscriber"): {VIEW},
    ("GET", "/dashboard/journal"): {VIEW},
    ("GET", "/dashboard/scheduled"): {VIEW},
    ("GET", "/dashboard/event"): {VIEW},
    ("GET", "/dashboard/deadLetters"): {VIEW},
    ("GET", "/dashboard/send"): {VIEW},
    ("GET", "/dashboard/settings"): {VIEW},
    ("GET", "/dashboard/static/<path:name>"): None,
}
SCOPES = (PUBLISH, SUBSCRIBE, VIEW, ADMIN)
#: Every set of scopes that a token may have.
SETS = [part for size in (1, 2, 3, 4) for part in combinations(SCOPES, size)]
ADDRESS = "127.0.0.1:8001"


def token_of(name: str) -> str:
    """The token with a name."""
    return f"token-of-{name}-0123456789"


#: Tokens with patterns: the name, the scopes, and the patterns.
NARROWED = [
    token_table(
        token_of("shop"), "shop", [PUBLISH, SUBSCRIBE], publish=["orders.>"], subscribe=["orders.*", "stock.>"]
    ),
    token_table(token_of("mail"), "mail", [SUBSCRIBE], addresses=["127.0.0.0/8:8001", "*.mail.svc"]),
    token_table(token_of("watch"), "watch", [SUBSCRIBE, VIEW], subscribe=["orders.*"]),
    token_table(token_of("shop-next"), "shop", [PUBLISH, SUBSCRIBE]),
]


class Scene:
    """A bus with named tokens for every set of scopes, and an unnamed one for each scope; clients of its own."""

    def __init__(self, folder: Path) -> None:
        path = folder / "tokens.toml"
        named = [token_table(token_of("+".join(part)), ".".join(part), part) for part in SETS]
        path.write_text("\n".join([*named, *NARROWED]))
        tokens = tokens_of({scope: token_of(f"unnamed-{scope}") for scope in Scope})
        settings = Settings(journal=f"sqlite:///{MEMORY}", tokens=tokens, tokens_file=str(path))
        self.bus = Bus(settings, SqliteJournal(MEMORY), ScriptedTransport())
        self.app = create_app(self.bus)
        self._client = Client(self.app, TestResponse)

    def ask(
        self, who: str | None, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> TestResponse:
        """The answer to a client with this token."""
        named = {} if who is None else {"Authorization": f"Bearer {token_of(who)}"}
        return self._client.open(target, method=method, headers=named | (headers or {}), data=body)

    def status(self, *args: Any, **more: Any) -> int:
        """Its status."""
        response = self.ask(*args, **more)
        response.close()
        return response.status_code

    def publish(self, topic: str | None) -> str:
        """An event in the journal, and its id."""
        return self.bus.publish([Message(new_event_id(), topic, b"", b"{}", 1_800_000_000.0)]).ids[0]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A bus that runs."""
    found = Scene(tmp_path_factory.mktemp("scopes"))
    found.bus.start()
    yield found
    found.bus.stop()


@pytest.fixture(autouse=True)
def nobody_registered(scene: Scene) -> Iterator[None]:
    """Each test begins without subscribers."""
    yield
    for lane in scene.bus.subscribers():
        scene.bus.deregister(lane.subscriber.key)


def target_of(rule: str) -> str:
    """A path that leads to a rule."""
    path = rule.replace("<path:event_id>", "none").replace("<replay>", "none").replace("<path:name>", "none.css")
    more = {"/registerAndKeepAlive": f"?address={ADDRESS}&dry_run=true", "/deregister": f"?address={ADDRESS}"}
    return path + more.get(path, "")


def test_every_route_is_expected_and_no_other(scene: Scene) -> None:
    """A new route without an expectation fails here."""
    there = {
        (method, rule.rule)
        for rule in scene.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert there == set(ROUTES)


@pytest.mark.parametrize(("method", "rule"), ROUTES)
def test_a_route_is_open_to_its_scopes_alone(scene: Scene, method: str, rule: str) -> None:
    """Without a token and with an unknown one it is 401, with another scope's 403; a name changes nothing of that."""
    wanted, target = ROUTES[method, rule], target_of(rule)
    answering = {name for each in scene.app.url_map.iter_rules() if each.rule == rule for name in each.methods or ()}
    for name in [method, *({"HEAD"} & answering if method == "GET" else ())]:
        for part in SETS:
            allowed = wanted is None or ADMIN in part or not wanted.isdisjoint(part)
            who = ["+".join(part), *([f"unnamed-{part[0]}"] if len(part) == 1 else [])]
            found = {scene.status(each, name, target) for each in who}
            assert (found.isdisjoint({401, 403}), len(found)) == (allowed, 1), (name, part, found)
        for who in (None, "nobody"):
            assert (scene.status(who, name, target) == 401) is (wanted is not None), (name, who)
    if "OPTIONS" in answering:  # a page checks its token itself, and this says its methods alone
        is_page = rule == "/" or rule.startswith("/dashboard/")
        assert (scene.status(None, "OPTIONS", target) == 401) is (wanted is not None and not is_page)


# Topics


def structured(topic: str) -> bytes:
    """A CloudEvent whose type is a topic."""
    return json.dumps({"specversion": "1.0", "id": new_event_id(), "source": "s", "type": topic, "data": 1}).encode()


WAYS = [
    ("/sendMessage?topic={}", b"{{}}", {}),
    ("/sendMessage?topic={}&batch=lines", b"1\n2\n", {}),
    ("/sendMessage", b"{}", {"ce-type": "{}", "ce-specversion": "1.0", "ce-id": "1", "ce-source": "s"}),
    ("/sendMessage?batch=lines", b"1\n", {"ce-type": "{}"}),
    ("/sendMessage", None, {"Content-Type": STRUCTURED}),
    ("/sendMessage", None, {"Content-Type": BATCH}),
]


@pytest.mark.parametrize("way", range(len(WAYS)))
@pytest.mark.parametrize(
    ("topic", "allowed"), [("orders.created", True), ("orders.a.b", True), ("orders", False), ("stock.low", False)]
)
def test_a_topic_is_published_where_a_pattern_matches(scene: Scene, way: int, topic: str, *, allowed: bool) -> None:
    """However the topic is given; another name's, a viewer's and an unnamed token's patterns count for nothing."""
    target, body, headers = WAYS[way]
    if body is None:
        body = structured(topic) if headers["Content-Type"] == STRUCTURED else b"[%s]" % structured(topic)
    ask = ("POST", target.format(topic), body, {name: value.format(topic) for name, value in headers.items()})
    assert scene.status("shop", *ask) == (200 if allowed else 403)
    assert scene.status("unnamed-publish", *ask) == 200
    assert scene.status("shop-next", *ask) == 200


def test_a_batch_with_one_topic_beyond_is_refused_whole(scene: Scene) -> None:
    """Nothing of it is kept."""
    newest = scene.bus.feed.newest
    body = b"[%s,%s]" % (structured("orders.created"), structured("payments.made"))
    response = scene.ask("shop", "POST", "/sendMessage", body, {"Content-Type": BATCH})
    assert response.status_code == 403
    assert "payments.made" in response.text
    assert scene.bus.feed.newest == newest


def test_an_event_without_a_topic_is_published_without_patterns_only(scene: Scene) -> None:
    """No pattern matches it."""
    assert scene.status("shop", "POST", "/sendMessage", b"1") == 403
    assert scene.status("shop-next", "POST", "/sendMessage", b"1") == 200


@pytest.mark.parametrize("more", ["", "&group=mailer", "&dry_run=true", "&dry_run=true&group=mailer"])
@pytest.mark.parametrize(
    ("topics", "allowed"),
    [
        ("&topic=orders.*", True), ("&topic=orders.created", True), ("&topic=orders.*&topic=stock.>", True),
        ("", False), ("&topic=>", False), ("&topic=", False), ("&topic=orders.>", False),
        ("&topic=orders.*&topic=payments.*", False), ("&topic=*.created", False),
        ("&topic=orders.*&dead_to=orders.dead", True), ("&topic=orders.*&dead_to=payments", False),
    ],
)  # fmt: skip
def test_a_subscription_is_within_the_patterns(scene: Scene, topics: str, more: str, *, allowed: bool) -> None:
    """Alone, in a group, and tried without effect; what dead letters are published under has to be publishable."""
    target = f"/registerAndKeepAlive?address={ADDRESS}{topics}{more}"
    assert scene.status("shop", "POST", target) == (200 if allowed else 403)
    if not allowed:
        assert scene.bus.subscribers() == []


def test_a_renewal_is_within_the_patterns_too(scene: Scene) -> None:
    """Neither by other topics, nor by leaving those that somebody without patterns has chosen."""
    assert scene.status("shop", "POST", f"/registerAndKeepAlive?address={ADDRESS}&topic=orders.*") == 200
    assert scene.status("shop", "POST", f"/registerAndKeepAlive?address={ADDRESS}") == 200
    assert scene.status("shop", "POST", f"/registerAndKeepAlive?address={ADDRESS}&topic=payments.*") == 403
    assert scene.status("shop-next", "POST", f"/registerAndKeepAlive?address={ADDRESS}&topic=>") == 200
    assert scene.status("shop", "POST", f"/registerAndKeepAlive?address={ADDRESS}") == 403


def test_events_are_read_within_the_patterns(scene: Scene) -> None:
    """By pages, streams and one by one; ``view`` reads all of them."""
    ours, theirs, without = scene.publish("orders.created"), scene.publish("payments.made"), scene.publish(None)
    for headers in ({}, {"Accept": "text/event-stream"}):
        for target, allowed in (
            ("/events?topic=orders.*", True), ("/events?topic=stock.a.b", True), ("/events", False),
            ("/events?topic=payments.*", False), ("/events?topic=orders.*&topic=>", False),
        ):  # fmt: skip
            assert scene.status("shop", "GET", target, headers=headers) == (200 if allowed else 403)
            assert scene.status("watch", "GET", target, headers=headers) == 200
    assert scene.status("shop", "GET", f"/events/{ours}") == 200
    for event in (theirs, without):
        assert scene.status("shop", "GET", f"/events/{event}") == 403
        assert scene.status("watch", "GET", f"/events/{event}") == 200


# Addresses


@pytest.mark.parametrize("more", ["", "&group=mailer", "&dry_run=true"])
@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        (ADDRESS, True), ("127.0.0.2:8001", True), (f"{ADDRESS}&path=/hooks", True), (f"http://{ADDRESS}/api", True),
        ("127.0.0.1:8002", False), ("10.0.0.1:8001", False), ("localhost:8001", False), (f"https://{ADDRESS}", True),
    ],
)  # fmt: skip
def test_an_address_is_registered_and_deregistered_where_a_pattern_matches(
    scene: Scene, address: str, more: str, *, allowed: bool
) -> None:
    """Also one that nobody owns is not deregistered by who may not register it."""
    expected = 200 if allowed else 403
    assert scene.status("mail", "POST", f"/registerAndKeepAlive?address={address}{more}") == expected
    assert scene.status("mail", "DELETE", f"/deregister?address={address}") == expected


def test_a_group_is_deregistered_by_who_may_register_all_of_its_members(scene: Scene) -> None:
    """One address beyond is enough to refuse it."""
    for address in (ADDRESS, "127.0.0.1:8002"):
        scene.ask("unnamed-subscribe", "POST", f"/registerAndKeepAlive?address={address}&group=mailer")
    assert scene.status("mail", "DELETE", "/deregister?group=mailer") == 403
    assert scene.status("unnamed-subscribe", "DELETE", "/deregister?address=127.0.0.1:8002") == 200
    assert scene.status("mail", "DELETE", "/deregister?group=mailer") == 200


# Names


@pytest.mark.parametrize("whose", [f"address={ADDRESS}", f"address={ADDRESS}&group=mailer"])
def test_a_subscription_belongs_to_the_name_that_made_it(scene: Scene, whose: str) -> None:
    """Another name, and a token without one, neither renew, change, try nor end it; an administrator does."""
    assert scene.ask("shop-next", "POST", f"/registerAndKeepAlive?{whose}&topic=orders.*").status_code == 200
    for other in ("mail", "unnamed-subscribe", "watch", "publish+subscribe+view"):
        for change in ("", "&topic=orders.a", "&max_in_flight=2", "&dry_run=true", "&drain=true"):
            response = scene.ask(other, "POST", f"/registerAndKeepAlive?{whose}{change}")
            assert response.status_code == 403, (other, change)
            assert "belongs to the token name 'shop'" in response.text
        assert scene.status(other, "DELETE", f"/deregister?address={ADDRESS}") == 403
        if "group" in whose:
            assert scene.status(other, "DELETE", "/deregister?group=mailer") == 403
            assert scene.status(other, "POST", "/registerAndKeepAlive?address=127.0.0.2:8001&group=mailer") == 403
    (lane,) = scene.bus.subscribers()
    assert lane.subscriber.owner == "shop"
    assert not lane.draining
    for mine in ("shop", "admin", "unnamed-admin", "subscribe+admin"):
        assert scene.status(mine, "POST", f"/registerAndKeepAlive?{whose}&max_in_flight=3") == 200
        assert lane.subscriber.owner == "shop"
    assert scene.status("shop", "DELETE", f"/deregister?address={ADDRESS}") == 200


@pytest.mark.parametrize("whose", [f"address={ADDRESS}", f"address={ADDRESS}&group=mailer"])
def test_a_subscription_without_a_name_is_everybodys(scene: Scene, whose: str) -> None:
    """It stays so, whoever renews it."""
    assert scene.status("unnamed-subscribe", "POST", f"/registerAndKeepAlive?{whose}") == 200
    for other in ("mail", "shop-next", "admin", "unnamed-subscribe"):
        assert scene.status(other, "POST", f"/registerAndKeepAlive?{whose}") == 200
    (lane,) = scene.bus.subscribers()
    assert lane.subscriber.owner == ""
    assert scene.status("mail", "DELETE", f"/deregister?address={ADDRESS}") == 200


def test_the_owner_and_the_publisher_are_in_lists(scene: Scene) -> None:
    """By their names; null without one."""
    json_please = {"Accept": "application/json"}
    scene.ask("mail", "POST", f"/registerAndKeepAlive?address={ADDRESS}&topic=none")
    scene.ask("unnamed-subscribe", "POST", "/registerAndKeepAlive?address=127.0.0.1:8002&topic=none")
    listed = scene.ask("view", "GET", "/listSubscribers", headers=json_please).json["subscribers"]
    assert {each["address"]: each["owner"] for each in listed} == {ADDRESS: "mail", "127.0.0.1:8002": None}
    for who, name in (("shop", "shop"), ("unnamed-publish", None), ("admin", "admin")):
        answer = scene.ask(who, "POST", "/sendMessage?topic=orders.created", b"1", json_please)
        event = scene.ask("view", "GET", f"/events/{answer.json['id']}").json
        assert event["publisher"] == name
        assert event["headers"].get("Eventbus-Publisher") == name
        page = scene.ask("view", "GET", f"/dashboard/event?id={answer.json['id']}", headers=json_please).json
        assert page["event"]["publisher"] == name


def test_nobody_gives_a_name_to_an_event_by_a_header(scene: Scene) -> None:
    """It is not kept."""
    headers = {"Eventbus-Publisher": "ada", "Accept": "application/json"}
    answer = scene.ask("unnamed-publish", "POST", "/sendMessage", b"1", headers)
    assert scene.ask("view", "GET", f"/events/{answer.json['id']}").json["publisher"] is None


# The dashboard


def pages(scene: Scene) -> list[str]:
    """The pages, of which some have actions."""
    event = scene.publish("orders.created")
    found = [rule for (_, rule), wanted in ROUTES.items() if wanted == {VIEW} and (rule == "/" or "dashboard" in rule)]
    query = {"/dashboard/subscriber": f"?address={ADDRESS}", "/dashboard/event": f"?id={event}"}
    return [f"{rule}{query.get(rule, '')}" for rule in found]


def test_a_page_has_no_action_for_who_may_only_view(scene: Scene) -> None:
    """An administrator gets them."""
    scene.ask("shop", "POST", f"/registerAndKeepAlive?address={ADDRESS}&topic=orders.*")
    html = {"Accept": "text/html"}
    acts = dict.fromkeys(("view", "admin"), 0)
    for page in pages(scene):
        for who in acts:
            response = scene.ask(who, "GET", page, headers=html)
            assert response.status_code == 200
            acts[who] += 0 if page == "/dashboard/send" else response.text.count("data-act=")
    assert acts["view"] == 0
    assert acts["admin"] > 5


def test_a_token_that_is_removed_ends_its_streams(scene: Scene, tmp_path: Path) -> None:
    """As soon as the next event, or the next line without one, would be sent."""
    response = scene.ask("shop", "GET", "/events?topic=orders.*", headers={"Accept": "text/event-stream"})
    parts = response.iter_encoded()
    assert next(parts).startswith(b"retry:")
    scene.publish("orders.a")
    assert b"orders.a" in next(parts)
    path = Path(scene.bus.settings.tokens_file)
    content = path.read_text()
    try:
        path.write_text(content.replace('name = "shop"', 'name = "shop"\nexpires = 2020-01-01'))
        scene.bus.tokens.check()
        scene.bus.tokens.check()
        scene.publish("orders.b")
        assert list(parts) == []
        with pytest.raises(NoAccess, match="expired"):
            scene.bus.tokens.access_of(token_of("shop"))
    finally:
        path.write_text(content)
        scene.bus.tokens.check()
        scene.bus.tokens.check()


# Scheduled events


def scheduled(scene: Scene, who: str) -> list[str]:
    """The topics of the scheduled events that a client may read."""
    pages = scene.ask(who, "GET", "/events?scheduled=true").json
    return [event["topic"] for event in pages["events"]]


def test_scheduled_events_are_read_and_cancelled_within_patterns_and_names(scene: Scene) -> None:
    """The list has the topics that a token may read; what a name has published only that name, or an admin, cancels."""
    json = {"Accept": "application/json"}

    def publish(who: str, topic: str) -> str:
        return str(scene.ask(who, "POST", f"/sendMessage?delay=600&topic={topic}", b"x", json).json["id"])

    of_shop, private = publish("shop", "orders.new"), publish("unnamed-publish", "private.a")
    assert scheduled(scene, "watch") == ["orders.new", "private.a"]
    assert scheduled(scene, "shop") == ["orders.new"]
    assert [scene.status("shop", "GET", f"/events/{each}") for each in (of_shop, private)] == [200, 403]
    assert scene.status("shop", "DELETE", f"/events/{private}") == 403
    assert scene.status("publish", "DELETE", f"/events/{of_shop}") == 403
    assert scene.status("shop-next", "DELETE", f"/events/{of_shop}") == 200
    assert scene.status("publish", "DELETE", f"/events/{private}") == 200
    assert scene.status("admin", "DELETE", f"/events/{publish('shop', 'orders.new')}") == 200
    assert scheduled(scene, "watch") == []


def test_the_dashboard_offers_to_cancel_where_the_token_may_publish(scene: Scene) -> None:
    """On the list and on the event's page; with a token that may only view both have no action."""
    html = {"Accept": "text/html"}
    event = scene.ask(
        "publish+view", "POST", "/sendMessage?delay=600&topic=a", b"x", {"Accept": "application/json"}
    ).json
    for path in ("/dashboard/scheduled", f"/dashboard/event?id={event['id']}"):
        for who, offered in (("view", False), ("publish+view", True), ("admin", True)):
            page = scene.ask(who, "GET", path, headers=html).text
            assert event["id"] in page
            assert ('data-act="cancel"' in page) is offered, (path, who)
    assert scene.status("view", "POST", f"/cancel?id={event['id']}") == 403
    assert scene.status("publish", "POST", "/cancel?id=nothing") == 404
    done = scene.ask("publish+view", "POST", f"/cancel?id={event['id']}", headers=html)
    assert (done.status_code, done.headers["Location"]) == (303, "dashboard/scheduled")
    assert scheduled(scene, "watch") == []


def test_cancelling_by_a_form_is_within_names_too(scene: Scene) -> None:
    """What a name has published only that name, or an admin, cancels."""
    json = {"Accept": "application/json"}
    event = scene.ask("shop", "POST", "/sendMessage?delay=600&topic=orders.new", b"x", json).json["id"]
    assert scene.status("publish", "POST", f"/cancel?id={event}") == 403
    assert sorted(scene.ask("shop-next", "POST", f"/cancel?id={event}", headers=json).json) == ["cancelled_at", "id"]
