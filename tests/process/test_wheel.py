"""The wheel: built as a release is, and tried in fresh virtual environments, apart from this checkout."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin
from zipfile import ZipFile

import pytest

from eventbus import __version__
from tests.support.caller import Caller
from tests.support.ports import free_port
from tests.support.programs import Program
from tests.support.server import ROOT

#: What a wheel is built of.
SOURCES = ("LICENSE", "pyproject.toml")
#: What the server needs and the client does not.
SERVER = ("flask", "gevent", "gunicorn", "requests", "urllib3", "werkzeug")
#: A publish, and what is received of it, by who has the wheel and the live server of its tests.
TALK = """
from pathlib import Path
from eventbus.testing import LiveServer
with LiveServer(Path()) as server, server.bus() as bus:
    bus.publish("orders.created", {"order": 42})
    print([event.body.decode() for event in bus.events(follow=False)])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy, so that nothing is left here."""
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "eventbus", folder / "eventbus", ignore=shutil.ignore_patterns("__pycache__"))
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder / "dist"), str(folder))
    (built,) = (folder / "dist").glob("*.whl")
    return built


def pip(*arguments: str, python: Path | str = sys.executable) -> None:
    """Run pip for an environment; what it says is shown where it fails."""
    command = [sys.executable, "-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*command, *arguments], check=False, capture_output=True, timeout=300)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


class Environment:
    """A virtual environment in a folder that holds what is given to pip and nothing else."""

    def __init__(self, folder: Path, wanted: str) -> None:
        self.folder = folder
        self.bin = folder / "environment" / "bin"
        command = [sys.executable, "-m", "venv", "--without-pip", str(folder / "environment")]
        subprocess.run(command, check=True, timeout=60)
        pip("install", wanted, python=self.bin / "python")

    def run(self, command: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one of its programs."""
        return subprocess.run(
            [str(self.bin / command), *arguments],
            check=False,
            cwd=self.folder,
            env=clean(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )


def clean(added: dict[str, str]) -> dict[str, str]:
    """An environment without what points to this checkout or this developer."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("EVENTBUS_", "PYTHON", "VIRTUAL"))
    }
    return {**kept, **added}


@pytest.fixture(scope="module")
def plain(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel, and what it asks for."""
    return Environment(tmp_path_factory.mktemp("plain"), str(wheel))


@pytest.fixture(scope="module")
def full(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel with the server, and what the command shows best with."""
    return Environment(tmp_path_factory.mktemp("full"), f"{wheel}[server,cli]")


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """All files of the package are in it, templates, static files, their licences and py.typed too, and no others."""
    names = set(ZipFile(wheel).namelist())
    described = {name for name in names if name.startswith(f"eventbus-{__version__}.dist-info/")}
    package = {str(path.relative_to(ROOT)) for path in (ROOT / "eventbus").rglob("*") if path.is_file()}
    assert names - described == {name for name in package if "__pycache__" not in name}
    assert f"eventbus-{__version__}.dist-info/licenses/LICENSE" in described
    assert {"eventbus/py.typed", "eventbus/cli/__init__.py", "eventbus/web/dashboard/static/uplot.LICENSE.txt"} <= names


def test_the_client_needs_no_server(plain: Environment) -> None:
    """Who installs the wheel alone can import the client and what helps with tests, and gets nothing of the server."""
    found = plain.run("python", "-c", "import eventbus.client, eventbus.testing; print(eventbus.client.__file__)")
    assert found.stdout.startswith(str(plain.folder)), found.stderr
    asked = f"import importlib.util as u; print([name for name in {SERVER} if u.find_spec(name)])"
    assert plain.run("python", "-c", asked).stdout == "[]\n"


def test_the_command_works_alone(plain: Environment) -> None:
    """The command tells its version; without a server it says that there is none, and how to install it."""
    assert __version__ in plain.run("eventbus", "--version").stdout
    assert plain.run("eventbus", "--help").returncode == 0
    refused = plain.run("eventbus", "serve")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "pip install 'eventbus[server]'" in refused.stderr
    unreachable = plain.run("eventbus", "send", "a", "b", "--retry", "0", EVENTBUS_URL="http://127.0.0.1:1")
    assert unreachable.returncode == 3


@pytest.fixture(scope="module")
def served(full: Environment) -> Iterator[Caller]:
    """The bus as the installed command serves it."""
    port = free_port()
    caller = Caller(port)
    folder = full.folder / "served"
    folder.mkdir()
    with Program([str(full.bin / "eventbus"), "serve"], folder, clean({"PORT": str(port)})) as program:
        program.wait(lambda: is_ready(caller) or not program.runs, "the bus was not ready")
        assert program.runs, program.errors
        yield caller


def is_ready(caller: Caller) -> bool:
    """Whether the bus accepts."""
    try:
        return caller.call("GET", "/readyz").status == 200
    except OSError:
        return False


@pytest.mark.soak
def test_an_installed_bus_takes_and_tells_events(full: Environment, served: Caller) -> None:
    """The installed command serves a bus, sends it an event, and hears it."""
    url = {"EVENTBUS_URL": f"http://127.0.0.1:{served.port}"}
    sent = full.run("eventbus", "send", "orders.created", '{"order": 42}', **url)
    assert sent.returncode == 0, sent.stderr
    heard = full.run("eventbus", "listen", "orders.*", "--after", "earliest", "--count", "1", "--raw", **url)
    assert (heard.returncode, heard.stdout) == (0, '{"order": 42}\n'), heard.stderr


@pytest.mark.soak
def test_an_installed_bus_has_its_pages(served: Caller) -> None:
    """The dashboard, the reference, and each file that they name are served."""
    named = set[str]()
    for path in ("/", "/docs"):
        page = served.call("GET", path)
        assert page.status == 200, path
        found = re.findall(r'(?:src|href)="([^"?#:]*\.(?:js|css|svg)\b)', page.text)
        named |= {urljoin(path, link) for link in found}
    assert {Path(path).suffix for path in named} == {".js", ".css", ".svg"}
    assert {path: served.call("GET", path).status for path in named} == dict.fromkeys(named, 200)


@pytest.mark.soak
def test_an_installed_package_starts_a_live_server(full: Environment) -> None:
    """The live server for tests starts without a checkout."""
    assert full.run("python", "-c", TALK).stdout == "['{\"order\":42}']\n"
