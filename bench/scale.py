"""What ten thousand subscribers cost: a publish, a keep-alive, the list, and rest.

    python -m bench.scale [--subscribers N]

They choose narrow topics and listen nowhere; what is published goes to one of them, or to none.
"""

import argparse
import http.client
import json
import tempfile
import time

from bench.run import PORT, bus, cpu_seconds


def call(connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b"") -> bytes:
    """One request on a kept connection."""
    connection.request(method, path, body)
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{method} {path}: {answer.status} {said!r}")
    return said


def per_call(pid: int, times: int, method: str, path: str) -> float:
    """Processor microseconds of the bus for one of many equal requests."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    before = cpu_seconds(pid)
    for number in range(times):
        call(connection, method, path.format(number=number), b"x" * 1_024 if "send" in path else b"")
    spent = cpu_seconds(pid) - before
    connection.close()
    return spent / times * 1e6


def at_rest(pid: int, seconds: float) -> float:
    """Part of a core that the bus takes while nothing happens, in percent."""
    before = cpu_seconds(pid)
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / seconds * 100


def measure(subscribers: int) -> dict[str, float]:
    """All figures with so many subscribers."""
    with tempfile.TemporaryDirectory() as folder, bus(folder) as pid:
        register = "/registerAndKeepAlive?address=127.0.0.1:{number}&topic=t.{number}&lease=3600"
        first = per_call(pid, subscribers, "POST", register.replace("127.0.0.1:{number}", "sub-{number}.invalid"))
        renewal = register.replace("127.0.0.1:{number}", "sub-{number}.invalid")
        return {
            "subscribers": subscribers,
            "registration us": first,
            "publish us": per_call(pid, 2_000, "POST", "/sendMessage?topic=other"),
            "keep-alive us": per_call(pid, min(subscribers, 2_000), "POST", renewal),
            "list ms": per_call(pid, 5, "GET", "/listSubscribers") / 1e3,
            "at rest %": at_rest(pid, 5),
        }


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--subscribers", type=int, default=10_000)
    for count in (10, ask.parse_args().subscribers):
        print(json.dumps({name: round(value, 2) for name, value in measure(count).items()}), flush=True)
