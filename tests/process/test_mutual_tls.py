"""A bus proves who it is to services behind an nginx that asks each client for a certificate."""

import hashlib
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.authority import LOCAL, OPENSSL, Authority
from tests.support.caller import Caller, register_target
from tests.support.deadline import eventually
from tests.support.nginx import NginxSubscriber, find_nginx
from tests.support.server import ROOT, BusServer

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="there is no openssl here to make a certificate")
SEEN = ("status", "request_uri", "http_authorization", "ssl_client_fingerprint", "ssl_session_reused")
PATH = "/hooks/orders?source=bus"
SERVICE = "known-to-this-service-0123456789"  # as a bearer token
DAYS = 30
EXPIRY = "eventbus_client_certificate_expiry_timestamp_seconds"


@dataclass(frozen=True, slots=True)
class Scene:
    """A service behind nginx, an authority for both sides, and the files of the bus's certificate."""

    nginx: NginxSubscriber
    authority: Authority
    folder: Path

    @property
    def settings(self) -> dict[str, str]:
        """What the bus needs to be let in."""
        files = {"EVENTBUS_CLIENT_CERT": "bus.pem", "EVENTBUS_CLIENT_KEY": "bus.key"}
        return {
            "EVENTBUS_CA_FILE": str(self.authority.ca_file),
            **{name: str(self.folder / file) for name, file in files.items()},
        }

    def renew(self) -> str:
        """Put a new certificate and its key in place of the old ones; the fingerprint of the new one."""
        new = self.authority.client_files("bus.example", days=DAYS)
        for source, name in zip(new, ("bus.pem", "bus.key"), strict=True):
            shutil.copy(source, self.folder / "new")
            (self.folder / "new").replace(self.folder / name)
        return hashlib.sha1(ssl.PEM_cert_to_DER_cert(new[0].read_text()), usedforsecurity=False).hexdigest()

    def deliver(self, caller: Caller) -> list[str]:
        """Publish an event; what nginx has seen of its delivery."""
        before = len(self.nginx.seen())
        caller.publish()
        eventually(lambda: len(self.nginx.seen()) > before, 10, "nothing was delivered")
        return self.nginx.seen()[before].split(" ")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """All of it, with a certificate for the bus."""
    binary = find_nginx() or pytest.skip("nginx is not installed (Debian: apt-get install nginx)")
    authority = Authority(tmp_path)
    with NginxSubscriber(binary, tmp_path, authority.files(*LOCAL), authority.ca_file, SEEN) as nginx:
        yield Scene(nginx, authority, tmp_path)


def test_a_certificate_is_shown_and_renewed_without_a_restart(scene: Scene, tmp_path: Path) -> None:
    """Nginx lets the bus in; further connections resume the session; a new certificate is shown by new connections."""
    first = scene.renew()
    with BusServer(tmp_path, scene.settings) as bus:
        caller = Caller(bus.port)
        target = register_target(scene.nginx.address, path=PATH, max_in_flight=1)
        assert caller.call("POST", target, [("Eventbus-Forward-Authorization", f"Bearer {SERVICE}")]).status == 200
        seen = [scene.deliver(caller) for _ in range(6)]  # on two connections: nginx closes each after three requests
        assert [part[:-1] for part in seen] == [["200", PATH, "Bearer", SERVICE, first]] * 6
        assert [part[-1] for part in seen] == [".", ".", ".", "r", "r", "r"]
        second = scene.renew()
        assert scene.deliver(caller) == ["200", PATH, "Bearer", SERVICE, second, "."]
        assert _metric(caller) == pytest.approx(time.time() + DAYS * 86_400, abs=120)
        (scene.folder / "bus.key").write_text("nonsense")
        assert [scene.deliver(caller)[-2] for _ in range(3)] == [second] * 3  # the last one on a new connection
        assert "the client certificate that was read before stays in use: EVENTBUS_CLIENT_KEY must be" in bus.log_text()
        assert "PRIVATE KEY" not in bus.log_text()
        assert SERVICE not in bus.log_text()


def test_without_a_certificate_nothing_is_taken(scene: Scene, tmp_path: Path) -> None:
    """Nginx answers 400 to a bus without a certificate, and the subscriber's error says so."""
    with BusServer(tmp_path, {"EVENTBUS_CA_FILE": str(scene.authority.ca_file)}) as bus:
        caller = Caller(bus.port)
        caller.register(scene.nginx.address)
        caller.publish()
        eventually(lambda: "400" in (caller.subscriber(scene.nginx.address)["last_error"] or ""), 10)
        assert EXPIRY not in caller.call("GET", "/metrics").text


def test_the_doctor_tells_when_the_certificate_ends(scene: Scene) -> None:
    """The end is told in time, and files that would stop a start are wrong."""
    scene.renew()
    settings = {**scene.settings, "EVENTBUS_URL": "http://127.0.0.1:9"}
    assert "The client certificate in " in _doctor(settings, scene.folder)
    (scene.folder / "bus.key").unlink()
    assert "wrong    settings     EVENTBUS_CLIENT_KEY cannot be read from" in _doctor(settings, scene.folder)


def _doctor(settings: dict[str, str], folder: Path) -> str:
    command = [sys.executable, "-m", "eventbus", "doctor"]
    environment = {**settings, "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "COLUMNS": "400"}
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False).stdout


def _metric(caller: Caller) -> float:
    (line,) = (each for each in caller.call("GET", "/metrics").text.splitlines() if each.startswith(f"{EXPIRY} "))
    return float(line.split(" ")[1])
