"""A dry run of a registration: refused as the registration would be, and else told what it would get."""

import json
from typing import Any
from urllib.parse import urlencode

from eventbus.client import Bus, Terms
from tests.support.batches import publish_lines
from tests.support.caller import Caller
from tests.support.subscriber import Subscribe

NOBODY = "127.0.0.1:9"


def dry_run(caller: Caller, address: str = NOBODY, **options: Any) -> dict[str, Any]:
    """What a registration would be, whatever the client accepts."""
    query = urlencode({"address": address, "dry_run": "true", **options}, doseq=True)
    response = caller.call("POST", f"/registerAndKeepAlive?{query}", [("Accept", "text/plain")])
    found: dict[str, Any] = response.json()
    return found if response.status == 200 else {"status": response.status, **found}


def test_a_dry_run_changes_nothing_and_tells_what_matches(caller: Caller) -> None:
    """It names the newest events that match, and the options; the address is not registered."""
    lines = b"\n".join(json.dumps({"dry": number}).encode() for number in range(10))
    ids = publish_lines(caller, lines, topic="dry.run").json()["ids"]
    chosen = '{"number":{"data.dry":{">=":4}}}'
    found = dry_run(caller, topic="dry.*", filter=chosen, lease=60)
    assert (found["dry_run"], found["created"], found["matches"], found["complete"]) == (True, True, 6, True)
    assert [one["id"] for one in found["newest"]] == ids[:-4:-1]
    assert {one["topic"] for one in found["newest"]} == {"dry.run"}
    assert (found["lease"], found["topics"], found["filter"]) == (60, ["dry.*"], json.loads(chosen))
    assert found["events"] >= 10
    assert not caller.listed(NOBODY)


def test_a_dry_run_of_a_renewal_has_what_is_kept(caller: Caller, subscribe: Subscribe) -> None:
    """What is left out is as it was, the filter of a group too, and a renewal is not made."""
    subscriber = subscribe(topic="dry.one", filter='{"exact":{"key":"a"}}', lease=600)
    renewed = caller.subscriber(subscriber.address)["renewed_at"]
    found = dry_run(caller, subscriber.address, max_in_flight=7)
    assert (found["created"], found["topics"], found["max_in_flight"]) == (False, ["dry.one"], 7)
    assert (found["filter"], found["lease"]) == ({"exact": {"key": "a"}}, 600)
    now = caller.subscriber(subscriber.address)
    assert (now["renewed_at"], now["max_in_flight"]) == (renewed, 32)
    subscribe(topic="dry.one", group="drying", filter='{"exact":{"key":"a"}}')
    joining = dry_run(caller, group="drying", topic="dry.two")
    assert (joining["created"], joining["group"], joining["topics"]) == (True, "drying", ["dry.two"])
    assert joining["filter"] == {"exact": {"key": "a"}}
    assert not caller.listed(NOBODY)


def test_a_dry_run_is_refused_as_the_registration_would_be(caller: Caller, subscribe: Subscribe) -> None:
    """Wrong values, addresses, positions and conflicts have the errors that a registration has."""
    member = subscribe(group="drying")
    for status, address, options in (
        (400, NOBODY, {"filter": "{"}),
        (400, NOBODY, {"lease": 1}),
        (400, "", {}),
        (409, member.address, {}),
        (404, NOBODY, {"from": "nowhere"}),
        (400, NOBODY, {"dry_run": "perhaps"}),
    ):
        query = urlencode({"address": address, "dry_run": "true", **options})
        response = caller.call("POST", f"/registerAndKeepAlive?{query}", [("Accept", "application/json")])
        assert response.status == status, (address, options, response.text)
    assert not caller.listed(NOBODY)


def test_the_client_makes_dry_runs(client: Bus) -> None:
    """``Bus.dry_run`` takes what ``register`` takes, and returns what the bus says."""
    published = client.publish("dry.client", {"n": 1})
    found = client.dry_run(NOBODY, topics=["dry.client"], terms=Terms(filter='{"exact":{"data.n":1}}', batch=5))
    assert (found.created, found.matches, found.complete, found.batch) == (True, 1, True, 5)
    assert ([one.id for one in found.newest], found.filter) == ([published.id], '{"exact":{"data.n":1}}')
    assert NOBODY not in [one.address for one in client.subscribers()]
