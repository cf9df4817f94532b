"""Which pages may change something on the bus: its own, under each of its names, and nobody else's."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.browser.chromium import PLAIN_HOST
from tests.browser.dashboard_user import PATIENCE, DashboardUser, Tab
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.nginx import Nginx, find_nginx
from tests.support.ports import LOOPBACK
from tests.support.repair import RepairClient
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber

_FORM = "<form method='post' enctype='text/plain' action='{}'><input name='a' value='b'><button>Go</button></form>"
_FETCH = """
    const [target, done] = arguments;
    fetch(target, { method: "POST", mode: "no-cors", body: "from elsewhere" }).then(() => done(), () => done());
"""


@pytest.fixture
def elsewhere(caller: Caller) -> Iterator[RecordingSubscriber]:
    """A web server of somebody else, who would like to publish, from a page with a form."""
    form = _FORM.format(f"http://{LOOPBACK}:{caller.port}/sendMessage")

    def respond(_: Received) -> Answer:
        return 200, [("Content-Type", "text/html")], f"<link rel=icon href='data:,'>{form}".encode()

    with RecordingSubscriber(respond) as server:
        yield server


@pytest.mark.parametrize("host", ["localhost", LOOPBACK, PLAIN_HOST])
def test_the_dashboard_works_under_each_of_its_names(tab: Tab, bus: BusServer, host: str) -> None:
    """Where a browser tells where a request is from, and where it tells the origin alone, the bus knows its own."""
    user = DashboardUser(tab, bus.port, host)
    user.expect(404)
    user.open("/dashboard/send")
    assert user.run("return isSecureContext") == (host != PLAIN_HOST)
    user.click("Send")
    user.see("Accepted as ", "#sent")
    if host != PLAIN_HOST:
        return
    address = f"{LOOPBACK}:9"
    Caller(bus.port).register(address)
    user.open(f"/dashboard/subscriber?address={quote(address)}")
    user.click("Deregister")
    user.click("Deregister")
    eventually(lambda: user.find("#ask-go").is_enabled(), PATIENCE)
    user.click("Yes, deregister")
    user.see("Deregistered.", "dialog")


#: A proxy that most would write: a prefix that it takes off, and nothing said of the host that was asked for.
PLAIN_PROXY = {
    "location / {\n            proxy_pass http://eventbus;": "location /bus/ {\n            proxy_pass http://eventbus/;",
    "proxy_set_header Host $http_host;": "",
    "proxy_set_header X-Forwarded-Host $http_host;": "",
}


def test_the_dashboard_works_behind_a_plain_proxy(tab: Tab, bus: BusServer, tmp_path: Path) -> None:
    """Below its prefix and over plain http, buttons, links and what is fetched again stay there."""
    binary = find_nginx()
    if binary is None:
        pytest.skip("nginx is not installed")
    with Nginx(binary, tmp_path, bus.port, PLAIN_PROXY) as nginx:
        user = DashboardUser(tab, nginx.port, PLAIN_HOST)
        user.open("/bus/dashboard/send")
        user.click("Send")
        user.see("Accepted as ", "#sent")
        for follow in ("", "sessionStorage.setItem('eventbus-token', 'x')"):  # by the browser; and by the page
            user.run(follow)
            for name, path in (("Overview", "/bus/"), ("Journal", "/bus/dashboard/journal"), ("eventbus", "/bus/")):
                user.click(name)
                eventually(lambda path=path: user.run("return location.pathname") == path, PATIENCE)
                assert user.run("return document.querySelector('footer a').pathname") == "/bus/docs"
        assert user.count("#charts") == 1
        user.driver.get("about:blank")  # the page asks for nothing more


@pytest.mark.parametrize("host", [LOOPBACK, "localhost", PLAIN_HOST])
def test_a_page_from_elsewhere_publishes_nothing(
    tab: Tab, caller: Caller, elsewhere: RecordingSubscriber, host: str
) -> None:
    """Neither a script nor a form of another origin gets an event in, be it from the same machine."""
    before = RepairClient(caller.port).events()
    user = DashboardUser(tab, elsewhere.port, host)
    user.expect(403, 404)
    user.open("/")
    target = f"http://{LOOPBACK}:{caller.port}/sendMessage"
    tab.driver.execute_async_script(_FETCH, target)
    user.click("Go")
    user.see("Error:A page from elsewhere may not change anything here", "body")
    assert RepairClient(caller.port).events() == before
