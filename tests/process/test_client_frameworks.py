import base64
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from eventbus.client import Bus
from tests.support.deadline import eventually
from tests.support.ports import free_port
from tests.support.processes import group_runs, running_children
from tests.support.raw_client import RawConnection, render_chunks
from tests.support.server import ROOT, BusServer

#: What every service begins with. ``note`` writes down what it handled, a line each, whichever process it is in.
BEGIN = """
import json, os
from eventbus.client import Bus, Inbox, Reject, Terms, Verifier

def note(*words):
    fd = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, (json.dumps([os.getpid(), *words]) + "\\n").encode())
    os.close(fd)

bus = Bus.from_env()
inbox = Inbox(
    bus,
    os.environ["ADDRESS"],
    terms=Terms(lease=5),
    verifier=Verifier(os.environ.get("EVENTBUS_SIGNING_SECRETS", ""), headers_signed=True),
    on_state=lambda found: note("state", found.state.name),
)
"""
HANDLER = """
@inbox.on("orders.created")
def created(event):
    note("handled", event.data)
    bus.publish("orders.paid", event.data, key=event.id)
"""
FLASK = f"""{BEGIN}
from flask import Flask
from eventbus.client.flask import blueprint
{HANDLER}
app = Flask(__name__)
app.register_blueprint(blueprint(inbox))
inbox.start()
"""
WSGI = f"""{BEGIN}
from eventbus.client.wsgi import InboxApp
{HANDLER}
def inner(environ, start_response):
    start_response("200 OK", [])
    return [b"inner"]

app = InboxApp(inner, inbox=inbox)
inbox.start()
"""
ASYNC_HANDLER = """
@inbox.on("orders.*")
async def paid(event):
    note("handled", event.data)
"""
FASTAPI = f"""{BEGIN}
from fastapi import FastAPI
from eventbus.client.asgi import InboxApp
{ASYNC_HANDLER}
app = FastAPI()
app.add_middleware(InboxApp, inbox=inbox)

@app.get("/")
async def index():
    return "inner"
"""
STARLETTE = f"""{BEGIN}
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from eventbus.client.asgi import InboxApp
{ASYNC_HANDLER}
@asynccontextmanager
async def lifespan(app):
    inbox.start()
    yield
    inbox.stop()

mounted = Mount("/in", app=InboxApp(inbox=inbox))
app = Starlette(routes=[mounted, Route("/", lambda _: PlainTextResponse("inner"))], lifespan=lifespan)
"""
ALONE = f"""{BEGIN}
from eventbus.client.asgi import InboxApp
{ASYNC_HANDLER}
app = InboxApp(inbox=inbox)
"""


class Service:
    """A service that runs: its process, its address, and what it wrote down."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, notes: Path) -> None:
        self.process = process
        self.port = port
        self._notes = notes

    def notes(self, kind: str) -> list[tuple[int, object]]:
        """What was written down of this kind, with the process that did."""
        if not self._notes.exists():
            return []
        lines = [json.loads(line) for line in self._notes.read_text().splitlines()]
        return [(pid, payload) for pid, what, payload in lines if what == kind]

    def handled(self) -> Counter[object]:
        """How often each number was handled."""
        return Counter(payload for _, payload in self.notes("handled"))


Run = Callable[..., Service]


@pytest.fixture
def mortal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BusServer]:
    """A bus that may be killed; it signs, and the services verify."""
    secrets = {"EVENTBUS_SIGNING_SECRETS": "whsec_" + base64.b64encode(b"s" * 32).decode()}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    with BusServer(tmp_path, secrets) as server:
        yield server


@pytest.fixture
def client(bus: BusServer) -> Iterator[Bus]:
    """A client of the shared bus, which is left without subscribers."""
    with Bus(f"http://127.0.0.1:{bus.port}") as client:
        yield client
        for subscriber in client.subscribers():
            client.deregister(subscriber.address)


@pytest.fixture
def run(client: Bus, tmp_path: Path) -> Iterator[Run]:
    """Runs services of the shared bus."""
    with runner(client, tmp_path) as start:
        yield start


@contextmanager
def runner(client: Bus, folder: Path) -> Iterator[Run]:
    """Runs services by their source, and waits until each is registered."""
    with ExitStack() as stack:

        def start(name: str, source: str, *command: str, prefix: str = "") -> Service:
            (folder / f"{name}.py").write_text(source)
            service = stack.enter_context(running(name, command, client.url, folder, prefix))
            address = f"127.0.0.1:{service.port}{prefix}"
            eventually(lambda: address in {found.address for found in client.subscribers()}, 30, f"{name} did not come")
            return service

        yield start


@contextmanager
def running(name: str, command: tuple[str, ...], url: str, folder: Path, prefix: str) -> Iterator[Service]:
    """A service in a process group of its own."""
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "NOTES": str(folder / f"{name}.notes"),
        "ADDRESS": f"127.0.0.1:{port}{prefix}",
        "EVENTBUS_URL": url,
    }
    words = [word.format(app=f"{name}:app", port=port) for word in command]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *words], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield Service(process, port, folder / f"{name}.notes")
    finally:
        if group_runs(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


GUNICORN = ("-m", "gunicorn", "--no-control-socket", "-b", "127.0.0.1:{port}", "{app}")
UVICORN = ("-m", "uvicorn", "--port", "{port}", "--log-level", "warning", "{app}")


def exchange(server: BusServer, folder: Path, orders: int, killed_at: range) -> None:
    """Publish orders to a Flask service, which pays them, and to a FastAPI service, which sees that; kill the bus."""
    with Bus(f"http://127.0.0.1:{server.port}") as client, runner(client, folder) as run:
        shop = run("shop", FLASK, *GUNICORN, "-k", "gthread", "--threads", "8")
        mail = run("mail", FASTAPI.replace("orders.*", "orders.paid"), *UVICORN)
        for number in range(orders):
            client.publish("orders.created", number, attributes={"source": "/shop", "note": f"Nº {number}: 5"})
            if number in killed_at:
                server.kill()
                server.start()
        eventually(lambda: len(mail.handled()) == orders and len(shop.handled()) == orders, 120)
        assert shop.handled() == mail.handled() == Counter(range(orders))
        topics = Counter(event.topic for event in client.events())
        assert topics == {"orders.created": orders, "orders.paid": orders}


def test_two_services_exchange_events_while_the_bus_is_killed(mortal: BusServer, tmp_path: Path) -> None:
    """A Flask service pays what was ordered, a FastAPI service sees it: nothing lost, nothing handled twice."""
    exchange(mortal, tmp_path, 120, range(40, 120, 40))


@pytest.mark.soak
def test_two_services_exchange_events_however_often_the_bus_is_killed(mortal: BusServer, tmp_path: Path) -> None:
    """The same over thousands of events and many kills."""
    exchange(mortal, tmp_path, 3_000, range(200, 3_000, 200))


@pytest.mark.parametrize(
    "arguments",
    [(), pytest.param(("-k", "gevent"), marks=pytest.mark.soak), ("--preload",)],
    ids=["sync", "gevent", "preload"],
)
def test_workers_that_were_forked_share_one_registration(run: Run, client: Bus, arguments: tuple[str, ...]) -> None:
    """Each of them renews the same address, harmlessly; each event is handled once, whichever of them ends."""
    shop = run("shop", FLASK, *GUNICORN, "-w", "2", *arguments)
    client.publish_many("orders.created", range(100))
    eventually(lambda: len(shop.handled()) == 100, 30)
    workers = running_children(shop.process.pid)
    keepers = {shop.process.pid} if "--preload" in arguments else set(workers)
    eventually(lambda: all(_renewals(shop)[pid] >= 2 for pid in keepers), 30)
    eventually(lambda: client.subscribers()[0].pending == 0, 30)  # nothing is under way in the worker that ends
    os.kill(workers[0], signal.SIGKILL)
    client.publish_many("orders.created", range(100, 150))
    eventually(lambda: len(shop.handled()) == 150, 30)
    assert shop.handled() == Counter(range(150))
    (seen,) = client.subscribers()
    assert (seen.accepted, seen.dead, seen.discarded) == (150, 0, 0)


def _renewals(service: Service) -> Counter[int]:
    return Counter(pid for pid, _ in service.notes("state"))


def test_a_wsgi_application_has_an_inbox_beside_it(run: Run, client: Bus) -> None:
    """Events go to the inbox, everything else to the application."""
    shop = run("shop", WSGI, *GUNICORN)
    client.publish("orders.created", 1)
    eventually(lambda: shop.handled() == {1: 1}, 20)
    assert answered(shop, "/") == b"inner"
    hand_over_in_chunks(shop)


def test_flask_takes_a_body_in_chunks(run: Run) -> None:
    """As a proxy before it may send it on."""
    hand_over_in_chunks(run("shop", FLASK, *GUNICORN))


def hand_over_in_chunks(service: Service) -> None:
    """Deliver a body without a length: all of it is handled."""
    head = b"POST /event HTTP/1.1\r\nHost: a\r\nWebhook-Id: c\r\nEventbus-Topic: orders.created\r\n"
    with RawConnection(service.port) as connection:
        connection.send(head + b"Transfer-Encoding: chunked\r\n\r\n" + render_chunks([b'{"chunk', b'ed": 1}']))
        assert connection.read().status == 200
    assert any(what == {"chunked": 1} for _, what in service.notes("handled"))


@pytest.mark.parametrize(
    ("source", "prefix", "beside"),
    [(FASTAPI, "", b"inner"), (STARLETTE, "/in", b"inner"), (ALONE, "", b"events are taken at another path")],
    ids=["fastapi", "starlette", "alone"],
)
def test_an_asgi_application_has_an_inbox_beside_it(
    source: str, prefix: str, beside: bytes, run: Run, client: Bus
) -> None:
    """As middleware, mounted below a path, or alone; it stops to renew with the server, and gives up nothing."""
    mail = run("mail", source, *UVICORN, prefix=prefix)
    client.publish("orders.created", 1)
    eventually(lambda: mail.handled() == {1: 1}, 20)
    assert answered(mail, "/") == beside
    mail.process.terminate()
    assert mail.process.wait(20) in (0, -signal.SIGTERM)  # uvicorn hands the signal on once it has stopped
    assert mail.notes("state")[-1][1] == "STOPPED"
    assert len(client.subscribers()) == 1


def answered(service: Service, path: str) -> bytes:
    """The body of what a service answers, without JSON's quotes."""
    with RawConnection(service.port) as connection:
        return connection.request("GET", path).body.strip(b'"')
