"""A bus with a file of declared subscribers, as it is deployed: started, changed, broken, and asked by every door."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.caller import JSON, Caller, register_target
from tests.support.deadline import eventually
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

PATH = "/hooks/orders?source=bus"


@dataclass(slots=True)
class Deployment:
    """A bus, the file it reads, and a service that knows nothing of it."""

    bus: BusServer
    file: Path
    service: RecordingSubscriber

    @property
    def caller(self) -> Caller:
        """Calls the bus."""
        return Caller(self.bus.port)

    def declare(self, *more: str) -> None:
        """Declare the service, with more lines."""
        lines = ["[[subscriber]]", f'address = "{self.service.address}"', f'path = "{PATH}"', *more]
        self.file.write_text("\n".join(lines))

    def subscriber(self) -> dict[str, Any] | None:
        """The service as the bus lists it; None where it is not registered."""
        return next(iter(self.caller.subscribers()), None)


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Deployment]:
    """The bus runs, and has read its file."""
    file = tmp_path / "subscribers.toml"
    with RecordingSubscriber() as service:
        found = Deployment(BusServer(tmp_path, {"EVENTBUS_SUBSCRIBERS": str(file)}), file, service)
        found.declare('topics = ["orders.*"]', "timeout = 3")
        with found.bus:
            yield found


def test_a_file_is_all_that_a_foreign_service_needs(deployed: Deployment) -> None:
    """It is delivered to from the start on, nobody else changes it, and the file changes it while the bus runs."""
    caller, service = deployed.caller, deployed.service
    found = eventually(deployed.subscriber, 10)
    assert found is not None
    assert (found["address"], found["path"], found["declared"], found["expires_at"]) == (
        service.address,
        PATH,
        True,
        None,
    )
    event = caller.publish(topic="orders.created")
    service.wait_for_ids([event])
    assert [request.path for request in service.received] == [PATH]

    target = register_target(service.address, path=PATH, timeout=9)
    assert (caller.call("POST", target).status, caller.call("POST", target, [JSON]).status) == (400, 409)
    refused = caller.call("DELETE", f"/deregister?address={service.address}&path={quote(PATH, safe='')}", [JSON])
    assert (refused.status, "EVENTBUS_SUBSCRIBERS" in refused.json()["detail"]) == (409, True)
    page = caller.call("GET", f"/dashboard/subscriber?address={service.address}&path={quote(PATH, safe='')}")
    assert ("<b>declared</b>" in page.text, 'data-act="deregister"' in page.text) == (True, False)

    deployed.declare("timeout = 4")
    eventually(lambda: (deployed.subscriber() or {})["timeout"] == 4, 10)
    service.wait_for_ids([caller.publish(topic="others")])

    deployed.declare("timeout = 0", "leas = 3")
    eventually(lambda: "what it said before stays" in deployed.bus.log_text(), 10)
    assert re.search(r"^eventbus_declared_faults 2\.0$", caller.call("GET", "/metrics").text, re.MULTILINE)
    assert (deployed.subscriber() or {})["timeout"] == 4

    assert deployed.bus.terminate() == 0
    deployed.file.write_text("# nobody\n")
    deployed.bus.start()
    eventually(lambda: deployed.subscriber() is None, 10)
    assert "no file declares it any more" in deployed.bus.log_text()
