"""What a client may put into a parameter or a header to break something, and where it may put it."""

from urllib.parse import quote

from eventbus.core.options import registration_options
from tests.support.ports import LOOPBACK

#: Nobody listens there.
SPARE = f"{LOOPBACK}:9"

#: A line that would look like the log's own, if it ever stood at the beginning of one.
FORGED = "2026-11-24T06:03:29Z ERROR eventbus.services.bus forged"

#: Query values as they stand in a request line.
QUERY_VALUES = {
    "nothing": "",
    "CR and LF": quote(f"a\r\n{FORGED}\r\nX: y"),
    "NUL": "%00",
    "a NUL within": "a%00b",
    "no UTF-8": "%ff%fe%80",
    "half a surrogate": "%ed%a0%80",
    "a separator of lines": quote("\u2028\u0085\x1b[2J\u202e"),
    "digits of others": quote("٣٣"),
    "a number of 4,000 digits": "9" * 3_900,
    "not a number": "nan",
    "infinity": "1e999",
    "less than nothing": "-1",
    "a fraction of much": "0." + "0" * 3_000 + "1",
    "the first moment": quote("0001-01-01T00:00:00+23:59"),
    "the last moment": quote("9999-12-31T23:59:59-23:59"),
    "a day that is none": quote("2026-02-30T00:00:00Z"),
    "the last id": "ffffffff-ffff-7fff-bfff-ffffffffffff",
    "SQL": quote("' OR 1=1; --").replace("%3B", "%3b"),
    "a format": quote("%s%n{0}${jndi:x}"),
    "wildcards": ".".join("*" * 120) + ".>",
    "many words": ".".join("a" * 1_900),
    "1 MB": "a" * 1_000_000,
}

#: Header values, each character a byte.
HEADER_VALUES = {
    "nothing": "",
    "CR": f"a\r{FORGED}",
    "LF": f"a\n{FORGED}",
    "CR and LF": f"a\r\n{FORGED}",
    "NUL": "a\x00b",
    "a control": "\x1b[2J",
    "no UTF-8": "\xff\xfe\x80",
    "Latin-1": "\xe4\xf6\x85\xa0",
    "tabs": "a\t\tb",
    "SQL": "' OR 1=1; --",
    "a format": "%s%n{0}${jndi:x}",
    "commas": "," * 4_000,
    "semicolons": "application/json;q=" * 200,
    "an odd weight": "application/json;q=nan, text/plain;q=1e999, */*;q=-1",
    "8,000 characters": "a" * 8_000,
    "1 MB": "a" * 1_000_000,
}

#: JSON that is a burden or says two things, as an event's data.
JSON_BOMBS = {
    "brackets": b"[" * 100_000 + b"]" * 100_000,
    "braces": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a huge integer": b"7" * 100_000,
    "a name twice": b'{"a":1,"a":2}',
    "a name twice in two spellings": rb'{"a":1,"\u0061":2}',
}

#: Every parameter that a route reads, on a request that is sound without it.
PARAMETERS = [
    *(("POST", f"/registerAndKeepAlive?address={SPARE}", one.parameter) for one in registration_options()),
    ("POST", "/registerAndKeepAlive?", "address"),
    ("DELETE", "/deregister?", "address"),
    ("POST", "/sendMessage?", "topic"),
    ("POST", "/sendMessage?", "batch"),
    *(("GET", "/events?", name) for name in ("after", "topic", "limit", "wait")),
    *(("GET", "/deadLetters?", name) for name in ("address", "after", "limit")),
    *(("POST", "/deadLetters/replay?", name) for name in ("address", "id", "all")),
    *(("DELETE", "/deadLetters?", name) for name in ("address", "id", "all")),
    ("POST", "/replay?from=earliest", "address"),
    ("POST", f"/replay?address={SPARE}", "from"),
    ("POST", f"/replay?address={SPARE}&from=earliest", "to"),
]

#: Every header that is kept with an event, or read, on a route that does so.
HEADERS = [
    *(
        ("POST", "/sendMessage", name)
        for name in (
            "ce-id",
            "ce-type",
            "ce-x",
            "Content-Type",
            "Content-Encoding",
            "traceparent",
            "tracestate",
            "Idempotency-Key",
            "Accept",
            "Authorization",
        )
    ),
    ("GET", "/events?limit=1", "Last-Event-ID"),
    ("GET", "/events?limit=1", "Accept"),
    ("GET", "/listSubscribers", "Accept"),
    ("DELETE", "/deadLetters?id=1", "Authorization"),
]
