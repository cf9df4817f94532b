"""What is deployed with the bus keeps to what the bus is: its metrics, settings, log lines, user and times."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventbus.client.inbox import FINISH_SECONDS
from eventbus.core.settings import Settings, from_environment, unknown_names

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
OPERATIONS = (ROOT / "docs/operations.md").read_text("utf-8")
#: What the bus runs; the client and the commands write to logs of their own.
SOURCES = [
    path
    for path in sorted(ROOT.glob("eventbus/**/*.py"))
    if path.parts[len(ROOT.parts) + 1] not in ("client", "cli", "testing")
]
YAML = [
    ROOT / "compose.yaml",
    ROOT / "compose.redis.yaml",
    ROOT / "compose.replicas.yaml",
    *sorted(DEPLOY.rglob("*.yml")),
    *sorted(DEPLOY.rglob("*.yaml")),
]
#: Seconds at least from SIGTERM until SIGKILL: the drain, what gunicorn adds to it, and some to end in.
STOPPING = Settings().drain_seconds + 4 + 5
#: The same for a replica: leaving its group, its last answers, and some to end in.
LEAVING = 2 * FINISH_SECONDS + 5

SUBSCRIBER = (
    *("pending", "oldest_pending_seconds", "delivered_total", "filtered_total", "failed_attempts_total"),
    "dead_letters",
)
HISTOGRAMS = {
    *("eventbus_arrival_seconds", "eventbus_attempt_seconds"),
    *("eventbus_journal_commit_seconds", "eventbus_journal_commit_events"),
}
METRICS = {
    *HISTOGRAMS,
    *("eventbus_events_accepted_total", "eventbus_event_bytes_total", "eventbus_requests_refused_total"),
    *("eventbus_duplicates_suppressed_total", "eventbus_attempts_total", "eventbus_ignored_parameters_total"),
    *("eventbus_journal_quota_total", "eventbus_scheduled_events", "eventbus_scheduled_next_seconds"),
    *("eventbus_journal_bytes", "eventbus_journal_max_bytes", "eventbus_dead_letters", "eventbus_subscribers"),
    *("eventbus_expired_dead_letters", "eventbus_subscriber_state", "eventbus_members"),
    "eventbus_deliveries_expired_total",
    *("eventbus_deliveries_pending", "eventbus_deliveries_in_flight", "eventbus_oldest_pending_seconds"),
    *("eventbus_event_loop_lag_seconds", "eventbus_build_info", "eventbus_client_certificate_expiry_timestamp_seconds"),
    *("eventbus_declared_subscribers", "eventbus_declared_faults"),
    *("eventbus_named_tokens", "eventbus_named_tokens_faults"),
    *("eventbus_backups_total", "eventbus_backup_timestamp_seconds"),
    *("eventbus_connections", "eventbus_connections_limit", "eventbus_connections_lasting"),
    *("eventbus_connections_closed_idle_total", "eventbus_publishes_settling"),
    *(f"eventbus_subscriber_{name}" for name in SUBSCRIBER),
    *("process_cpu_seconds_total", "process_resident_memory_bytes", "process_virtual_memory_bytes"),
    *("process_start_time_seconds", "process_open_fds", "process_max_fds"),
}
LABELS = {
    "outcome": {"delivered", "retry", "pause", "down", "gone", "rejected"},
    "state": {"new", "ok", "failing", "down", "paused", "expired", "draining"},
}


def load(path: Path) -> Any:
    """A file's one YAML document."""
    return yaml.safe_load(path.read_text("utf-8"))


def metrics_in(text: str) -> set[str]:
    """The metrics that a text names; a histogram's parts are the histogram."""
    found = re.findall(r"\b(?:eventbus|process)_[a-z_]+[a-z]", text)
    return {re.sub(r"_(bucket|sum|count)\Z", "", name) for name in found}


def pieces(node: ast.expr) -> str:
    """A message as it is documented: what differs is an ellipsis."""
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)  # type: ignore[misc]
    text = node.value if isinstance(node, ast.Constant) else ""
    return re.sub(r"%[sdgr]", "…", str(text))


def logged(tree: ast.AST) -> Iterator[str]:
    """The messages of all calls of a logger, and of all that is printed."""
    levels = ("debug", "info", "warning", "error", "exception", "critical")
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = ast.unparse(node.func)
        if name == "print" or re.search(rf"\blog(ger)?\.({'|'.join(levels)})\Z", name):
            yield pieces(node.args[0])


def remarks(tree: ast.AST) -> Iterator[str]:
    """The sentences of functions that answer lists of them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.List):
            yield from map(pieces, node.value.elts)


def messages() -> set[str]:
    """All that the bus can write to its log."""
    found = {text for path in SOURCES for text in logged(ast.parse(path.read_text("utf-8")))}
    found |= set(remarks(ast.parse((ROOT / "eventbus/journal/sqlite/file.py").read_text("utf-8"))))
    return {text.rstrip("…").rstrip(" :") for text in found} - {""}


def instructions(text: str) -> list[tuple[str, str]]:
    """A Dockerfile's instructions, lines joined and comments left out."""
    lines = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines if line)]


def unit(text: str) -> dict[str, list[str]]:
    """A systemd unit's settings, each with all its values."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"(?m)^(\w+)=(.*)$", text):
        found.setdefault(name, []).append(value)
    return found


DOCKERFILE = instructions((ROOT / "Dockerfile").read_text("utf-8"))
IMAGE = {name: rest for name, rest in DOCKERFILE if name not in ("RUN", "COPY")}  # the last of each
UNIT = unit((DEPLOY / "eventbus.service").read_text("utf-8"))
REPLICA_UNIT = unit((DEPLOY / "mailer@.service").read_text("utf-8"))
RULES = [rule for group in load(DEPLOY / "alerts.yml")["groups"] for rule in group["rules"]]
DASHBOARD = (DEPLOY / "grafana-dashboard.json").read_text("utf-8")


@pytest.mark.parametrize("path", YAML, ids=lambda path: str(path.relative_to(ROOT)))
def test_yaml_parses(path: Path) -> None:
    """Each file is one YAML document that holds something."""
    assert load(path)


def test_every_metric_is_documented_and_no_other() -> None:
    """The page for operators names each metric, and none that there is not."""
    assert metrics_in(OPERATIONS) == METRICS


@pytest.mark.parametrize("text", [DASHBOARD, (DEPLOY / "alerts.yml").read_text("utf-8")], ids=["dashboard", "alerts"])
def test_what_watches_uses_metrics_and_labels_that_there_are(text: str) -> None:
    """The dashboard and the alerts ask for nothing that the bus does not measure."""
    assert metrics_in(text) <= METRICS
    for label, known in LABELS.items():
        assert set(re.findall(rf'\b{label}!?=\\?"(\w+)', text)) <= known


def test_the_dashboard_has_a_place_for_each_panel() -> None:
    """Panels have ids of their own, do not overlap, and fit the grid of 24 columns."""
    panels = json.loads(DASHBOARD)["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


def test_every_alert_is_documented_and_tried() -> None:
    """Each alert has a line for operators, and a case in which it fires."""
    names = {rule["alert"] for rule in RULES}
    cases = [case for test in load(DEPLOY / "alerts_test.yml")["tests"] for case in test["alert_rule_test"]]
    assert set(re.findall(r"(?m)^\| `(Eventbus\w+)`", OPERATIONS)) == names
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names


@pytest.mark.parametrize("message", sorted(messages()))
def test_every_log_line_is_documented(message: str) -> None:
    """Each line that the bus can write to its log stands in the page for operators."""
    assert message in OPERATIONS


def test_figures_for_sizing_are_measured_ones() -> None:
    """Rates in the page for operators stand in the tables that they come from."""
    sizing = OPERATIONS.partition("## Sizing")[2].partition("## ")[0]
    rates = re.findall(r"\b\d{1,3},\d{3}\b", sizing)
    assert rates
    assert set(rates) <= set(re.findall(r"[\d,]+\d", (ROOT / "docs/performance.md").read_text("utf-8")))


def test_the_image_runs_the_bus_as_the_procfile_does_and_not_as_root() -> None:
    """The image's command is the Procfile's, in exec form, for a user with a number and no rights."""
    command = json.loads(IMAGE["CMD"])
    assert " ".join(command) == (ROOT / "Procfile").read_text().partition("web: ")[2].strip()
    assert re.fullmatch(r"([1-9]\d{3,}):\1", IMAGE["USER"])
    assert (IMAGE["VOLUME"], IMAGE["EXPOSE"], IMAGE["STOPSIGNAL"]) == ("/data", "3000", "SIGTERM")


def test_the_image_is_made_of_pinned_parts() -> None:
    """Every base has a full tag, all stages the same one, and packages come from requirements.txt alone."""
    bases = {rest.split()[0] for name, rest in DOCKERFILE if name == "FROM"}
    installs = [rest for name, rest in DOCKERFILE if name == "RUN" and "pip install" in rest]
    assert re.fullmatch(r"\{'python:3\.\d+-slim-\w+'\}", str(bases))
    assert len(installs) == 1
    assert {"--no-cache-dir", "-r /tmp/requirements.txt"} <= set(re.findall(r"--no-cache-dir|-r \S+", installs[0]))
    assert not [rest for name, rest in DOCKERFILE if name == "ADD" or "curl" in rest or "sudo" in rest]


def test_the_image_asks_whether_the_bus_is_alive() -> None:
    """The health check is in exec form, needs nothing but Python, and asks /healthz."""
    check = json.loads(IMAGE["HEALTHCHECK"].partition("CMD")[2])
    assert check[:2] == ["python", "-c"]
    assert "/healthz" in check[2]
    assert ast.parse(check[2])


def test_the_builder_sees_only_what_the_image_is_made_of() -> None:
    """Nothing is sent to the builder but what is copied: no journal, no secret, no repository."""
    ignored = (ROOT / ".dockerignore").read_text().split("\n")
    copied = {
        part for name, rest in DOCKERFILE if name == "COPY" and "--from" not in rest for part in rest.split()[:-1]
    }
    assert "*" in ignored
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied
    assert all((ROOT / part).exists() for part in copied)


@pytest.mark.parametrize(
    ("where", "environment"),
    [
        ("compose", load(ROOT / "compose.yaml")["services"]["bus"]["environment"]),
        ("compose on Redis", load(ROOT / "compose.redis.yaml")["services"]["bus-two"]["environment"]),
        ("secret", load(DEPLOY / "kubernetes/secret.example.yaml")["stringData"]),
        ("image", dict(re.findall(r"(EVENTBUS_\w+)=(\S+)", IMAGE["ENV"]))),
        ("systemd", dict(re.findall(r"(EVENTBUS_\w+)=(\S+)", " ".join(UNIT["Environment"])))),
        ("page", dict.fromkeys(re.findall(r"EVENTBUS_[A-Z_]+[A-Z]", OPERATIONS), "")),
    ],
)
def test_every_setting_is_one_of_the_bus(where: str, environment: dict[str, str]) -> None:
    """What is deployed sets nothing that the bus does not know or would refuse."""
    assert environment, where
    from_environment(environment)
    assert unknown_names(environment) == []


def test_systemd_gives_the_bus_time_to_drain() -> None:
    """SIGTERM goes to the master alone, and SIGKILL comes after the drain; the journal is where it may write."""
    assert (UNIT["KillMode"], UNIT["KillSignal"]) == (["mixed"], ["SIGTERM"])
    assert int(UNIT["TimeoutStopSec"][0]) >= STOPPING
    assert f"EVENTBUS_JOURNAL=sqlite:////var/lib/{UNIT['StateDirectory'][0]}/eventbus.db" in UNIT["Environment"]
    assert "ProcSubset" not in UNIT  # process_* metrics would be gone


def test_nginx_of_compose_is_nginx_but_for_its_site() -> None:
    """The two configurations differ in the first line and in lines marked as the site's, and nowhere else."""
    ours, other = ((DEPLOY / name).read_text().splitlines() for name in ("nginx.conf", "compose/nginx.conf"))
    differing = [pair for pair in zip(ours[1:], other[1:], strict=True) if pair[0] != pair[1]]
    assert differing
    assert all("# site:" in line for pair in differing for line in pair)


def test_compose_fits_together() -> None:
    """Mounted files are there, images are pinned, nginx asks where the bus is, and all ports are loopback's."""
    services = load(ROOT / "compose.yaml")["services"]
    mounts = [mount for service in services.values() for mount in service.get("volumes", ())]
    address = services["bus"]["networks"]["default"]["ipv4_address"]
    assert all((ROOT / mount.split(":")[0]).is_file() for mount in mounts if mount.startswith("./"))
    assert all(re.search(r":v?\d|:local", service["image"]) for service in services.values())
    assert f"server {address}:3000 " in (DEPLOY / "compose/nginx.conf").read_text()
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", ()))
    assert int(services["bus"]["stop_grace_period"].rstrip("s")) >= STOPPING
    assert ast.parse(services["keeper"]["command"][2])


def test_two_buses_of_compose_fit_together() -> None:
    """Both name the Redis beside them, which keeps all it has said it did; nginx asks both, and is else the same."""
    services = load(ROOT / "compose.redis.yaml")["services"]
    first = load(ROOT / "compose.yaml")["services"]["bus"]
    addresses = [bus["networks"]["default"]["ipv4_address"] for bus in (first, services["bus-two"])]
    text = (DEPLOY / "compose/nginx-two.conf").read_text()
    assert all(f"server {address}:3000 " in text for address in addresses)
    one, two = ((DEPLOY / name).read_text().splitlines() for name in ("compose/nginx.conf", "compose/nginx-two.conf"))
    assert [line for line in one if "# site:" not in line] == [line for line in two if "# site:" not in line]
    assert {services[name]["environment"]["EVENTBUS_JOURNAL"] for name in ("bus", "bus-two")} == {
        "redis://redis:6379/0"
    }
    command = " ".join(services["redis"]["command"])
    assert "--appendonly yes --appendfsync always" in command
    assert "--maxmemory-policy noeviction" in command
    assert {name: services["bus-two"][name] for name in ("read_only", "cap_drop", "security_opt")} == {
        name: first[name] for name in ("read_only", "cap_drop", "security_opt")
    }


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("kubernetes/*.yaml")), ids=lambda path: path.stem)
def test_kubernetes_knows_every_field(path: Path) -> None:
    """Each manifest is valid by Kubernetes' own schema, with no field that it does not know."""
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    assert validate.validate(load(path), "1.36.0", strict=True)


def test_kubernetes_runs_one_bus_and_never_two() -> None:
    """One replica of a StatefulSet, whose journal only one pod at a time may mount."""
    spec = load(DEPLOY / "kubernetes/statefulset.yaml")["spec"]
    (claim,) = spec["volumeClaimTemplates"]
    assert (spec["replicas"], claim["spec"]["accessModes"]) == (1, ["ReadWriteOncePod"])


def test_kubernetes_runs_what_the_image_is() -> None:
    """Probes, user, volume, port and the time to stop are the image's and the bus's."""
    pod = load(DEPLOY / "kubernetes/statefulset.yaml")["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    probes = [container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")]
    assert probes == ["/healthz", "/healthz", "/readyz"]
    assert pod["spec"]["terminationGracePeriodSeconds"] >= STOPPING
    assert pod["spec"]["securityContext"]["runAsUser"] == int(IMAGE["USER"].split(":")[0])
    assert IMAGE["VOLUME"] in [mount["mountPath"] for mount in container["volumeMounts"]]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    service = load(DEPLOY / "kubernetes/service.yaml")["spec"]
    assert service["selector"].items() <= pod["metadata"]["labels"].items()
    assert str(service["ports"][0]["port"]) == IMAGE["EXPOSE"]


def test_replicas_on_kubernetes_register_their_own_addresses() -> None:
    """Each pod its IP address and port, in a group, at the bus that is deployed beside it; and it has time to leave."""
    spec = load(DEPLOY / "kubernetes/replicas.yaml")["spec"]
    service = load(DEPLOY / "kubernetes/service.yaml")
    secret = load(DEPLOY / "kubernetes/secret.example.yaml")
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    names = [variable["name"] for variable in container["env"]]
    values = {variable["name"]: variable.get("value") or variable["valueFrom"] for variable in container["env"]}
    assert names.index("POD_IP") < names.index("ADDRESS")  # else it is not put in
    assert values["POD_IP"] == {"fieldRef": {"fieldPath": "status.podIP"}}
    assert values["ADDRESS"] == f"$(POD_IP):{container['ports'][0]['containerPort']}"
    assert values["EVENTBUS_URL"] == f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    references = [value["secretKeyRef"] for value in values.values() if "secretKeyRef" in value]
    assert {reference["name"] for reference in references} == {secret["metadata"]["name"]}
    assert {reference["key"] for reference in references} <= set(secret["stringData"])
    assert (spec["replicas"], spec["strategy"]["rollingUpdate"]["maxUnavailable"]) == (3, 0)
    assert pod["terminationGracePeriodSeconds"] >= LEAVING


def test_replicas_of_compose_fit_together() -> None:
    """They run an example of this repository in a group, each under its own address, and have time to leave."""
    mailer = load(ROOT / "compose.replicas.yaml")["services"]["mailer"]
    beside = load(ROOT / "compose.yaml")["services"]
    assert set(mailer["depends_on"]) <= set(beside)
    assert mailer["environment"]["EVENTBUS_URL"].removeprefix("http://") in beside
    assert all((ROOT / mount.split(":")[0]).is_file() for mount in mailer["volumes"])
    assert "ADDRESS=$$(hostname -i):8000" in mailer["command"][-1]  # $$ is $ in a compose file
    assert mailer["deploy"]["replicas"] == 3
    assert int(mailer["stop_grace_period"].rstrip("s")) >= LEAVING


def test_replicas_under_systemd_have_time_to_leave() -> None:
    """Each instance has its port in its address, and SIGTERM goes to the main process alone."""
    assert "ADDRESS=%H:%i" in REPLICA_UNIT["Environment"]
    assert (REPLICA_UNIT["KillMode"], REPLICA_UNIT["KillSignal"]) == (["mixed"], ["SIGTERM"])
    assert int(REPLICA_UNIT["TimeoutStopSec"][0]) >= LEAVING
