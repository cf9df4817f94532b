"""Where the client's own server takes events."""

from http.client import HTTPConnection

import pytest

from eventbus.client import Inbox, Server, Terms
from eventbus.testing import FakeBus


@pytest.mark.parametrize(
    ("terms", "taken"), [(Terms(), "/event"), (Terms(path="/hooks/x?y=z"), "/hooks/x?y=z"), (Terms(path="/"), "/")]
)
def test_events_are_taken_where_the_bus_posts_them(terms: Terms, taken: str) -> None:
    """That is the path of its terms, with the query, and nowhere else."""
    received: list[bytes] = []
    inbox = Inbox(FakeBus(), terms=terms)
    inbox.on()(lambda event: received.append(event.body))
    with Server(inbox) as server:
        for target in ("/event", "/", "/hooks/x", "/hooks/x?y=z"):
            connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
            connection.request("POST", target, target.encode(), {"Webhook-Id": target, "Webhook-Timestamp": "1"})
            assert connection.getresponse().status == (200 if target == taken else 404)
            connection.close()
    assert received == [taken.encode()]
