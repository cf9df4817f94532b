"""A service that takes events at a path of its own: exactly this path and query are on the wire, from first to last."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.caller import JSON, Caller
from tests.support.deadline import eventually
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber

ORIGIN = "bus.example.com"
#: As they stand on the wire: with escapes, an empty query, and dots that are no segments.
HOOK, OTHER = "/hooks/x?y=z&a=%7e%20b&c=%5B", "/%2Fa..b//?"
REJECTED = b'"reject"'


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[BusServer]:
    """A bus that asks for consent first."""
    with BusServer(tmp_path, {"EVENTBUS_VERIFY": "handshake", "EVENTBUS_ORIGIN": ORIGIN}) as bus:
        yield bus


def hook(request: Received) -> Answer:
    """Consent, and take everything but what is to be rejected at the hook."""
    if request.method == "OPTIONS":
        return 200, (("WebHook-Allowed-Origin", ORIGIN),), b""
    return (422 if request.path == HOOK and request.body == REJECTED else 200), (), b""


def posts(service: RecordingSubscriber) -> list[tuple[str, str]]:
    """Where each event was POSTed to, with its body, in order of the paths."""
    return sorted((one.path, one.body.decode()) for one in service.received if one.method == "POST")


def test_exactly_the_path_and_its_query_are_requested(asking: BusServer) -> None:
    """For consent, events, batches, replays and dead letters, alone and in a group, also after a restart."""
    caller = Caller(asking.port)
    with RecordingSubscriber(hook) as service:
        caller.register(service.address, lease=600)
        for path, options in ((HOOK, {}), (OTHER, {"group": "mailer", "batch": 5})):
            said = caller.register(service.address, path=path, lease=600, **options)
            assert (said["address"], said["path"], said["created"]) == (service.address, path, True)
        caller.publish(b"1")
        paths = ["/event", HOOK, OTHER]
        service.wait_for(lambda seen: len(posts(seen)) == 3)
        assert [path for path, _ in posts(service)] == sorted(paths)
        assert sorted({one.path for one in service.received if one.method == "OPTIONS"}) == sorted(paths)
        caller.publish(REJECTED)
        named = urlencode({"address": service.address, "path": HOOK})

        def letters() -> list[str]:
            return [each["path"] for each in caller.call("GET", f"/deadLetters?{named}").json()["dead_letters"]]

        eventually(lambda: letters() == [HOOK], 20)

        asking.terminate()
        service.received.clear()
        asking.start()
        assert [caller.register(service.address, path=HOOK)["created"], letters()] == [False, [HOOK]]
        service.respond = lambda request: hook(request) if request.method == "OPTIONS" else (200, (), b"")
        assert caller.call("POST", f"/deadLetters/replay?{named}").json()["replayed"] == 1
        service.wait_for(lambda seen: posts(seen) == [(HOOK, REJECTED.decode())])
        assert caller.call("POST", f"/replay?from=earliest&{named}").json() == {"events": 2}
        service.wait_for(lambda seen: len(posts(seen)) == 3)
        assert {path for path, _ in posts(service)} == {HOOK}

        assert caller.call("DELETE", f"/deregister?{named}").text == "success"
        caller.publish(b"2")
        service.wait_for(lambda seen: len(posts(seen)) == 5)
        assert [path for path, _ in posts(service) if path != HOOK] == sorted(["/event", OTHER])
        listed = caller.call("GET", "/listSubscribers", [JSON]).json()
        assert [(one["address"], one["path"]) for one in listed["subscribers"]] == [
            (service.address, None), (service.address, OTHER),
        ]  # fmt: skip
