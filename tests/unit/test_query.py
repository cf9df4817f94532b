import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.errors import BadQuery
from eventbus.web.query import parse_query

#: Queries, and what Go's url.ParseQuery makes of them.
PARSED: list[tuple[str, dict[str, list[str]]]] = [
    ("", {}),
    ("a=1", {"a": ["1"]}),
    ("a=1&b=2&a=3", {"a": ["1", "3"], "b": ["2"]}),
    ("a", {"a": [""]}),
    ("a=", {"a": [""]}),
    ("=1", {"": ["1"]}),
    ("=", {"": [""]}),
    ("&&a=1&", {"a": ["1"]}),
    ("a=b=c", {"a": ["b=c"]}),
    ("a=1+2%2B3", {"a": ["1 2+3"]}),
    ("a+b=1", {"a b": ["1"]}),
    ("%61=%31", {"a": ["1"]}),
    ("a=%26%3D%3B", {"a": ["&=;"]}),
    ("a=%e6%9d%B1", {"a": ["東"]}),
    ("a=\xe6\x9d\xb1", {"a": ["東"]}),
    ("a=%00%0d%0A", {"a": ["\x00\r\n"]}),
    ("a=%ff", {"a": ["\ufffd"]}),
    ("a=http://h:80/p?x", {"a": ["http://h:80/p?x"]}),
    ("a=[::1]:80", {"a": ["[::1]:80"]}),
    ("A=1", {"A": ["1"]}),
]
SEMICOLON = "invalid semicolon separator in query"
#: Queries that are refused, and Go's words for it.
REFUSED = [
    ("a=%zz", 'invalid URL escape "%zz"'),
    ("a=%2", 'invalid URL escape "%2"'),
    ("a=%", 'invalid URL escape "%"'),
    ("a=%2&b=1", 'invalid URL escape "%2"'),
    ("%zz=1", 'invalid URL escape "%zz"'),
    ("%yy=%zz", 'invalid URL escape "%yy"'),
    ("a=%yy&b=%zz", 'invalid URL escape "%yy"'),
    ("a=%41%4g", 'invalid URL escape "%4g"'),
    ("a=%%41", 'invalid URL escape "%%4"'),
    ("a=% 41", 'invalid URL escape "% 4"'),
    ('a=%"\\', 'invalid URL escape "%\\"\\\\"'),
    ("a=%\n\t", 'invalid URL escape "%\\n\\t"'),
    ("a=%\x00\x7f", 'invalid URL escape "%\\x00\\x7f"'),
    ("a=%\xff1", 'invalid URL escape "%\\xff1"'),
    ("a=%\xc3\xa9", 'invalid URL escape "%é"'),
    ("a=%\xe2\x80\xa8", 'invalid URL escape "%\\xe2\\x80"'),
    ("a=%\xc2\x85", 'invalid URL escape "%\\u0085"'),
    ("a;b", SEMICOLON),
    (";", SEMICOLON),
    ("a=1;b=2", SEMICOLON),
    ("a=1&b=2;", SEMICOLON),
    ("a=%zz&b;", SEMICOLON),
    ("b;&a=%zz", SEMICOLON),
    ("a=%zz;", SEMICOLON),
]


@pytest.mark.parametrize(("raw", "values"), PARSED)
def test_a_query_is_read_as_go_reads_it(raw: str, values: dict[str, list[str]]) -> None:
    """A query is pairs between ampersands, unescaped, with all values of a key in their order."""
    query = parse_query(raw)
    assert query.values == values
    assert all(query.first(key) == found[0] and query.all(key) == found for key, found in values.items())


@pytest.mark.parametrize(("raw", "words"), REFUSED)
def test_a_broken_query_is_refused_in_gos_words(raw: str, words: str) -> None:
    """A broken escape or a semicolon is refused with the words of Go's net/url, and nothing is read from the rest."""
    with pytest.raises(BadQuery) as refusal:
        parse_query(raw)
    assert str(refusal.value) == words


def test_a_key_that_is_missing_has_no_value() -> None:
    """A key that is missing is told from one that is empty."""
    query = parse_query("a")
    assert (query.first("a"), query.all("a")) == ("", [""])
    assert (query.first("b"), query.all("b")) == (None, None)


def escaped(text: str) -> str:
    """Every byte escaped."""
    return "".join(f"%{byte:02x}" for byte in text.encode())


@given(st.lists(st.tuples(st.text(), st.text()), max_size=6))
def test_whatever_is_escaped_comes_back(pairs: list[tuple[str, str]]) -> None:
    """Any keys and values that were escaped are read back as they were."""
    raw = "&".join(f"{escaped(key)}={escaped(value)}" for key, value in pairs)
    expected: dict[str, list[str]] = {}
    for key, value in pairs:
        expected.setdefault(key, []).append(value)
    assert parse_query(raw).values == expected
