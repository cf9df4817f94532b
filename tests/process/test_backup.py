"""Backups of a running bus: what was accepted before is restored, and nothing is left of one that does not end well."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gevent.subprocess import PIPE, Popen

from tests.support.accounts import account, settled
from tests.support.caller import JSON, Caller
from tests.support.deadline import eventually
from tests.support.programs import Program
from tests.support.publisher import Publisher
from tests.support.raw_client import RawConnection, render_request
from tests.support.scheduled import scheduled_ids
from tests.support.server import ROOT, BusServer
from tests.support.small_disk import MIB, small_disk, why_not
from tests.support.subscriber import Answer, Received, RecordingSubscriber

#: A body of which some make a journal that no socket's buffers hold.
LARGE = b"x" * 1_000_000
COMMAND = [sys.executable, "-m", "eventbus"]
REQUEST = render_request("GET", "/backup")


def refuse(_: Received) -> Answer:
    """Take nothing, now and for ever."""
    return 400, (), b"no"


def environment(bus: BusServer) -> dict[str, str]:
    """What the command gets."""
    return {**os.environ, "EVENTBUS_URL": f"http://127.0.0.1:{bus.port}", "PYTHONPATH": str(ROOT)}


def back_up(bus: BusServer, file: Path, *options: str) -> tuple[int, str, str]:
    """Back up by the command, while greenlets of this process go on: status, output and errors."""
    with Popen([*COMMAND, "backup", str(file), *options], env=environment(bus), stdout=PIPE, stderr=PIPE) as run:
        out, errors = run.communicate(timeout=60)
        return run.returncode, out.decode(), errors.decode()


def restore(file: Path, journal: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Restore by the command."""
    command = [*COMMAND, "restore", str(file), "--journal", str(journal), *options]
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False
    )


def ended(bus: BusServer) -> list[str]:
    """How each backup has ended, by the log."""
    return re.findall(r"backup\.ended.* outcome=(\w+)", bus.log_text())


@pytest.fixture
def full_bus(own_bus: BusServer) -> BusServer:
    """A bus with a journal that takes a while to copy and to send."""
    caller = Caller(own_bus.port)
    for _ in range(24):
        caller.publish(LARGE)
    return own_bus


def start(bus: BusServer) -> RawConnection:
    """Ask for a backup, and read nothing of it."""
    connection = RawConnection(bus.port)
    connection.send(REQUEST)
    return connection


def no_copy(bus: BusServer) -> bool:
    """Whether there is no file of a copy."""
    return not Path(f"{bus.journal}-backup").exists()


def test_a_backup_under_load_is_restored_whole(tmp_path: Path) -> None:
    """Events, a subscriber with its backlog, a dead letter, a scheduled event and a key are in a bus on the backup."""
    (tmp_path / "new").mkdir()
    file = tmp_path / "backup.db"
    with RecordingSubscriber(refuse) as dead, RecordingSubscriber(keep_bodies=False) as subscriber:
        with BusServer(tmp_path) as bus:
            caller = Caller(bus.port)
            caller.register(dead.address, lease=600, topic="bad")
            caller.register(subscriber.address, lease=600)
            keyed = caller.publish(b"keyed", ("Idempotency-Key", "k"), topic="bad")
            eventually(settled(caller, dead.address, dead=1), 30)
            eventually(settled(caller, subscriber.address, delivered=1), 30)
            subscriber.down()
            later = caller.call("POST", "/sendMessage?delay=86400", body=b"later").header("Webhook-Id")
            publisher = Publisher(bus.port, (b"x" * 4_000 for _ in range(50_000)), connections=8).start()
            publisher.wait_accepted(400)
            accepted = list(publisher.result.accepted)
            status, out, errors = back_up(bus, file, "--json")
            publisher.wait_accepted(len(publisher.result.accepted) + 50)
            publisher.stop()
            published = publisher.join()
            assert status == 0, errors + bus.log_text()
            assert (published.refused, published.failed) == (0, 0)
            late = published.accepted[-1]
        done = json.loads(out)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert (done["rows"]["events"], done["bytes"]) == (done["last_seq"], file.stat().st_size)
        assert done["last_seq"] > len(accepted)
        restored = restore(file, tmp_path / "new/bus.db", "--json")
        assert restored.returncode == 0, restored.stderr
        assert json.loads(restored.stdout)["last_seq"] == done["last_seq"]
        with BusServer(tmp_path / "new") as bus:
            caller = Caller(bus.port)
            assert not re.search("write-ahead log|had lost|set aside", bus.log_text())
            assert caller.call("GET", f"/events/{late}").status == 404
            assert caller.publish(b"keyed", ("Idempotency-Key", "k"), topic="bad") == keyed
            assert scheduled_ids(caller) == [later]
            letters = caller.call("GET", "/deadLetters", [JSON]).json()["dead_letters"]
            assert [letter["event"] for letter in letters] == [keyed]
            subscriber.up()
            caller.register(subscriber.address)
            subscriber.wait_for_ids(accepted)
            eventually(lambda: account(caller, subscriber.address)["pending"] == 0, 30)
            assert account(caller, subscriber.address)["delivered"] == done["last_seq"]


def test_one_backup_is_made_at_a_time(full_bus: BusServer) -> None:
    """Another one is answered 429, also while the first is being sent; a client that goes away ends it."""
    caller = Caller(full_bus.port)
    first = start(full_bus)
    eventually(lambda: "backup.started" in full_bus.log_text(), 30)
    second = caller.call("GET", "/backup", [JSON])
    assert (second.status, second.header("Retry-After")) == (429, "10")
    assert "one at a time" in second.json()["detail"]
    first.close()
    eventually(lambda: ended(full_bus) == ["failed", "failed"], 30)
    assert no_copy(full_bus)
    assert caller.call("GET", "/backup").status == 200
    eventually(lambda: ended(full_bus)[-1] == "sent", 30)
    metrics = caller.call("GET", "/metrics").text
    assert re.search(r'^eventbus_backups_total{outcome="sent"} 1\.0$', metrics, re.MULTILINE)
    assert "eventbus_backup_timestamp_seconds" in metrics


def test_a_client_that_goes_away_ends_the_copy(full_bus: BusServer) -> None:
    """The file that is being written is removed, and publishing goes on."""
    connection = start(full_bus)
    eventually(lambda: not no_copy(full_bus), 30)
    connection.close()
    eventually(lambda: ended(full_bus) == ["failed"], 30)
    assert no_copy(full_bus)
    assert Caller(full_bus.port).publish(b"on")


def test_a_bus_that_stops_ends_the_copy(full_bus: BusServer) -> None:
    """It drains as always, and leaves no copy."""
    with start(full_bus):
        eventually(lambda: not no_copy(full_bus), 30)
        assert full_bus.terminate() == 0
    assert no_copy(full_bus)
    assert ended(full_bus) == ["failed"]


def test_a_start_removes_what_a_crash_has_left(tmp_path: Path) -> None:
    """The copy of a bus that was killed while it made one is gone."""
    with BusServer(tmp_path) as bus:
        left = Path(f"{bus.journal}-backup")
        bus.kill()
        left.write_bytes(b"x" * 100)
        bus.start()
        assert no_copy(bus)


def test_a_command_that_is_stopped_leaves_no_file(full_bus: BusServer, tmp_path: Path) -> None:
    """By SIGTERM, while it waits or reads; the bus makes the next backup."""
    folder = tmp_path / "backups"
    folder.mkdir()
    with Program([*COMMAND, "backup", str(folder / "b.db")], tmp_path, environment(full_bus)) as program:
        program.wait(lambda: any(folder.iterdir()), "it did not begin")
        program.send()
        assert program.ended() == 143
    assert list(folder.iterdir()) == []
    status, _, errors = eventually(lambda: (done := back_up(full_bus, folder / "b.db"))[0] == 0 and done, 30)
    assert (status, len(list(folder.iterdir()))) == (0, 1), errors


def test_a_file_is_replaced_only_by_force(own_bus: BusServer, tmp_path: Path) -> None:
    """Else it stays as it is."""
    file = tmp_path / "b.db"
    file.write_text("mine")
    status, _, errors = back_up(own_bus, file)
    assert (status, file.read_text()) == (1, "mine")
    assert "exists; with --force it is replaced" in errors
    assert back_up(own_bus, file, "--force")[0] == 0
    assert file.read_bytes().startswith(b"SQLite format 3")


def test_a_journal_in_use_is_not_restored_over(own_bus: BusServer, tmp_path: Path) -> None:
    """Not even by force."""
    file = tmp_path / "b.db"
    assert back_up(own_bus, file)[0] == 0
    done = restore(file, own_bus.journal, "--force")
    assert done.returncode == 1
    assert "in use by another process" in done.stderr
    assert Caller(own_bus.port).publish(b"on")


@pytest.fixture
def scarce_bus(tmp_path: Path) -> Iterator[BusServer]:
    """A bus on a disk on which there is room for its journal, and none for a copy."""
    with small_disk(tmp_path / "disk", 24 * MIB) as disk, BusServer(tmp_path, disk.journal) as bus:
        caller = Caller(bus.port)
        for _ in range(6):
            caller.publish(LARGE)
        disk.take(disk.free - 6 * MIB)
        yield bus


@pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
def test_without_room_there_is_no_backup(scarce_bus: BusServer, tmp_path: Path) -> None:
    """It is answered 507 with how much is needed and free, nothing is left, and publishing is accepted as before."""
    caller = Caller(scarce_bus.port)
    response = caller.call("GET", "/backup", [JSON])
    assert response.status == 507
    assert re.search(r"needs [\d,]+ bytes .* [\d,]+ are free", response.json()["detail"])
    status, _, errors = back_up(scarce_bus, tmp_path / "b.db")
    assert (status, "needs" in errors, (tmp_path / "b.db").exists()) == (1, True, False)
    assert {file.name for file in (tmp_path / "disk").glob("*-backup")} == set()
    assert caller.publish(b"on")
