"""Whatever a subscriber does to an attempt, it harms nobody but itself."""

from collections.abc import Iterator

import pytest

from tests.support.authority import LOCAL, OPENSSL, Authority
from tests.support.deadline import eventually
from tests.support.hostile_behaviours import ALL, DELIVERED, NO_ANSWER, Meaning
from tests.support.isolation import LONG, TIMEOUT, IsolationRun, isolation_run, open_files
from tests.support.repair import RepairClient
from tests.support.server import BusServer

#: Seconds that an attempt may last beyond its timeout, and more of them for a busy machine.
LATE = 0.2 + 0.3
#: Seconds that a request may have been under way before the subscriber's clock began.
ON_ITS_WAY = 0.15
#: Bytes that the worker may need for an attempt, and for the first one of its kind.
MIB = 1_048_576
FIRST = 8 * MIB
#: Deliveries under way at once, over all subscribers: so few that one that was lost would soon be missed.
GREENLETS = 4


#: What is done over TLS as well: whatever reaches the limits. The rest is a matter of what the answer says.
BY_HTTPS = ["hangs in the head", "drips the body", *NO_ANSWER, *DELIVERED]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority | None:
    """Vouches for those who speak TLS."""
    return Authority(tmp_path_factory.mktemp("authority")) if OPENSSL else None


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory, authority: Authority | None) -> Iterator[BusServer]:
    """A bus with next to no greenlets."""
    settings = {"EVENTBUS_MAX_IN_FLIGHT": str(GREENLETS)}
    if authority is not None:
        settings["EVENTBUS_CA_FILE"] = str(authority.ca_file)
    with BusServer(tmp_path_factory.mktemp("bus"), settings) as server:
        yield server


@pytest.fixture(scope="module", params=[*ALL, *(f"https: {name}" for name in BY_HTTPS)])
def run(bus: BusServer, authority: Authority | None, request: pytest.FixtureRequest) -> Iterator[IsolationRun]:
    """Each hostile behaviour in turn, after some attempts."""
    name, tls = request.param.removeprefix("https: "), None
    if name != request.param:
        if authority is None:
            pytest.skip("there is no openssl here to make a certificate")
        tls = authority.server(*LOCAL)
    with isolation_run(bus, ALL[name], tls) as found:
        found.make_attempts()
        yield found


def test_an_attempt_ends_in_time(run: IsolationRun) -> None:
    """An attempt ends with the answer or with its timeout, and one that waits for an answer not before that."""
    for _, attempt in run.rounds:
        lasted = (attempt.ended or 0) - attempt.began
        assert lasted < TIMEOUT + LATE
        assert lasted > TIMEOUT - ON_ITS_WAY or not run.behaviour.patient


def test_a_connection_is_closed_whose_answer_was_not_sound(run: IsolationRun) -> None:
    """The bus closes each connection but one whose answer was sound, which it uses again."""
    if run.behaviour.sound:
        assert run.hostile.connections <= len(run.hostile.attempts)
    assert [attempt.cut for _, attempt in run.rounds] == [not run.behaviour.sound] * len(run.rounds)


def test_no_socket_stays_open(run: IsolationRun) -> None:
    """After any number of attempts the bus has no more sockets open than it may use again."""
    to_it = run.hostile.connections if run.behaviour.sound else 1
    few = run.files + run.healthy.connections + to_it
    eventually(lambda: open_files(run.bus.worker_pid) <= few, LONG, f"more than {few} were open")


def test_the_next_event_is_attempted_again(run: IsolationRun) -> None:
    """After a keep-alive the next event is attempted; after a pause, when the subscriber registers anew."""
    before = len(run.rounds)
    run.again()
    assert len(run.rounds) == before + 1


def test_its_standing_tells_what_came_of_it(run: IsolationRun) -> None:
    """State and account are what the protocol's table says, and the last error says what was wrong."""
    expected = run.behaviour.meaning.status(len(run.baits))
    eventually(run.stands(**expected), LONG, f"it was not {expected}, but {run.status()}")
    error = run.status()["last_error"]
    assert run.behaviour.error in (error or ""), error
    assert (error is None) == (run.behaviour.meaning is Meaning.DELIVERED)


def test_each_failed_attempt_is_counted(run: IsolationRun) -> None:
    """As many attempts have failed as the subscriber has seen, but for those that were delivered."""

    def counted() -> bool:
        found = run.status()
        return found["failed_attempts"] == len(run.hostile.attempts) - found["delivered"]

    eventually(counted, LONG, f"{len(run.hostile.attempts)} attempts, but {run.status()}")


def test_only_what_it_rejects_is_dead(run: IsolationRun) -> None:
    """Each event that was answered with a redirect is a dead letter after one attempt, and nothing else is."""
    rejected = run.baits if run.behaviour.meaning is Meaning.REJECTED else []
    letters = RepairClient(run.bus.port).dead_letters(address=run.hostile.address)
    assert [(letter["event"], letter["reason"], letter["attempts"]) for letter in letters] == [
        (event, "rejected", 1) for event in rejected
    ]
    assert all(run.behaviour.error == letter["last_error"] for letter in letters)


def test_an_attempt_takes_next_to_no_memory(run: IsolationRun) -> None:
    """The most memory that the worker ever held rises by no more than a MiB for each attempt."""
    memory = run.memory
    assert memory.first - memory.before < FIRST
    assert memory.last - memory.first <= (len(run.rounds) - 1) * MIB


def test_a_healthy_subscriber_gets_everything_meanwhile(run: IsolationRun) -> None:
    """A subscriber beside it gets each event once, while an attempt at the hostile one lasts."""
    assert all(run.healthy.counts[event] == 1 for event in run.baits + run.calm)
    if run.behaviour.patient:
        eventually(run.served_meanwhile, LONG, "it always waited for the end of an attempt")
    found = run.caller.subscriber(run.healthy.address)
    assert (found["state"], found["failed_attempts"], found["dead"]) == ("ok", 0, 0)
