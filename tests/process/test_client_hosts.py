import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from eventbus.client import Bus
from tests.support.server import ROOT, BusServer

#: Events that each program publishes, and how many are safe when the bus is killed, each time.
SHORT = (150, (40, 100))
LONG = (3_000, tuple(range(200, 3_000, 200)))

#: Publishes numbers from many places at once and receives them in the same process; prints each number when it
#: is safe, and at the end what was handled.
RECEIVES = """
import json, sys, threading, time
from eventbus.client import AsyncBus, Bus, Inbox, Server

bus, handled, events = Bus(sys.argv[1]), [], int(sys.argv[2])
inbox = Inbox(bus)
done = threading.Event()

@inbox.on("numbers.*")
def handle(event):
    handled.append(event.data)
    if len(set(handled)) == events:
        done.set()

def publish(number):
    bus.publish("numbers.one", number)
    print(number, flush=True)

def received():
    done.wait(60)
    print(json.dumps(handled), flush=True)
"""
THREADS = """
from concurrent.futures import ThreadPoolExecutor

with Server(inbox), ThreadPoolExecutor(8) as pool:
    assert inbox.wait_registered(10)
    list(pool.map(publish, range(events)))
    received()
"""
ASYNCIO = """
import asyncio

async def main():
    abus, turns = AsyncBus.of(bus), asyncio.Semaphore(8)
    async def one(number):
        async with turns:
            await abus.publish("numbers.one", number)
            print(number, flush=True)
    follower = asyncio.create_task(followed(abus))
    await asyncio.gather(*map(one, range(events)))
    seen = await follower
    assert sorted(seen) == list(range(events)), len(seen)

async def followed(abus):
    seen = []
    async for event in abus.events(follow=True):
        seen.append(event.data)
        if len(seen) == events:
            return seen

with Server(inbox):
    assert inbox.wait_registered(10)
    asyncio.run(main())
    received()
"""
HOSTS = {
    "threads": RECEIVES + THREADS,
    "gevent": "from gevent import monkey; monkey.patch_all()\n" + RECEIVES + THREADS,
    "asyncio": RECEIVES + ASYNCIO,
}


def run_under_fire(program: str, server: BusServer, events: int, killed_at: tuple[int, ...]) -> list[Any]:
    """Run a program, and kill the bus again and again while it publishes; what it handled."""
    options = ("-X", "dev", "-W", "error", "-c")
    command = [sys.executable, *options, program, f"http://127.0.0.1:{server.port}", str(events)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for count in range(1, events + 1):
                assert process.stdout.readline(), "the program has ended"
                if count in killed_at:
                    server.kill()
                    server.start()
            handled: list[Any] = json.loads(process.stdout.readline())
            assert process.wait(30) == 0
        finally:
            process.kill()
    return handled


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_is_lost_or_repeated_while_the_bus_is_killed(host: str, tmp_path: Path) -> None:
    """Under threads, gevent and asyncio: each publish is one event, and each event is handled once."""
    publish_under_fire(host, tmp_path, *SHORT)


@pytest.mark.soak
@pytest.mark.parametrize("host", HOSTS)
def test_nothing_is_lost_or_repeated_however_often_the_bus_is_killed(host: str, tmp_path: Path) -> None:
    """The same over thousands of events and many kills."""
    publish_under_fire(host, tmp_path, *LONG)


def publish_under_fire(host: str, folder: Path, events: int, killed_at: tuple[int, ...]) -> None:
    """Compare what one program published and handled with what it should have, and with the journal."""
    with BusServer(folder) as server:
        handled = run_under_fire(HOSTS[host], server, events, killed_at)
        with Bus(f"http://127.0.0.1:{server.port}") as bus:
            kept = Counter(event.data for event in bus.events())
    assert kept == Counter(range(events))
    assert Counter(handled) == kept


#: Imports everything that needs no framework, and names what came with it from outside.
LISTS = """
import sys
before = set(sys.modules)
import eventbus.client, eventbus.client.wsgi, eventbus.client.asgi, eventbus.testing
found = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
ours = {name for name in sys.modules if name.startswith("eventbus.")}
print(sorted(found), sorted({name.split(".")[1] for name in ours}))
"""


def test_the_client_needs_only_the_standard_library() -> None:
    """No package but its own is imported, and of the server only the pure modules that both share."""
    done = subprocess.run([sys.executable, "-c", LISTS], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "['eventbus'] ['client', 'core', 'testing']\n"


def test_a_cancelled_task_leaves_nothing_behind(bus: BusServer) -> None:
    """A task that waits for the next event ends at once when it is cancelled, and so does the program."""
    program = """
import asyncio, sys, threading
from eventbus.client import AsyncBus

async def main():
    async with AsyncBus(sys.argv[1]) as bus:
        first = asyncio.Event()
        async def follow():
            async for event in bus.events(follow=True):
                first.set()
        task = asyncio.create_task(follow())
        await bus.publish("a")
        await first.wait()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass

asyncio.run(main())
print(threading.active_count())
"""
    command = [sys.executable, "-W", "error", "-c", program, f"http://127.0.0.1:{bus.port}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout == "1\n"
