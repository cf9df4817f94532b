"""The options of a registration on the command line: what is typed is what the bus reads."""

import click
import pytest

from eventbus.cli.options import take_options
from eventbus.cli.register import register
from eventbus.core.option_kinds import Boolean
from eventbus.core.option_table import Option
from eventbus.core.options import registration_options
from eventbus.core.ordering import Ordering

TYPED = [one for one in registration_options() if not isinstance(one.kind, Boolean | Ordering)]


def typed(*words: str) -> dict[str, object]:
    """The options of ``eventbus register localhost:8001`` with these words, by name."""
    context = register.make_context("register", [*words, "localhost:8001"])
    return take_options(context.params, registration_options())


@pytest.mark.parametrize("one", TYPED, ids=lambda one: one.name)
def test_what_is_typed_is_what_the_bus_reads(one: Option) -> None:
    """The command gives the client a value of the option's own type, which the client can write as a query."""
    example = one.default if one.example is None else one.example
    texts = [str(text) for text in (example if isinstance(example, list) else [example])]
    value = typed(*(word for text in texts for word in (f"--{one.flag}", text)))[one.name]
    assert value == one.kind.parse(one.parameter, texts)
    written = [str(text) for text in one.kind.query_values(value)]
    assert one.kind.parse(one.parameter, written) == value


@pytest.mark.parametrize(
    ("flag", "text", "reason"),
    [
        (
            "--backoff",
            "5",
            "two numbers from 0.1 to 3600 with a comma between them, the second not below the first, not '5'",
        ),
        ("--backoff", "5,1", "the second not below the first, not '5,1'"),
        ("--rate", "5", "a slash, and a number from 0.1 to 3600, or 0, not '5'"),
        ("--retry-for", "soon", "a number from 1 to 604800, or 0, not 'soon'"),
        ("--dead-to", "orders.*", "without wildcards"),
        ("--path", "hooks", "path must begin with /"),
        ("--topic", "a..b", "none of them empty"),
    ],
)
def test_a_wrong_value_is_a_wrong_command_line(flag: str, text: str, reason: str) -> None:
    """It is refused before the bus is asked, and the error says what would be right."""
    with pytest.raises(click.BadParameter, match="must") as refused:
        typed(flag, text)
    assert reason in refused.value.message


def test_the_help_has_the_values_that_an_option_may_have() -> None:
    """Of options of two numbers, and of those that may be 0, the help says what they may be."""
    lines = register.get_help(click.Context(register)).split()
    helped = " ".join(lines)
    for words in (
        "--rate N/S",
        "--backoff FIRST,LONGEST",
        "--retry-for SECONDS",
        "--max-attempts N",
        "1 to 604800, or 0",
    ):
        assert words in helped
