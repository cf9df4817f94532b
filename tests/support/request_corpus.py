"""Requests that are none, and odd ones that are: what every reader of the bus refuses, and what it answers."""

from tests.support.raw_client import render_chunks, render_request

#: What would be published if a refused request's rest were read as a request.
SMUGGLED = render_request("POST", "/sendMessage?topic=smuggled", body=b"{}")


def post(*fields: bytes, body: bytes = b"") -> bytes:
    """A publish with these header lines."""
    return b"\r\n".join([b"POST /sendMessage HTTP/1.1", b"Host: bus", *fields, b"", b""]) + body


def sized(length: bytes) -> bytes:
    """A publish that claims to have this length."""
    return post(b"Content-Length: " + length, body=b"hello")


def coded(coding: bytes) -> bytes:
    """A publish in this transfer coding, with a chunk in it."""
    return post(b"Transfer-Encoding: " + coding, body=render_chunks([b"hello"]))


def chunked(body: bytes) -> bytes:
    """A publish in chunks, as these bytes have them."""
    return post(b"Transfer-Encoding: chunked", body=body)


def chunk(size: bytes) -> bytes:
    """A publish with one chunk whose size is written like this."""
    return chunked(size + b"\r\nhello\r\n0\r\n\r\n")


def line(text: bytes) -> bytes:
    """A request with this first line."""
    return text + b"\r\nHost: bus\r\n\r\n"


LENGTHS = [b"", b"-1", b"-0", b"+5", b"0x5", b"5 5", b"5, 5", b"5_0", b"5e0", b"5.0", b"5;", b"five", b"\xb2", b"\xa05",
           b"9" * 30, b"9" * 4_000, b"9" * 5_000]  # fmt: skip
CODINGS = [b"", b"gzip", b"identity", b"chunked, chunked", b"chunked\r\nTransfer-Encoding: chunked", b"xchunked",
           b"gzip, chunked", b"chunked, gzip", b"chunked, identity", b"chunked;q=1", b'"chunked"', b"chunked,",
           b"chunked\x0b", b"chunked\r\nContent-Length: 5"]  # fmt: skip
SIZES = [b"", b"1_0", b"0x5", b" 5", b"\t5", b"5 ", b"-5", b"+5", b"g", b"\xb2", b"5\r", b"0" * 9_000, b"f" * 16,
         b"f" * 200, b"5;", b"5;=", b"5;a\r=b", b"5;a=\"x\ny\"", b"5;\x00", b"5;" + b"a" * 200_000]  # fmt: skip
CHUNKS = [b"5\r\nhello0\r\n\r\n", b"5\r\nhelloXX0\r\n\r\n", b"5\r\nhello!!\r\n0\r\n\r\n", b"5\nhello\n0\n\n",
          b"0\r\nno trailer\r\n\r\n", b"0\r\nX: a\nb\r\n\r\n", b"0\r\nX: a\r\n b\r\n\r\n",
          *(b"0\r\n%s: 7\r\n\r\n" % name for name in (b"Content-Length", b"transfer-encoding", b"Host", b"TE",
                                                  b"Trailer", b"Authorization")),
          b"0\r\nX: " + b"a" * 1_000_000]  # fmt: skip
FIELDS = [b"X: a\r\n b", b"X: a\r\n\tb", b" X: a", b"X : a", b"X\t: a", b"X Y: a", b"X(: a", b"X\x00: a", b"\xff: a",
          b": a", b"no colon", b"X: a\x00b", b"X: a\rb", b"X: a\nb", b"X: \x01", b"X: \x7f", b"Host: other",
          b"Transfer-Encoding : chunked", b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: 5\nX: a",
          b"Content-Length: 0\r\nContent-Length: 0", b"Content-Type: a\r\nContent-Type: b", b"Expect: a miracle",
          b"Expect:", b"Expect: 100-continue, more", b"X: " + b"a" * 9_000, b"X: " + b"a" * 1_000_000,
          b"X" * 10_000 + b": a", b"\r\n".join([b"X: a"] * 1_000)]  # fmt: skip
LINES = [b"GET", b"GET /healthz", b"GET /healthz ", b"GET /healthz HTTP/0.9", b"GET /healthz HTTP/3.1",
         b"GET /healthz HTTP/2.0", b"GET /healthz HTTP/11", b"GET /healthz HTTP/1.", b"GET /healthz http/1.1",
         b"GET /healthz HTTP/1.1 ", b"GET /healthz HTP/1.1", b"GET /healthz more HTTP/1.1", b"GET  /healthz HTTP/1.1",
         b" GET /healthz HTTP/1.1", b"GET\t/healthz\tHTTP/1.1", b"get /healthz HTTP/1.1", b"G\x00T / HTTP/1.1",
         b"GE(T / HTTP/1.1", b"\xff\xff\xff / HTTP/1.1", b"X / HTTP/1.1", b"A" * 30 + b" / HTTP/1.1",
         b"GET /\xff HTTP/1.1", b"GET /a\x00b HTTP/1.1", b"GET /a\rb HTTP/1.1", b"GET /a\nb HTTP/1.1",
         b"GET * HTTP/1.1", b"GET healthz HTTP/1.1", b"GET bus:80 HTTP/1.1", b"GET http://[::1/ HTTP/1.1",
         b"CONNECT bus:80 HTTP/1.1", b"CONNECT /sendMessage HTTP/1.1", b"GET /" + b"a" * 10_000 + b" HTTP/1.1",
         b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1", b"PRI * HTTP/2.0",
         b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]  # fmt: skip
HOSTS = [b"a b", b"a/b", b"a@b", b"a:b", b"a:80:90", b"a,b", b"[::1", b"::1", b"a#b", b"a?b", b"a%zz", b'a"b', b"<a>",
         b"http://a", b"caf\xc3\xa9", b"a\\b"]  # fmt: skip
BAD = {
    **{f"host {host!r}": b"GET /healthz HTTP/1.1\r\nHost: " + host + b"\r\n\r\n" for host in HOSTS},
    **{f"length {length[:20]!r} of {len(length)}": sized(length) for length in LENGTHS},
    **{f"coding {coding[:30]!r}": coded(coding) for coding in CODINGS},
    **{f"chunk size {size[:20]!r} of {len(size)}": chunk(size) for size in SIZES},
    **{f"chunks {body[:30]!r}": chunked(body) for body in CHUNKS},
    **{f"field {field[:40]!r} of {len(field)}": post(field) for field in FIELDS},
    **{f"line {text[:40]!r} of {len(text)}": line(text) for text in LINES},
    "chunks in HTTP/1.0": coded(b"chunked").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a length and chunks": post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "lines that end in LF": b"GET /healthz HTTP/1.1\nHost: bus\n\n",
    "a last line that ends in LF": b"GET /healthz HTTP/1.1\r\nHost: bus\n\r\n",
    "many empty lines": b"\r\n\r\n\r\n" + line(b"GET /healthz HTTP/1.1"),
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
}  # fmt: skip
#: Requests that are HTTP, however odd, and their status: the connection goes on after them.
ODD = {
    "a chunk's extension": (chunk(b"5;a=b"), 200),
    "space before a chunk's extension": (chunk(b'5 ; a = "b;c"'), 200),
    "a chunk's size with zeros": (chunk(b"0005"), 200),
    "a trailer": (chunked(b"5\r\nhello\r\n0\r\nX: a\r\n\r\n"), 200),
    "chunked in upper case": (coded(b"CHUNKED"), 200),
    "a length with a zero": (sized(b"05"), 200),
    "an offer of HTTP/2": (post(b"Connection: Upgrade", b"Upgrade: h2c"), 200),
    "an empty line before it": (b"\r\n" + line(b"GET /healthz HTTP/1.1"), 200),
    "two empty lines before it": (b"\r\n\r\n" + line(b"GET /healthz HTTP/1.1"), 200),
    "a name of odd characters": (post(b"!#$%&'*+-.^`|~9: a"), 200),
    "a name that a proxy may take for another": (post(b"Transfer_Encoding: chunked", b"Content_Length: 9"), 200),
    "names in any case": (post(b"cOnTeNt-LeNgTh: 2", b"CONTENT-TYPE: text/plain", body=b"{}"), 200),
    "a value beyond ASCII": (post(b"X: caf\xc3\xa9 \xff"), 200),
    "tabs and spaces around a value": (post(b"Content-Length: \t 2 \t", body=b"{}"), 200),
    "an empty value": (post(b"X:", b"Y: \t"), 200),
    "a header that is given twice": (post(b"X: a", b"X: b"), 200),
    "a length of nothing": (sized(b"0")[:-5], 200),
    "a hundred headers": (post(*(b"X%d: a" % number for number in range(99))), 200),
    "a head of 6 KiB": (post(b"X: " + b"a" * 6_000), 200),
    "HTTP/1.0 that goes on": (line(b"GET /healthz HTTP/1.0\r\nConnection: Keep-Alive"), 200),
    "HTTP/1.0 with a body": (
        post(b"Connection: keep-alive", b"Content-Length: 2", body=b"{}").replace(b"HTTP/1.1", b"HTTP/1.0"),
        200,
    ),
    "no host to name": (line(b"GET /healthz HTTP/1.1").replace(b" bus", b""), 200),
    "a host with a port": (line(b"GET /healthz HTTP/1.1").replace(b"bus", b"[::1]:80"), 200),
    "a host of a container": (line(b"GET /healthz HTTP/1.1").replace(b"bus", b"my_bus-1.x:3000"), 200),
    "an absolute form": (line(b"GET http://elsewhere/healthz HTTP/1.1"), 200),
    "a scheme without a name": (line(b"GET ://elsewhere HTTP/1.1"), 404),
    "an asterisk": (line(b"OPTIONS * HTTP/1.1"), 404),
    "a NUL in the path": (line(b"GET /%00 HTTP/1.1"), 404),
    "a NUL behind a path": (line(b"GET /healthz%00 HTTP/1.1"), 404),
    "a broken escape in the path": (line(b"GET /%zz HTTP/1.1"), 404),
    "half an escape": (line(b"GET /%f HTTP/1.1"), 404),
    "no escape at all": (line(b"GET /% HTTP/1.1"), 404),
    "a path that is no UTF-8": (line(b"GET /%ff%fe HTTP/1.1"), 404),
    "a line break in an id": (line(b"GET /events/%0d%0aX:%20y HTTP/1.1"), 404),
    "an id that is no UTF-8": (line(b"GET /events/%ff HTTP/1.1"), 404),
    "a way out": (line(b"GET /../../etc/passwd HTTP/1.1"), 404),
    "two slashes": (line(b"GET //elsewhere/healthz HTTP/1.1"), 404),
    "a fragment": (line(b"GET /nowhere#healthz HTTP/1.1"), 404),
    "a method of strange characters": (line(b"!$%&'*+-.^_`|~ /nowhere HTTP/1.1"), 404),
    "a method nobody knows": (line(b"BREW /events HTTP/1.1"), 405),
}
