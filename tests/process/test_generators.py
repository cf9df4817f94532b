"""What others generate from the document works: a client, models and types, by three generators."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.caller import JSON, Caller
from tests.support.server import BusServer

pytestmark = pytest.mark.soak

#: The generators that were tried, each in an environment that the test makes.
PYTHON_CLIENT, PYTHON_MODELS = "openapi-python-client==0.29.1", "datamodel-code-generator==0.89.0"
TYPESCRIPT = ("openapi-typescript@7.13.0", "typescript@5.9.3")
#: Content types that the first one knows nothing of; it goes on without them.
UNKNOWN_TO_IT = {"text/plain", "*/*"}

#: Registers, publishes in each way that the generated client has, and looks at what came of it.
USES_CLIENT = """
import sys
from bus_client import Client
from bus_client.api.reading import get_event
from bus_client.api.publishing import send_message
from bus_client.api.subscribers import deregister, list_subscribers, register_and_keep_alive
from bus_client.models import Accepted, CloudEvent, Data, Deregistered, Problem, Registration

client = Client(base_url=sys.argv[1], headers={"Accept": "application/json"})
found = register_and_keep_alive.sync(client=client, address="127.0.0.1:9", topic=["orders.*"])
assert isinstance(found, Registration) and found.created, found
bodies = [Data.from_dict({"order": 42}), CloudEvent.from_dict(
    {"specversion": "1.0", "id": "1", "source": "/shop", "type": "orders.created", "data": {"order": 42}})]
for body in bodies:
    said = send_message.sync(client=client, body=body, topic="orders.created")
    assert isinstance(said, Accepted) and said.subscribers == 1, said
    event = get_event.sync(said.id, client=client)
    assert event.topic == "orders.created" and len(event.deliveries) == 1, event
(one,) = list_subscribers.sync(client=client).subscribers
assert (one.address, one.pending) == ("127.0.0.1:9", 2), one
refused = register_and_keep_alive.sync(client=client, address="127.0.0.1:0")
assert isinstance(refused, Problem) and refused.status == 400, refused
gone = deregister.sync(client=client, address="127.0.0.1:9")
assert isinstance(gone, Deregistered) and gone.discarded == 2, gone
"""
#: Reads answers of the bus as the generated models.
USES_MODELS = """
import json, sys
import models
answers = json.load(open(sys.argv[1]))
for name, answer in answers.items():
    getattr(models, name).model_validate(answer)
"""
#: Does not compile where a type is not what it should be.
USES_TYPES = """
import type { paths } from "./bus";
type List = paths["/listSubscribers"]["get"]["responses"][200]["content"]["application/json"];
type Publish = NonNullable<paths["/sendMessage"]["post"]["requestBody"]>["content"]["application/json"];
const state: List["subscribers"][number]["state"] = "ok";
const body: Publish = { order: 42 };
// @ts-expect-error: this is none of the states
const wrong: List["subscribers"][number]["state"] = "asleep";
export { body, state, wrong };
"""


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> BusServer:
    """A bus, and its document as a file beside its journal."""
    folder = tmp_path_factory.mktemp("bus")
    with BusServer(folder) as server:
        (folder / "openapi.json").write_bytes(Caller(server.port).call("GET", "/openapi.json").body)
        yield server


@pytest.fixture
def document(bus: BusServer) -> Path:
    """The document."""
    return bus.journal.with_name("openapi.json")


def run(*command: str | Path, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a command that has to succeed; what it prints."""
    done = subprocess.run(
        list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False, timeout=300, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def installed(folder: Path, package: str) -> Path:
    """An environment with a package: where its commands are; skips where none can be had."""
    run(sys.executable, "-m", "venv", folder / "venv", folder=folder)
    pip = folder / "venv/bin/pip"
    done = subprocess.run(
        [pip, "install", "--quiet", package, "ruff", "pydantic"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode:
        pytest.skip(f"{package} cannot be installed: {done.stderr[-300:]}")
    return folder / "venv/bin"


def test_a_python_client_is_generated_and_works(bus: BusServer, document: Path, tmp_path: Path) -> None:
    """Every operation has a function; bodies and answers are objects."""
    commands = installed(tmp_path, PYTHON_CLIENT)
    output = run(
        *(commands / "openapi-python-client", "generate", "--path", document, "--output-path", tmp_path / "bus_client"),
        *("--meta", "none"),
        folder=tmp_path,
        environment={"PATH": f"{commands}:/usr/bin:/bin"},
    )
    unsupported = {line.split()[-1] for line in output.splitlines() if line.startswith("Unsupported content type")}
    assert unsupported == UNKNOWN_TO_IT, output
    assert output.count("WARNING") == len(UNKNOWN_TO_IT), output
    content = json.loads(document.read_text())
    functions = {path.stem for path in (tmp_path / "bus_client/api").rglob("*.py")} - {"__init__"}
    assert len(functions) == sum(len(operations) for operations in content["paths"].values())
    (tmp_path / "uses.py").write_text(USES_CLIENT)
    run(commands / "python", "uses.py", f"http://127.0.0.1:{bus.port}", folder=tmp_path)


def test_python_models_are_generated_and_read_answers(bus: BusServer, document: Path, tmp_path: Path) -> None:
    """What the bus answers is what the models say."""
    commands = installed(tmp_path, PYTHON_MODELS)
    run(
        *(commands / "datamodel-codegen", "--input", document, "--input-file-type", "openapi", "--output", "models.py"),
        *("--output-model-type", "pydantic_v2.BaseModel"),
        folder=tmp_path,
        environment={"PATH": f"{commands}:/usr/bin:/bin"},
    )
    caller = Caller(bus.port)
    address = "/registerAndKeepAlive?address=127.0.0.1:9"
    answers = {
        "Registration": caller.call("POST", address, [JSON]).json(),
        "Accepted": caller.call("POST", "/sendMessage?topic=a", [JSON], b"{}").json(),
        "SubscriberList": caller.call("GET", "/listSubscribers", [JSON]).json(),
        "Problem": caller.call("POST", "/registerAndKeepAlive", [JSON]).json(),
        "Deregistered": caller.call("DELETE", "/deregister?address=127.0.0.1:9", [JSON]).json(),
    }
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    (tmp_path / "uses.py").write_text(USES_MODELS)
    run(commands / "python", "uses.py", "answers.json", folder=tmp_path)


def test_typescript_types_are_generated_and_checked(document: Path, tmp_path: Path) -> None:
    """The compiler knows a subscriber's states, and what a body is."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(tmp_path), *TYPESCRIPT]
    done = subprocess.run(install, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"{TYPESCRIPT} cannot be installed: {done.stderr[-300:]}")
    commands = tmp_path / "node_modules/.bin"
    run(commands / "openapi-typescript", document, "-o", "bus.d.ts", folder=tmp_path)
    (tmp_path / "uses.ts").write_text(USES_TYPES)
    run(commands / "tsc", "--noEmit", "--strict", "uses.ts", folder=tmp_path)
