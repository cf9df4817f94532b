"""Answers that are nothing, or nearly something: each is read in bounded time and memory, or is no answer."""

import os
import random
import ssl
import time
from collections.abc import Iterator
from random import Random

import gevent
import pytest
from gevent.pool import Pool
from hypothesis import example, given
from hypothesis import strategies as st

from eventbus.core.addresses import parse_address
from eventbus.core.model import Options, Subscriber
from eventbus.core.networks import NetworkRules
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.transport import Dialer, SessionTransport
from eventbus.delivery.transport.client_tls import ClientTls
from eventbus.delivery.transport.limits import EXCERPT_BYTES, MAX_HEAD_BYTES, MAX_INTERIM_RESPONSES, MAX_RESPONSE_BYTES
from eventbus.delivery.transport.response_reader import InvalidResponse, ResponseReader
from tests.support.authority import Authority
from tests.support.events import event
from tests.support.mutated_responses import PIECES, SOUND, mutated
from tests.support.raw_server import Peer, RawServer

#: Seconds that an attempt has, and how much later it may end on a busy machine.
TIMEOUT, LATE = 0.4, 0.5
WALL = 1_795_000_000.75
#: Bent answers by each scheme, and attempts that are made at once.
ANSWERS, AT_ONCE = 400, 40
#: Bytes that a reader may have in hand when it gives up: what it may keep, and what comes at once.
MOST = MAX_RESPONSE_BYTES + MAX_HEAD_BYTES
#: Seconds of a processor that an answer of that size may cost in pieces of one byte, many times what it does.
MOST_CPU = 3.0
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
COOKIE = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Max-Age\r\nContent-Length: 0\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\n"
MUTATED = st.integers(0, 2**32).map(lambda seed: mutated(Random(seed)))  # noqa: S311 - bends answers
ANYTHING = st.one_of(
    MUTATED, st.binary(max_size=200), st.lists(st.sampled_from([*SOUND, *PIECES]), max_size=12).map(b"".join)
)
#: None where it is no answer.
Verdict = DeliveryResponse | None


def read(pieces: Iterator[bytes]) -> Verdict:
    """Read these pieces and the end of the connection; it may raise InvalidResponse and nothing else."""
    reader = ResponseReader()
    try:
        if not any(reader.feed(piece) for piece in pieces if piece):
            reader.end()
    except InvalidResponse:
        return None
    answer = reader.response()
    assert 200 <= (answer.status or 0) <= 999
    assert len(answer.excerpt) <= EXCERPT_BYTES
    return answer


def split(data: bytes, places: list[int]) -> Iterator[bytes]:
    """The data cut at these places."""
    cuts = sorted({place % (len(data) + 1) for place in places})
    return (data[first:last] for first, last in zip([0, *cuts], [*cuts, len(data)], strict=True))


@given(ANYTHING, st.lists(st.integers(0, 2_000), max_size=8))
@example(CONTINUE * (MAX_INTERIM_RESPONSES + 1) + SOUND[0], [30])
@example(b"HTTP/1.0 000\r\n*:\r\n\r\n", [])
@example(HEAD + b"A: %s\r\n\r\n" % (b"b" * MAX_HEAD_BYTES), [MAX_HEAD_BYTES + 10])
def test_an_answer_means_the_same_in_whatever_pieces_it_comes(data: bytes, places: list[int]) -> None:
    """Whole, in any pieces, and byte by byte, the same bytes are the same answer, or none."""
    whole = read(iter([data]))
    assert read(split(data, places)) == whole
    assert read(data[at : at + 1] for at in range(len(data))) == whole


@given(ANYTHING, ANYTHING)
def test_a_reader_that_may_be_used_again_reads_the_next_answer_as_a_new_one_would(first: bytes, data: bytes) -> None:
    """After an answer that left its connection fit for another, the next one is read as if it were the first."""
    reader = ResponseReader()
    try:
        fit = reader.feed(first) and reader.reusable
    except InvalidResponse:
        return
    if not fit:
        return
    reader.start_response()
    again: Verdict = None
    try:
        if not reader.feed(data):
            reader.end()
        again = reader.response()
    except InvalidResponse:
        pass
    assert again == read(iter([data]))


#: What a subscriber may send without an end: what comes first, and what comes over and over.
ENDLESS = {
    "nothing that is HTTP": (b"", b"x" * 100),
    "empty lines": (b"", b"\r\n"),
    "status": (b"HTTP/1.1 200 ", b"OK"),
    "headers": (HEAD, b"A: b\r\n"),
    "one header": (HEAD + b"A: ", b"b" * 100),
    "one name": (HEAD, b"A" * 100),
    "interim answers": (b"", CONTINUE),
    "interim answers with headers": (b"", b"HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n"),
    "a body with a length": (HEAD + b"Content-Length: 9999999999\r\n\r\n", b"x" * 1_000),
    "a body without one": (HEAD + b"\r\n", b"x" * 1_000),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"3e8\r\n" + b"x" * 1_000 + b"\r\n"),
    "small chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "a chunk's extension": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 100),
    "trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
}


@pytest.mark.parametrize("kind", ENDLESS)
@pytest.mark.parametrize("size", [1, 100, 4_096, 65_536])
def test_nothing_without_an_end_is_read_for_long(kind: str, size: int) -> None:
    """Whatever a subscriber sends without an end, in small pieces or large, is given up after a bounded part of it.

    What reading costs does not grow with the square of it.
    """
    first, again = ENDLESS[kind]
    data = first + again * (2 * (MOST + 65_536) // len(again))
    reader, fed, began = ResponseReader(), 0, time.process_time()
    try:
        for at in range(0, len(data), size):
            assert time.process_time() - began < MOST_CPU, f"{fed} bytes took {MOST_CPU:g} s"
            fed += size
            if reader.feed(data[at : at + size]):
                assert not reader.reusable
                break
    except InvalidResponse:
        pass
    assert fed <= MOST + size


@pytest.fixture
def rng() -> Random:
    """What bends answers; a failure can be repeated with TEST_SEED."""
    seed = int(os.environ.get("TEST_SEED") or random.randrange(2**32))  # noqa: S311 - bends answers
    print(f"TEST_SEED={seed}")  # noqa: T201 - so that a failure can be repeated
    return Random(seed)  # noqa: S311 - bends answers


class Bender(RawServer):
    """A subscriber that gives each event the answer that is meant for it, in random pieces, and closes or does not."""

    def __init__(self, answers: list[bytes], rng: Random, tls: ssl.SSLContext | None) -> None:
        super().__init__(self._bend, tls=tls)
        self._answers, self._dice = answers, rng

    def _bend(self, peer: Peer) -> None:
        while (received := peer.request()) is not None:
            data = self._answers[int(received.id.removeprefix("id-"))]
            for piece in split(data, [self._dice.randrange(2_000) for _ in range(self._dice.randrange(4))]):
                peer.send(piece)
                gevent.sleep(0)
            if self._dice.random() < 0.5:
                return


def test_no_bent_answer_gets_the_transport_out_of_its_bounds(
    tls: ssl.SSLContext | None, authority: Authority, rng: Random
) -> None:
    """Attempts that are answered with nearly sound answers end in time, each with a status or a reason, none raising.

    After all of them the same route takes a sound answer.
    """
    answers = [COOKIE, *(mutated(rng) for _ in range(ANSWERS - 1)), SOUND[0]]
    transport = SessionTransport(Dialer(NetworkRules()), tls=ClientTls(authority.client))
    with Bender(answers, rng, tls) as server:
        route = transport.route(Subscriber(parse_address(server.address), Options(timeout=TIMEOUT)))

        def attempt(number: int) -> tuple[DeliveryResponse, float]:
            began = time.monotonic()
            return route.post(event(number), 1, began, WALL), time.monotonic() - began

        results = Pool(AT_ONCE).map(attempt, range(ANSWERS))
        assert sum(said.status is not None for said, _ in results) > ANSWERS // 4
        for data, (said, took) in zip(answers, results, strict=False):
            assert (said.status is None) == bool(said.error), (data, said)
            assert said.status is None or 100 <= said.status <= 999, (data, said)
            assert len(said.excerpt) <= EXCERPT_BYTES, (data, said)
            assert took < TIMEOUT + LATE, (data, said)
        assert attempt(ANSWERS)[0].status == 200
    transport.close()
