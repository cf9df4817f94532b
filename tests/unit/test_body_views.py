"""How a body is shown to people: as JSON, as text, as bytes, whatever it holds."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.web.dashboard.body_views import MAX_HEX, MAX_INDENTED, MAX_TEXT, views_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def bytes_of(shown: str) -> bytes:
    """The bytes that the lines of a view as bytes stand for."""
    return bytes.fromhex("".join(line[10:57] for line in shown.splitlines()))


def test_an_empty_body_is_shown_as_nothing() -> None:
    """Nothing is neither JSON nor bytes."""
    assert views_of(b"") == {"bytes": 0, "json": None, "text": "", "hex": ""}


def test_json_is_laid_out() -> None:
    """JSON is shown with a line for each member, letters of any script as they are."""
    assert views_of('{"a":[1,"Grüße"]}'.encode())["json"] == '{\n  "a": [\n    1,\n    "Grüße"\n  ]\n}'


@given(JSON)
def test_json_is_shown_with_what_it_holds(value: object) -> None:
    """What is shown as JSON means what the body means."""
    shown = views_of(json.dumps(value).encode())["json"]
    assert isinstance(shown, str)
    assert json.loads(shown) == value


@pytest.mark.parametrize(
    "text", ['{"id": 12345678901234567.5}', "1e400", "1e99999999999999999999", '{"a": 1, "a": 2}', "[NaN]", "-Infinity"]
)
def test_json_that_would_mean_something_else_is_shown_as_text(text: str) -> None:
    """A number that would be rounded, a name that is there twice and what RFC 8259 does not know stay as they are."""
    views = views_of(text.encode())
    assert (views["json"], views["text"]) == (None, text)


@pytest.mark.parametrize("body", [b"{", b"order=42", b"{'a': 1}", b"\xef\xbb\xbf{}", b"[" * 100_000, b"1" * 5_000])
def test_what_is_no_json_is_shown_as_text(body: bytes) -> None:
    """Text that is no JSON, or no JSON that could be read, is shown as it is."""
    views = views_of(body)
    assert views["json"] is None
    assert views["text"] == body.decode()[:MAX_TEXT]


@pytest.mark.parametrize(
    "body", [b"\xff", b"abc\xff", b'{"a": 1}\xc3', b'{"a": 1}\xf0\x9f\x98', b"\x80" + b"a" * MAX_TEXT, b"\xed\xa0\x80"]
)
def test_what_is_no_text_is_shown_as_bytes_alone(body: bytes) -> None:
    """A body that is no UTF-8 is not shown as text, nor as JSON, not even the part of it that is."""
    views = views_of(body)
    assert (views["json"], views["text"]) == (None, None)
    assert bytes_of(str(views["hex"])) == body[:MAX_HEX]


@pytest.mark.parametrize("letter", ["é", "東", "😀"])
@pytest.mark.parametrize("before", range(4))
def test_a_long_text_is_cut_between_characters(letter: str, before: int) -> None:
    """Only the beginning of a long text is shown, and ends with a whole character; it is not read as JSON."""
    body = ("x" * before + letter * MAX_TEXT).encode()
    views = views_of(body)
    assert views["bytes"] == len(body)
    assert views["json"] is None
    assert isinstance(views["text"], str)
    assert MAX_TEXT - 4 < len(views["text"].encode()) <= MAX_TEXT
    assert body.startswith(views["text"].encode())


def test_a_long_json_is_shown_as_text() -> None:
    """JSON of more than can be shown whole is not laid out."""
    views = views_of(json.dumps("x" * MAX_TEXT).encode())
    assert views["json"] is None
    assert str(views["text"]).startswith('"xxx')


def test_bytes_are_shown_with_their_place_and_what_can_be_read() -> None:
    """Sixteen bytes stand in a line: the place of the first, each in hexadecimal, and as a character if it is one."""
    assert views_of(b"order 42\x00\xff<b>~\x7f\x80!")["hex"] == (
        "00000000  6f 72 64 65 72 20 34 32 00 ff 3c 62 3e 7e 7f 80  order 42..<b>~..\n"
        "00000010  21                                               !"
    )


@given(st.binary(max_size=200))
def test_every_body_is_shown_as_its_bytes(body: bytes) -> None:
    """Whatever a body is, its bytes can be read from what is shown, in lines that can be printed."""
    shown = str(views_of(body)["hex"])
    assert bytes_of(shown) == body
    assert all(line.isprintable() and line.isascii() for line in shown.splitlines())


@given(st.binary(max_size=200))
def test_text_is_shown_where_the_whole_body_is_text(body: bytes) -> None:
    """A body is shown as text if it is UTF-8 from its first byte to its last, and then as exactly that."""
    text = views_of(body)["text"]
    try:
        assert text == body.decode()
    except UnicodeDecodeError:
        assert text is None


def test_only_the_beginning_is_shown_as_bytes() -> None:
    """Of a long body the first 4,096 bytes are shown, and how many there are."""
    views = views_of(b"\x00" * (MAX_HEX + 1))
    assert (len(bytes_of(str(views["hex"]))), views["bytes"]) == (MAX_HEX, MAX_HEX + 1)


@pytest.mark.parametrize("depth", [10, 400, 900, 5_000])
@pytest.mark.parametrize("inner", ["1,", '{"a":1},'])
def test_json_that_is_nested_deeply_is_not_laid_out_beyond_a_bound(depth: int, inner: str) -> None:
    """What would mostly be spaces, megabytes of them, is shown as text alone."""
    body = f"{'[' * depth}{inner * ((MAX_TEXT - 2 * depth) // len(inner) - 1)}1{']' * depth}".encode()
    found = views_of(body)
    assert found["text"] == body.decode()
    assert len(str(found["json"])) <= MAX_INDENTED + 2 * depth
    assert (found["json"] is None) is (depth > 10)
