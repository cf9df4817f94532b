import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.cli.escape import escape, escape_json, escape_lines
from eventbus.cli.plain_renderer import table_lines
from eventbus.cli.renderer import Column, Table

#: Text of everything, with control characters in much of it.
TEXT = st.text(st.one_of(st.characters(), st.sampled_from("\x1b\x07\x7f\x9b\r\n\t\u202e\u2066\u2028\u200d\ud800")))


def has_control(text: str, allowed: str = "") -> bool:
    """Whether something in a text is not for the eye; joiners hold words and emoji together."""
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return any(unicodedata.category(char) in kinds and char not in f"\u200c\u200d{allowed}" for char in text)


@given(TEXT)
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    """Whatever comes from the bus, only what is seen is printed."""
    assert not has_control(escape(text))
    assert not has_control(escape_lines(text), "\n\t")
    assert not has_control(escape_json(json.dumps(text, ensure_ascii=False)))


@given(TEXT)
def test_json_that_was_made_safe_says_the_same(text: str) -> None:
    """Escapes mean the characters that they replace."""
    assert json.loads(escape_json(json.dumps([text], ensure_ascii=False, indent=1))) == [text]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\u202eevil", r"\u202eevil"),
        ("\U000e0041", r"\U000e0041"),
        ("grüße 👩\u200d🚀", "grüße 👩\u200d🚀"),
    ],
)
def test_control_characters_are_escaped(text: str, escaped: str) -> None:
    """Words, accents and emoji stay as they are."""
    assert escape(text) == escaped


def test_lines_of_a_text_stay_lines() -> None:
    """A carriage return alone would hide what is before it."""
    assert escape_lines("a\r\nb\rc\td\n") == "a\nb\\rc\td\n"


def test_columns_stand_below_each_other() -> None:
    """As wide as their widest cell on a terminal; numbers are aligned right."""
    made = Table.of([Column("name"), Column("n", number=True)], [("日本", 5), ("e\u0301\x1b", 1_000), (None, None)])
    assert table_lines(made) == ["name      n", "日本      5", "e\u0301\\x1b  1000", ""]
