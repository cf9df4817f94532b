"""Each state of a subscriber is reached, and shown by list, metrics, alerts, dashboard and command, within a minute."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.caller import JSON, Caller
from tests.support.deadline import eventually
from tests.support.expired import expired_of, states
from tests.support.responders import Switch, always
from tests.support.server import ROOT, BusServer
from tests.support.subscriber import RecordingSubscriber, accept

#: Seconds within which all is shown.
SHOWN_SECONDS = 60
LEASE, EVENTS = 5, 12
STATES = ("new", "ok", "failing", "down", "paused", "expired")
#: The alerts that fire, by the states that they are about.
ALERTS = {
    "EventbusSubscriberFailing": "failing",
    "EventbusSubscriberDown": "down",
    "EventbusSubscriberExpired": "expired",
    "EventbusExpiredDeadLetters": "",
}


class Drill:
    """A bus with a subscriber in each state, or about to be."""

    def __init__(self, bus: BusServer, stack: ExitStack) -> None:
        self.bus, self.caller = bus, Caller(bus.port)
        responses = {"failing": always(500), "paused": lambda _: (503, (("Retry-After", "600"),), b"")}
        self.of = {state: stack.enter_context(RecordingSubscriber(responses.get(state, accept))) for state in STATES}
        for state in ("down", "expired"):
            self.of[state].down()
        for state, subscriber in self.of.items():
            lease = LEASE if state == "expired" else 600
            self.caller.register(subscriber.address, lease=lease, topic="quiet" if state == "new" else "drill")
        for number in range(EVENTS):
            self.caller.publish(b"%d" % number, topic="drill")

    def listed(self) -> dict[str, str]:
        """Each address's state, live and expired."""
        live = {each["address"]: each["state"] for each in self.caller.subscribers()}
        return live | {address: each["state"] for address, each in expired_of(self.caller).items()}

    def wanted(self) -> dict[str, str]:
        """The same, when all is as it should be."""
        return {subscriber.address: state for state, subscriber in self.of.items()}

    def command(self, *args: str) -> str:
        """What a command prints."""
        url = f"http://127.0.0.1:{self.bus.port}"
        line = [sys.executable, "-m", "eventbus", *args, "--url", url]
        return subprocess.run(line, cwd=ROOT, capture_output=True, timeout=30, check=False, text=True).stdout


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """Each state, as the list shows it."""
    with ExitStack() as stack:
        bus = stack.enter_context(BusServer(tmp_path_factory.mktemp("drill")))
        found = Drill(bus, stack)
        eventually(lambda: found.listed() == found.wanted(), SHOWN_SECONDS, "not every state was reached")
        dead = found.of["expired"].address
        eventually(lambda: expired_of(found.caller)[dead]["dead"] == EVENTS, SHOWN_SECONDS)
        yield found


def test_the_list_says_what_fails_and_since_when(drill: Drill) -> None:
    """The last error with its time, the error rate, and how many attempts succeeded and failed lately."""
    failing = drill.caller.subscriber(drill.of["failing"].address)
    assert (failing["error_rate"], failing["recent_successes"], failing["last_error"]) == (1.0, 0, "answered 500")
    assert failing["recent_failures"] >= 10
    assert failing["last_error_at"] >= failing["registered_at"]
    well = drill.caller.subscriber(drill.of["ok"].address)
    assert (well["recent_successes"], well["recent_failures"], well["last_error_at"]) == (EVENTS, 0, None)
    assert drill.caller.subscriber(drill.of["new"].address)["error_rate"] is None


def test_metrics_count_each_state(drill: Drill) -> None:
    """One subscriber in each, by its address too; and what is dead of the expired one."""
    eventually(lambda: states(drill.caller) == dict.fromkeys(STATES, 1), SHOWN_SECONDS)
    text = drill.caller.call("GET", "/metrics").text
    for state, subscriber in drill.of.items():
        assert f'eventbus_subscriber_state{{state="{state}",subscriber="{subscriber.address}"}} 1.0' in text
    assert f"eventbus_expired_dead_letters {EVENTS}.0" in text
    assert f"eventbus_dead_letters {EVENTS}.0" in text


def test_alerts_fire_on_what_the_bus_measures(drill: Drill, tmp_path: Path) -> None:
    """On its own metrics, as they are now, within the half minute that a state has to last."""
    promtool = shutil.which("promtool") or pytest.skip("promtool is not installed")
    eventually(lambda: states(drill.caller) == dict.fromkeys(STATES, 1), SHOWN_SECONDS)
    text = drill.caller.call("GET", "/metrics").text
    series = dict(re.findall(r"^(eventbus_\w+(?:\{[^}\n]*\})?) (\S+)$", text, re.MULTILINE))
    asked = [
        {
            "eval_time": "30s",
            "alertname": name,
            "exp_alerts": [{"exp_labels": labels(state, drill), "exp_annotations": summary(name, state, drill)}],
        }
        for name, state in ALERTS.items()
    ]
    shutil.copy(ROOT / "deploy/alerts.yml", tmp_path)
    rules = {
        "rule_files": ["alerts.yml"],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": name, "values": f"{value}x8"} for name, value in series.items()],
                "alert_rule_test": asked,
            }
        ],
    }
    (tmp_path / "drill.json").write_text(json.dumps(rules))
    line = [promtool, "test", "rules", "drill.json"]
    ended = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def labels(state: str, drill: Drill) -> dict[str, str]:
    """What an alert is marked with."""
    return {"severity": "warning"} | ({"state": state, "subscriber": drill.of[state].address} if state else {})


def summary(name: str, state: str, drill: Drill) -> dict[str, str]:
    """What an alert says, by the rules themselves."""
    text = (ROOT / "deploy/alerts.yml").read_text()
    said = re.search(rf"alert: {name}\n.*?summary: \"?(.*?)\"?\n", text, re.DOTALL)
    assert said is not None
    address = drill.of[state].address if state else ""
    told = said[1].replace("{{ $labels.subscriber }}", address).replace("{{ $value | humanize }}", str(EVENTS))
    return {"summary": told}


def test_the_dashboard_shows_each_state(drill: Drill) -> None:
    """In its table of subscribers, on the overview those that need somebody, and on each one's own page."""
    eventually(lambda: states(drill.caller) == dict.fromkeys(STATES, 1), SHOWN_SECONDS)
    table = drill.caller.call("GET", "/dashboard/subscribers").text
    overview = drill.caller.call("GET", "/").text
    assert f"<b>{len(STATES)}</b><span>Subscribers, 1 down, 1 failing, 1 paused, 1 expired, 1 new</span>" in overview
    assert f"<b>{EVENTS}</b><span>Dead letters</span>" in overview
    trouble = overview[overview.index('id="attention"') :]
    for state, subscriber in drill.of.items():
        assert row(table, subscriber.address) == state
        assert row(trouble, subscriber.address) == ("" if state in ("new", "ok") else state)
        page = drill.caller.call("GET", f"/dashboard/subscriber?address={subscriber.address}").text
        assert f'<span class="state {state}">{state}</span>' in page


def row(text: str, address: str) -> str:
    """The state in an address's row of a table; empty where it has none."""
    found = re.search(rf'">{re.escape(address)}</a></td>\s*<td><span class="state (\w+)">(\w+)</span>', text)
    assert found is None or found[1] == found[2]
    return found[1] if found else ""


def test_commands_show_each_state(drill: Drill) -> None:
    """``eventbus subscribers`` all of them, ``eventbus doctor`` those that need somebody."""
    said = json.loads(drill.command("subscribers", "--json"))
    assert {each["address"]: each["state"] for each in said} == drill.wanted()
    assert {each["state"] for each in json.loads(drill.command("subscribers", "--live", "--json"))} == set(STATES[:-1])
    table = drill.command("subscribers")
    assert all(re.search(rf"^{re.escape(one.address)}\s+{state}\b", table, re.M) for state, one in drill.of.items())
    findings = json.loads(drill.command("doctor", "--json"))["findings"]
    named = " ".join(finding["text"] for finding in findings if finding["about"] == "subscribers")
    for state in ("failing", "down", "paused", "expired"):
        assert f"{drill.of[state].address} is {state}" in named
    assert f"{drill.of['expired'].address} has {EVENTS} dead letters." in named
    assert f"{drill.of['ok'].address} is" not in named


def test_the_log_says_who_is_failing_and_who_is_down(drill: Drill) -> None:
    """One line each, with the reason."""
    log = drill.bus.log_text()
    assert log.count(f"subscriber {drill.of['failing'].address} is failing: answered 500") == 1
    assert f"subscriber {drill.of['down'].address} is down:" in log
    assert log.count("is failing") == 1


def test_a_subscriber_stops_failing_when_most_attempts_succeed(tmp_path: Path) -> None:
    """The log says so once, and the page has both among what happened lately."""
    switch = Switch(500)
    with BusServer(tmp_path) as bus, RecordingSubscriber(switch) as subscriber:
        caller, address = Caller(bus.port), subscriber.address
        caller.register(address)
        for _ in range(EVENTS):
            caller.publish()
        eventually(lambda: caller.subscriber(address)["state"] == "failing", 30)
        switch.status = 200
        for _ in range(10 * EVENTS):
            caller.publish()
        eventually(lambda: caller.subscriber(address)["state"] == "ok", 60)
        log = bus.log_text()
        assert log.count(f"subscriber {address} is failing: answered 500") == 1
        assert log.count(f"subscriber {address} is not failing any more") == 1
        notes = caller.call("GET", f"/dashboard/subscriber?address={address}", [JSON]).json()["notes"]
        assert [note["text"] for note in notes] == ["is not failing any more", "is failing: answered 500"]
