"""A program that attacks a bus from one address in all ways at once, until it is ended.

    python -m tests.support.attacker HOST PORT ADDRESS TARPITS [CERTIFICATE KEY]

HOST and PORT are the bus's. It listens on its own address for what the bus sends to its subscribers, by https too where
it has a certificate.
"""

from gevent import monkey

monkey.patch_all()

import http.client  # noqa: E402 - after the patch
import json  # noqa: E402
import socket  # noqa: E402
import ssl  # noqa: E402
import sys  # noqa: E402
import uuid  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from contextlib import ExitStack, suppress  # noqa: E402
from itertools import count, islice, product  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402

from eventbus.core.topics import MAX_PATTERNS  # noqa: E402
from eventbus.core.wildcards import has_too_many  # noqa: E402
from tests.support.raw_client import render_request  # noqa: E402
from tests.support.silent_subscriber import SilentListener  # noqa: E402

#: Topic of what the hostile subscribers want, and of what fills the journal; seconds between two steps of an attack.
BAIT, FILLING, STEP = "bait", "filling", 0.1
HEAD = b"HTTP/1.1 200 OK\r\n"
#: What hostile subscribers pour out, again and again: a beginning, and the rest.
POURS = {
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
    "headers": (HEAD, b"X-Y: " + b"z" * 90 + b"\r\n"),
    "a body": (HEAD + b"\r\n", b"x" * 10_000),
    "trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 1_000),
    "garbage": (b"\x00" * 100, b"\xff" * 1_000),
}


class Attacker:
    """Attacks the ``bus``, which is a host and a port, from ``address``."""

    def __init__(self, bus: tuple[str, int], address: str, tarpits: int, stack: ExitStack) -> None:
        self._bus, self._address, self._tarpits = bus, address, tarpits
        self._stack = stack
        self._numbers = count()

    def attacks(self) -> list[Callable[[], None]]:
        """Each is begun again when it ends."""
        return [
            self.pipeline, self.leave_heads, self.leave_bodies, self.read_nothing, self.idle,
            self.register_tarpits, self.register_wildcards, self.publish_bait, self.come_and_go, self.use_keys,
            self.use_keys_of_batches, self.fill_journal, self.reject,
        ]  # fmt: skip

    # Connections

    def connect(self) -> socket.socket:
        """A connection to the bus."""
        return socket.create_connection(self._bus, 30, source_address=(self._address, 0))

    def call(self, method: str, *targets: str, body: bytes | None = None, **headers: str) -> None:
        """Send requests on one connection, whatever the answers are."""
        connection = http.client.HTTPConnection(*self._bus, 30, source_address=(self._address, 0))
        try:
            for target in targets:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                connection.request(method, target, body, named)
                connection.getresponse().read()
        finally:
            connection.close()

    def hold(self, number: int, data: bytes, seconds: float) -> None:
        """Send this on many connections, read nothing, and keep them."""
        with ExitStack() as stack:
            for _ in range(number):
                with suppress(OSError):
                    stack.enter_context(self.connect()).sendall(data)
            gevent.sleep(seconds)

    # Clients

    def pipeline(self) -> None:
        """Send requests before their answers have come, and take these."""
        with self.connect() as client:
            taking = gevent.spawn(take, client)
            try:
                while True:
                    client.sendall(render_request("GET", "/healthz") * 1_000)
                    gevent.sleep(STEP)
            finally:
                taking.kill()

    def leave_heads(self) -> None:
        """Send heads without their ends."""
        self.hold(50, render_request("GET", "/healthz", [(f"a{n}", "x" * 8_000) for n in range(90)])[:-2], 3)

    def leave_bodies(self) -> None:
        """Send bodies without their ends."""
        head = render_request("POST", "/sendMessage?batch=lines", [("Content-Length", "16000000")])
        self.hold(10, head + b"x" * 2_000_000, 3)

    def read_nothing(self) -> None:
        """Ask for much, and read none of it."""
        self.hold(6, render_request("GET", "/events?limit=1000") * 2, 3)

    def idle(self) -> None:
        """Keep connections that send nothing."""
        self.hold(200, b"", 5)

    def come_and_go(self) -> None:
        """Register addresses, half of them on hosts that nobody knows, and deregister them."""
        for number in islice(self._numbers, 100):
            address = f"{self._address}:9/gone-{number}" if number % 2 else f"gone-{number}.invalid:9"
            self.call("POST", f"/registerAndKeepAlive?address={address}&topic={BAIT}")
            self.call("DELETE", f"/deregister?address={address}")
        gevent.sleep(STEP)

    # Publishers

    def use_keys(self) -> None:
        """Publish with a key each time, which the bus has to remember."""
        for _ in range(50):
            self.call("POST", f"/sendMessage?topic={BAIT}s", body=b"x", Idempotency_Key=f"{uuid.uuid4()}" * 5)
        gevent.sleep(STEP)

    def use_keys_of_batches(self) -> None:
        """Publish small events that nobody wants in batches with a key each: the bus has to remember the ids of all."""
        for _ in range(5):
            self.call(
                "POST",
                f"/sendMessage?batch=lines&topic={BAIT}s",
                body=b"1\n" * 1_000,
                Idempotency_Key=f"{uuid.uuid4()}",
            )
            gevent.sleep(STEP)

    def fill_journal(self) -> None:
        """Publish large events for a subscriber that is down, and one that rejects them."""
        address = f"{self._address}:9/down"
        self.call("POST", f"/registerAndKeepAlive?address={address}&topic={FILLING}&lease=3600&resume=true")
        for _ in range(50):
            self.call("POST", f"/sendMessage?topic={FILLING}", body=b"x" * 500_000)
            gevent.sleep(STEP)

    def publish_bait(self) -> None:
        """Publish large events for the hostile subscribers, and batches with topics for the wildcards."""
        self.call("POST", f"/sendMessage?topic={BAIT}", body=b"x" * 200_000)
        base, number = ".".join("a" * 14), next(self._numbers)
        events = [
            {"id": str(n), "source": "s", "specversion": "1.0", "type": f"{base}.n{number}.m{n}"} for n in range(1_000)
        ]
        kind = "application/cloudevents-batch+json"
        self.call("POST", "/sendMessage", body=json.dumps(events).encode(), Content_Type=kind)
        gevent.sleep(5 * STEP)

    # Subscribers

    def register_tarpits(self) -> None:
        """Register subscribers that never answer, with long and short timeouts, and keep them alive."""
        with SilentListener(self._address) as listener:
            for number in range(self._tarpits):
                terms = f"topic={BAIT}&lease=600&timeout={(0.1, 1, 120)[number % 3]}"
                self.call("POST", f"/registerAndKeepAlive?address={listener.address}/{number}&{terms}")
            gevent.sleep(600)

    def register_wildcards(self) -> None:
        """Register patterns of all shapes that are allowed."""
        patterns = worst_patterns()
        while chosen := list(islice(patterns, MAX_PATTERNS)):
            terms = "&".join(f"topic={pattern}" for pattern in chosen)
            address = f"{self._address}:9/wild-{next(self._numbers)}"
            self.call("POST", f"/registerAndKeepAlive?address={address}&{terms}&lease=600")
        gevent.sleep(600)

    def reject(self) -> None:
        """Be a subscriber that rejects all events, each of which becomes a dead letter."""
        listener = self._stack.enter_context(socket.create_server((self._address, 0)))
        address = f"{self._address}:{listener.getsockname()[1]}/reject"
        self.call("POST", f"/registerAndKeepAlive?address={address}&topic={FILLING}&lease=3600")
        while True:
            connection, _ = listener.accept()
            gevent.spawn(answer_badly, connection)

    def serve(self, name: str, context: ssl.SSLContext | None) -> None:
        """Be a subscriber that pours out bytes without end."""
        listener = self._stack.enter_context(socket.create_server((self._address, 0)))
        scheme = "http" if context is None else "https"
        address = f"{scheme}://{self._address}:{listener.getsockname()[1]}"
        self.call("POST", f"/registerAndKeepAlive?address={address}&topic={BAIT}&lease=600&timeout=5")
        while True:
            connection, _ = listener.accept()
            gevent.spawn(pour, connection, context, *POURS[name])


def pour(connection: socket.socket, context: ssl.SSLContext | None, begun: bytes, more: bytes) -> None:
    """Read a little, and send without end."""
    with suppress(OSError), connection:
        stream = connection if context is None else context.wrap_socket(connection, server_side=True)
        stream.recv(65_536)
        stream.sendall(begun)
        while True:
            stream.sendall(more)
            gevent.sleep(0.001)


def answer_badly(connection: socket.socket) -> None:
    """Read a request, and answer that it is wrong."""
    with suppress(OSError, ValueError), connection, connection.makefile("rb") as reader:
        head = list(iter(reader.readline, b"\r\n"))
        length = next(line for line in head if line.lower().startswith(b"content-length:"))
        reader.read(int(length.partition(b":")[2]))
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def take(client: socket.socket) -> None:
    """Read what the bus answers, and throw it away."""
    with suppress(OSError):
        while client.recv(1_048_576):
            pass


def worst_patterns() -> Iterator[str]:
    """Patterns of all shapes that are allowed, all of which could match one topic."""
    for number in range(1, 16):
        for words in product("a*", repeat=number):
            if not has_too_many([*words, ">"]):
                yield ".".join([*words, ">"])


def again(attack: Callable[..., None], *arguments: Any) -> None:
    """Begin an attack again whenever the bus has ended it."""
    while True:
        with suppress(OSError, http.client.HTTPException):
            attack(*arguments)
        gevent.sleep(STEP)


def main() -> None:
    """Attack until ended."""
    host, port, address, tarpits, *files = sys.argv[1:]
    contexts: list[ssl.SSLContext | None] = [None]
    if files:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        contexts.append(context)
    with ExitStack() as stack:
        attacker = Attacker((host, int(port)), address, int(tarpits), stack)
        works = [gevent.spawn(again, attack) for attack in attacker.attacks()]
        works += [gevent.spawn(again, attacker.serve, name, context) for name in POURS for context in contexts]
        gevent.joinall(works)


if __name__ == "__main__":
    main()
