"""What nginx before the bus bounds, and how it closes a bus without tokens: the deployed configuration."""

import re
import resource
from pathlib import Path

import pytest

from tests.support.answers import TEXT
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.nginx import Nginx, find_nginx
from tests.support.server import BusServer
from tests.support.stream import Stream

STREAM = ("Accept", "text/event-stream")


@pytest.fixture(scope="module")
def binary() -> str:
    """The nginx binary; without it these tests skip."""
    return find_nginx() or pytest.skip("nginx is not installed (Debian: apt-get install nginx)")


def test_a_worker_may_have_the_files_that_its_connections_take(binary: str, bus: BusServer, tmp_path: Path) -> None:
    """Two for each, whatever the limit was that nginx was started with; and nginx says nothing of it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 16_384:
        pytest.skip(f"here a process may have {hard} files at most")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, hard))
    try:
        with Nginx(binary, tmp_path, bus.port) as nginx:
            _check_files(nginx)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _check_files(nginx: Nginx) -> None:
    limits = {Path(f"/proc/{pid}/limits").read_text() for pid in nginx.worker_pids}
    files = {int(found[1]) for text in limits if (found := re.search(r"Max open files +(\d+)", text))}
    assert files
    assert min(files) >= 2 * 4096
    assert "exceed open file resource limit" not in nginx.log_text()


def test_one_address_has_so_many_requests_under_way(binary: str, bus: BusServer, tmp_path: Path) -> None:
    """More are told so, and are let in as soon as one has ended; an idle connection counts for nothing."""
    changes = {"limit_conn eventbus_clients 512;": "limit_conn eventbus_clients 2;"}
    sentence = "Error: Too many requests at once from one address."
    with Nginx(binary, tmp_path, bus.port, changes) as nginx:
        front = Caller(nginx.port)
        with Stream(nginx.port), Stream(nginx.port):
            response = front.call("GET", "/events", [STREAM])
            assert (response.status, response.header("Retry-After")) == (429, "1")
            assert (response.text, response.header("Content-Type")) == (sentence, TEXT)
            assert front.call("POST", "/sendMessage", body=b"{}").text == sentence
        eventually(lambda: front.call("GET", "/listSubscribers").status == 200, 10)


CLOSED = [
    ("POST", "/sendMessage"),
    ("POST", "/registerAndKeepAlive?address=127.0.0.1:9"),
    ("DELETE", "/deregister?address=127.0.0.1:9"),
    ("POST", "/replay?address=127.0.0.1:9&from=earliest"),
    ("POST", "/deadLetters/replay?all=true"),
    ("DELETE", "/deadLetters?all=true"),
    *(("GET", path) for path in ("/", "/dashboard/journal", "/events", "/listSubscribers", "/metrics", "/deadLetters")),
]


@pytest.mark.parametrize("inside", [True, False])
def test_a_bus_without_tokens_can_be_closed_here(
    binary: str, bus: BusServer, caller: Caller, tmp_path: Path, *, inside: bool
) -> None:
    """As the file says: from elsewhere nothing is changed or read, and only the health checks answer."""
    ours = "127.0.0.0/8" if inside else "10.0.0.0/8"
    changes = {"#- allow 10.0.0.0/8;": f"allow {ours};", "#- ": ""}
    assert caller.subscribers() == []
    with Nginx(binary, tmp_path, bus.port, changes) as nginx:
        front = Caller(nginx.port)
        statuses = {(method, target): front.call(method, target).status for method, target in CLOSED}
        assert {status == 403 for status in statuses.values()} == {not inside}, statuses
        for path in ("/healthz", "/readyz"):
            assert front.call("GET", path).status == 200
        if not inside:
            refused = front.call("POST", "/sendMessage", body=b"{}")
            assert (refused.text, refused.header("Content-Type")) == ("Error: This is not open to your address.", TEXT)
