"""Starting: what is wrong stops it, in one sentence that names it."""

import os
import socket
from pathlib import Path

import pytest

from tests.support.caller import Caller
from tests.support.ports import LOOPBACK, free_port
from tests.support.server import BusServer, refusal


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVENTBUS_LEASE_SECONDS", "soon"),
        ("EVENTBUS_LEASE_SECONDS", "0"),
        ("EVENTBUS_MAX_BODY_BYTES", "1.5"),
        ("EVENTBUS_DRAIN_SECONDS", "-1"),
        ("EVENTBUS_RETRY_SECONDS", "nan"),
        ("PORT", "http"),
        ("PORT", "65536"),
        ("EVENTBUS_JOURNAL", "events.db"),
    ],
)
def test_a_wrong_setting_stops_the_start(tmp_path: Path, name: str, value: str) -> None:
    """A setting that cannot be is named with the value it has."""
    assert value in refusal(BusServer(tmp_path, {name: value}), name)


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_file_without_certificates_stops_the_start(tmp_path: Path, content: str | None) -> None:
    """A file of authorities that is missing, or holds none, is named in a sentence."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    sentence = refusal(BusServer(tmp_path, {"EVENTBUS_CA_FILE": str(path)}), "EVENTBUS_CA_FILE")
    assert sentence.startswith("eventbus cannot start: EVENTBUS_CA_FILE must be a PEM file with certificates, not")
    assert str(path) in sentence


def test_a_place_that_is_no_folder_stops_the_start(tmp_path: Path) -> None:
    """A journal whose folder is a file is refused by its path."""
    (tmp_path / "file").write_text("")
    path = f"{tmp_path}/file/bus.db"
    assert refusal(BusServer(tmp_path, {"EVENTBUS_JOURNAL": f"sqlite:///{path}"}), path)


@pytest.mark.skipif(os.geteuid() == 0, reason="every folder is writable for root")
def test_an_unwritable_folder_stops_the_start(tmp_path: Path) -> None:
    """A journal in a folder that may not be written is refused by its path."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    path = f"{folder}/bus.db"
    assert refusal(BusServer(tmp_path, {"EVENTBUS_JOURNAL": f"sqlite:///{path}"}), path)


def test_a_file_that_is_no_journal_stops_the_start(tmp_path: Path) -> None:
    """A file of another kind is refused by its path, and left as it is."""
    path = tmp_path / "notes.db"
    path.write_bytes(b"my notes, by no means a database\n" * 100)
    assert refusal(BusServer(tmp_path, {"EVENTBUS_JOURNAL": f"sqlite:///{path}"}), str(path))
    assert path.read_bytes() == b"my notes, by no means a database\n" * 100


def test_a_port_in_use_stops_the_start(tmp_path: Path) -> None:
    """A port that somebody else listens on is refused by its number."""
    port = free_port()
    with socket.create_server((LOOPBACK, port)):
        assert refusal(BusServer(tmp_path, port=port), str(port))


def test_a_second_process_on_one_journal_is_refused(tmp_path: Path) -> None:
    """One process owns a journal: a second one ends, and the first goes on."""
    with BusServer(tmp_path) as first:
        second = BusServer(tmp_path, port=free_port())
        assert refusal(second, str(first.journal))
        assert Caller(first.port).publish()


def test_a_second_worker_is_refused(tmp_path: Path) -> None:
    """Two workers cannot share one registry: asked for, they stop the start."""
    assert "2" in refusal(BusServer(tmp_path, arguments=["--workers", "2"]), "worker")


def test_a_misspelt_setting_is_warned_of(tmp_path: Path) -> None:
    """A name that means nothing is warned of with the nearest that does, and the bus starts."""
    with BusServer(tmp_path, {"EVENTBUS_LEASE_SECOND": "60"}) as bus:
        lines = [line for line in bus.log_text().splitlines() if "EVENTBUS_LEASE_SECOND " in line]
        assert len(lines) == 1, bus.log_text()
        assert "EVENTBUS_LEASE_SECONDS" in lines[0]


@pytest.mark.parametrize("name", ["EVENTBUS_PORT_3000_TCP", "EVENTBUS_SERVICE_HOST", "EVENTBUS_URL"])
def test_what_others_set_is_passed_over(tmp_path: Path, name: str) -> None:
    """What Kubernetes and the client set is nothing to warn of."""
    with BusServer(tmp_path, {name: "tcp://10.0.0.1:3000"}) as bus:
        assert name not in bus.log_text()


def test_web_concurrency_starts_no_more_workers(tmp_path: Path) -> None:
    """``WEB_CONCURRENCY``, which platforms set by themselves, changes nothing: there is one worker."""
    with BusServer(tmp_path, {"WEB_CONCURRENCY": "4"}) as bus:
        assert len(bus.worker_pids) == 1
