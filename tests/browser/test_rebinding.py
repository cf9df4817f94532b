"""A page whose own name is made to lead to the bus later (DNS rebinding) gets nothing from a bus without tokens."""

from pathlib import Path

from tests.browser.chromium import PLAIN_HOST
from tests.browser.dashboard_user import DashboardUser, Tab
from tests.support.caller import Caller
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber

_READS = """
    const done = arguments[0];
    const ask = (target, options) => fetch(target, {referrerPolicy: "no-referrer", ...options}).then((r) => r.status);
    Promise.all([
        ask("/events?after=earliest"),
        ask("/events", {headers: {"Accept-Language": "", Accept: "application/json", "User-Agent": "curl/8"}}),
        ask("/sendMessage", {method: "POST", body: "x"}),
        ask("/registerAndKeepAlive?address=127.0.0.1:9", {method: "POST", headers: {"Eventbus-Page": "dashboard"}}),
        ask("/", {headers: {"X-Forwarded-Host": "localhost"}}),
    ]).then(done, done);
"""


def test_a_page_whose_name_leads_to_the_bus_reads_and_changes_nothing(tab: Tab, tmp_path: Path) -> None:
    """Its scripts are of the bus's own origin to the browser, and set every header that scripts can set."""

    def page(_: Received) -> Answer:
        return 200, [("Content-Type", "text/html"), ("Connection", "close")], b"<link rel=icon href='data:,'>Hello"

    with RecordingSubscriber(page) as theirs:
        user = DashboardUser(tab, theirs.port, PLAIN_HOST)
        user.expect(403)
        user.open("/")
    with BusServer(tmp_path, port=theirs.port) as bus:
        assert tab.driver.execute_async_script(_READS) == [403] * 5
        user.open("/")
        user.see(f"If that is its name, set EVENTBUS_HOSTS={PLAIN_HOST} for the bus, or set tokens.", "body")
        caller = Caller(bus.port)
        assert caller.call("GET", "/events?after=earliest").json()["events"] == []
        assert caller.subscribers() == []
