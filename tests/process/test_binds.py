"""The bus listens where gunicorn is told to, and takes that for its own address, whichever way it is told."""

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.ports import LOOPBACK, free_port
from tests.support.server import COMMAND, ROOT, BusServer, refusal


def test_a_unix_socket_serves_as_a_port_does(tmp_path: Path) -> None:
    """Its clients have no address. No port is the bus's own then, whatever PORT says."""
    path, port = tmp_path / "bus.sock", free_port()
    bus = BusServer(tmp_path, port=port, arguments=["-b", f"unix:{path}"])
    with socket.create_server((LOOPBACK, port)):  # PORT is taken by somebody else, which matters to nobody
        bus.spawn()
        try:
            caller = Caller(path)
            eventually(lambda: is_ready(caller), 30)
            assert caller.publish(b"x")
            caller.register(f"{LOOPBACK}:{port}")
            assert [caller.call("GET", page).status for page in ("/events", "/", "/metrics")] == [200] * 3
            assert bus.terminate() == 0
        finally:
            bus.kill()


def is_ready(caller: Caller) -> bool:
    """Whether the bus is there, and ready."""
    try:
        return caller.call("GET", "/readyz").status == 200
    except OSError:
        return False


def bound_by_argument(ports: list[int]) -> tuple[list[str], dict[str, str]]:
    """Several ``-b``."""
    return [part for port in ports for part in ("-b", f"{LOOPBACK}:{port}")], {}


def bound_by_environment(ports: list[int]) -> tuple[list[str], dict[str, str]]:
    """``GUNICORN_CMD_ARGS``."""
    return [], {"GUNICORN_CMD_ARGS": " ".join(f"--bind={LOOPBACK}:{port}" for port in ports)}


@pytest.mark.parametrize("bound", [bound_by_argument, bound_by_environment])
def test_the_bus_is_where_it_is_bound(
    bound: Callable[[list[int]], tuple[list[str], dict[str, str]]], tmp_path: Path
) -> None:
    """Each address that it listens on is its own; PORT, on which somebody else listens, is a subscriber's."""
    ports = [free_port(), free_port()]
    arguments, environment = bound(ports)
    with socket.create_server((LOOPBACK, 0)) as other:
        elsewhere = other.getsockname()[1]
        with BusServer(tmp_path, {**environment, "PORT": str(elsewhere)}, port=ports[0], arguments=arguments):
            for port in ports:
                caller = Caller(port)
                said = [
                    caller.call("POST", f"/registerAndKeepAlive?address={LOOPBACK}:{each}").status
                    for each in (*ports, elsewhere)
                ]
                assert said == [400, 400, 200]


@pytest.mark.parametrize("handed", ["fd://3", "systemd"])
def test_a_socket_that_is_inherited_is_the_bus_itself(handed: str, tmp_path: Path) -> None:
    """By its number, or as systemd hands it over."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        spare = os.dup(listener.fileno())
        arguments = ["-b", handed] if handed != "systemd" else []
        script = 'exec 3<&"$0"; [ "$1" != systemd ] || export LISTEN_FDS=1 LISTEN_PID=$$; shift; exec "$@"'
        command = ["bash", "-c", script, str(spare), handed, *COMMAND, *arguments]
        environment = {**os.environ, "EVENTBUS_JOURNAL": f"sqlite:///{tmp_path}/bus.db", "PORT": str(free_port())}
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, pass_fds=[spare], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(spare)
    caller = Caller(port)
    try:
        eventually(lambda: caller.call("GET", "/readyz").status == 200, 30)
        assert caller.call("POST", f"/registerAndKeepAlive?address={LOOPBACK}:{port}").status == 400
        assert caller.call("POST", f"/registerAndKeepAlive?address={LOOPBACK}:{free_port()}").status == 200
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_what_cannot_be_bound_stops_the_start(tmp_path: Path) -> None:
    """A port that is taken, a file that is no socket, a folder that is not there: in one sentence, at once."""
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        bus = BusServer(tmp_path, arguments=["-b", f"{LOOPBACK}:{free_port()}", "-b", f"{LOOPBACK}:{port}"])
        assert f"port {port} of {LOOPBACK} cannot be used" in refusal(bus, "cannot start")
    (tmp_path / "file").write_text("mine")
    bus = BusServer(tmp_path, arguments=["-b", f"unix:{tmp_path}/file"])
    assert "is not a socket" in refusal(bus, "cannot start")
    bus = BusServer(tmp_path, arguments=["-b", f"unix:{tmp_path}/nowhere/bus.sock"])
    assert "no socket can be created" in refusal(bus, "cannot start")
