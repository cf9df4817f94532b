"""Replicas under gunicorn and uvicorn, whose servers stop listening before the inbox hears of it."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eventbus.client import Bus
from tests.support.deadline import eventually
from tests.support.load import Load
from tests.support.ports import free_port
from tests.support.server import ROOT, BusServer

SERVICE = """
import os
from eventbus.client import Bus, Inbox
from eventbus.client.{kind} import InboxApp

inbox = Inbox(Bus.from_env(), os.environ["ADDRESS"], group="shop")
notes = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
inbox.on()(lambda event: os.write(notes, event.body + b"\\n"))
app = InboxApp(inbox=inbox)
"""
WSGI = SERVICE.format(kind="wsgi") + "inbox.start()\n"
HOOK = """
def worker_exit(server, worker):
    from service import inbox
    inbox.close()
"""
GUNICORN = ("gunicorn", "--worker-class", "gthread", "--threads", "8", "--bind", "127.0.0.1:{port}", "service:app")
UVICORN = ("uvicorn", "--port", "{port}", "service:app")
#: Events a second.
RATE = 300


@contextmanager
def replica(url: str, folder: Path, command: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
    """A replica that runs."""
    port = free_port()
    own = {"EVENTBUS_URL": url, "ADDRESS": f"127.0.0.1:{port}", "NOTES": str(folder / "notes"), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", *(word.format(port=port) for word in command)]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(words, cwd=folder, env={**os.environ, **own}, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("source", "command"), [(WSGI, GUNICORN), (SERVICE.format(kind="asgi"), UVICORN)], ids=["gunicorn", "uvicorn"]
)
def test_a_replica_that_stops_leaves_its_group(source: str, command: tuple[str, ...], tmp_path: Path) -> None:
    """Under load: the other one handles what comes, no event is lost, and none is handled twice."""
    (tmp_path / "service.py").write_text(source)
    (tmp_path / "gunicorn.conf.py").write_text(HOOK)
    with (
        BusServer(tmp_path) as server,
        Bus(f"http://127.0.0.1:{server.port}") as bus,
        replica(bus.url, tmp_path, command) as leaving,
        replica(bus.url, tmp_path, command),
    ):
        eventually(lambda: len(bus.subscribers()) == 2, 30)
        with Load(server.port, RATE) as load:
            eventually(lambda: load.published > 100, 30)
            leaving.terminate()
            eventually(lambda: leaving.poll() is not None, 30)
            assert len(bus.subscribers()) == 1
            before = load.published
            eventually(lambda: load.published > before + 100, 30)
        eventually(lambda: bus.subscribers().groups[0].pending == 0, 30)
    handled = Counter(int(line) for line in (tmp_path / "notes").read_bytes().split())
    assert handled == Counter(range(load.published))
