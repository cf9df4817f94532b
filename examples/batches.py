"""A subscriber in Python's standard library that takes many events in one request. Usage: ``batches.py PORT``.

Register it with ``batch``: ``eventbus register localhost:PORT --batch 100``.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Event = dict[str, Any]


def handle(event: Event) -> None:
    """Print an event's data. A ValueError says that it never can be handled, anything else that it may be later."""
    if "data" not in event:
        raise ValueError("this is no JSON")
    print(json.dumps(event["data"]), flush=True)


def handle_all(events: list[Event]) -> list[Event]:
    """Handle events in order, and return those that failed; the first one that may be handled later stops the rest."""
    failed = []
    for number, event in enumerate(events):
        try:
            handle(event)
        except ValueError as error:
            failed.append({"id": id_of(event), "reject": str(error)})
        except Exception:  # whatever it is, the bus sends these again
            return failed + [{"id": id_of(each)} for each in events[number:]]
    return failed


def id_of(event: Event) -> str:
    """Return the bus's id, to remove duplicates by, also of a CloudEvent that has one of its own."""
    return str(event.get("eventbusid", event["id"]))


class Subscriber(BaseHTTPRequestHandler):
    """Takes batches at ``/event``."""

    protocol_version = "HTTP/1.1"  # keeps the connection open between requests

    def do_POST(self) -> None:
        """Handle the events, and name those that failed."""
        events = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps({"failed": handle_all(events)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Print nothing but events."""


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(sys.argv[1])), Subscriber).serve_forever()
