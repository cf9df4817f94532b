"""HTTP answers that are nearly right: sound ones, bent at random."""

from random import Random

#: Sound answers in all their forms.
SOUND = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 204 None\r\n\r\n",
    b"HTTP/1.1 500 Oh\r\nContent-Length: 5\r\nRetry-After: 7\r\n\r\nhello",
    b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nRetry-After: 9\r\n\r\n",
    b"HTTP/1.1 500 Oh\r\n\r\nhello",
    b"HTTP/1.0 404 No\r\nContent-Type: text/html; charset=x\r\nSet-Cookie: a=b; Path=/; Max-Age=z\r\n\r\n<p>",
    b"HTTP/1.1 410 Gone\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 429 No\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
    b"HTTP/1.1 302 Go\r\nLocation: http://x\r\nContent-Length: 2\r\nContent-Encoding: gzip\r\n\r\nno",
)
#: What has broken readers of answers.
PIECES = (
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b";", b"\xff", b"\r\n\r\n", b"\r\n folded\r\n", b"0\r\n\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: 6\r\n", b"Content-Length: -1\r\n", b"Content-Length: +5\r\n",
    b"Content-Length: 5, 5\r\n", b"Content-Length: 99999999999999999999\r\n", b"Content-Length:\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: identity\r\n",
    b"Connection: upgrade\r\nUpgrade: h2c\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    b"7fffffffffffffff", b"HTTP/0.9 200 OK\r\n\r\n", b"ICY 200 OK\r\n\r\n", b"Retry-After: \xe9\r\n",
    b"Set-Cookie: \xff=; ;=\r\n", b"HTTP/2 200\r\n\r\n", b"X" * 300,
)  # fmt: skip


def mutated(rng: Random) -> bytes:
    """A sound answer after a few changes, or none."""
    data = rng.choice(SOUND)
    for _ in range(rng.randrange(5)):
        data = rng.choice((_insert, _cut, _flip, _repeat, _end, _append))(data, rng)
    return data


def _spot(data: bytes, rng: Random) -> int:
    return rng.randrange(len(data) + 1)


def _insert(data: bytes, rng: Random) -> bytes:
    """Put a piece anywhere, or where a header may stand."""
    lines = [at + 2 for at in range(len(data)) if data.startswith(b"\r\n", at)]
    spot = rng.choice(lines) if lines and rng.random() < 0.6 else _spot(data, rng)
    return data[:spot] + rng.choice(PIECES) + data[spot:]


def _cut(data: bytes, rng: Random) -> bytes:
    spot = _spot(data, rng)
    return data[:spot] + data[spot + rng.randrange(1, 12) :]


def _flip(data: bytes, rng: Random) -> bytes:
    spot = _spot(data, rng)
    return data[:spot] + bytes([rng.randrange(256)]) + data[spot + 1 :]


def _repeat(data: bytes, rng: Random) -> bytes:
    first, last = sorted((_spot(data, rng), _spot(data, rng)))
    return data[:last] + data[first:last] * rng.randrange(1, 4) + data[last:]


def _end(data: bytes, rng: Random) -> bytes:
    return data[: _spot(data, rng)]


def _append(data: bytes, rng: Random) -> bytes:
    return data + rng.choice(SOUND)
