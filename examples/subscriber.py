"""A subscriber in Python's standard library: prints the body of every event. Usage: ``subscriber.py PORT``."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Subscriber(BaseHTTPRequestHandler):
    """Takes events at ``/event``."""

    protocol_version = "HTTP/1.1"  # keeps the connection open between events

    def do_POST(self) -> None:
        """Print the event, and answer that it has been taken."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print(f"{body.decode(errors='replace')}\n", end="", flush=True)  # at once: other events come at the same time
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing but events."""


ThreadingHTTPServer(("", int(sys.argv[1])), Subscriber).serve_forever()
