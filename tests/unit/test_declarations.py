"""Files of declared subscribers: what they say, and what is wrong in them, with its place."""

import pytest

from eventbus.core.declarations import Declaration, parse_declarations
from eventbus.core.filter_option import FilterExpression
from eventbus.core.model import Options, Terms
from eventbus.core.toml_tables import MAX_FILE_BYTES

WHOLE = """
# what the shop's hooks get
[[subscriber]]
address = "billing.internal:8080"
path = "/hooks/orders?source=bus"
topics = ["orders.*", "refunds.>"]
max_in_flight = 4
timeout = 2.5
ordered = "key"
retry_for = 3600
backoff = [0.5, 30]

  [[ subscriber ]]
  "address" = 'HTTPS://Mail.example/api/'
  group = "mailer"
  drain = true
  from = 2026-11-24T06:03:29Z
[[subscriber]]
address = "mail-2.example"
group = "mailer"
resume = true
"""

NO_TEXT = "its value is a text of at least one character,"


def parsed(text: str) -> tuple[Declaration, ...]:
    """The subscribers of a file without faults."""
    found = parse_declarations(text.encode())
    assert found.faults == ()
    return found.subscribers


def faults(text: str) -> list[str]:
    """What is wrong in a file, as it is printed."""
    found = parse_declarations(text.encode())
    assert found.subscribers == ()
    return [fault.at("f.toml") for fault in found.faults]


def one(fields: str) -> str:
    """A file with one subscriber."""
    return f'[[subscriber]]\naddress = "h:1"\n{fields}\n'


def test_a_file_says_who_is_subscribed_on_which_terms() -> None:
    """Every registration parameter is a field; topics are a list, and times may be TOML's own."""
    billing, mail, second = parsed(WHOLE)
    assert (billing.key, billing.line) == ("billing.internal:8080?path=/hooks/orders?source=bus", 4)
    assert billing.terms.topics == ("orders.*", "refunds.>")
    assert (billing.terms.max_in_flight, billing.terms.timeout, billing.terms.ordered) == (4, 2.5, "key")
    assert (billing.terms.retry_for, billing.terms.backoff) == (3600, (0.5, 30.0))
    assert (mail.key, mail.group, mail.drain, mail.start) == (
        "https://mail.example/api", "mailer", True, "2026-11-24T06:03:29+00:00",
    )  # fmt: skip
    assert (second.group, second.drain, second.start, second.line) == ("mailer", False, None, 19)


def test_what_a_file_leaves_out_has_its_default() -> None:
    """A registration of another client has no say any more; only the lease, which means nothing, stays as it was."""
    (declared,) = parsed(one(""))
    options = Options(topics=("a",), max_in_flight=7, timeout=1, ordered=True, resume=True, lease=33)
    assert declared.terms.applied(options) == Options(lease=33)


def test_an_option_of_the_group_holds_for_all_of_its_members() -> None:
    """It is enough that one member gives it."""
    assert [each.terms.resume for each in parsed(WHOLE)] == [False, True, True]


def test_an_empty_file_declares_nobody() -> None:
    """So does one with comments only."""
    assert parsed("") == parsed("# nobody yet\n") == ()


@pytest.mark.parametrize("topics", ["[]", '[""]', '[">"]', '""'])
def test_no_topics_are_everything(topics: str) -> None:
    """As in a registration."""
    assert parsed(one(f"topics = {topics}"))[0].terms == Terms(**_defaults(), declared=True)


def _defaults() -> dict[str, object]:
    options = Options()
    return {name: getattr(options, name) for name in Options.__dataclass_fields__ if name != "lease"}


@pytest.mark.parametrize(
    ("fields", "line", "fault"),
    [
        ("timeout = 0", 3, "timeout must be a number from 0.1 to 120, not '0'."),
        ("\n\nordered = 1", 5, "ordered must be false, true or key, not '1'."),
        ("topics = ['a', 'b.>.c']", 3, "In a topic pattern > must be the last word: 'b.>.c'"),
        ("max_in_flight = {}", 3, "max_in_flight must be a whole number from 1 to 1000, not a table."),
        ("max_in_flight = [1, 2]", 3, "max_in_flight must be a whole number from 1 to 1000, not '1,2'."),
        ("path = 'x'", 3, "path must begin with /, in 'x'."),
        ("group = 'a b'", 3, "group must be 1 to 64 letters, digits, `.`, `-` or `_`, not 'a b'."),
        ("topic = 'a'", 3, "'topic' is no field of a subscriber; did you mean topics?"),
        ("filter = {exact = {type = 5}}", 3, f"filter is wrong at exact.type: {NO_TEXT} not 5."),
        ("filter = ['a']", 3, 'filter is wrong at [0]: an expression is an object, not "a".'),
        ("\n[subscriber.filter.exact]\ntimeout = 1", 4, f"filter is wrong at exact.timeout: {NO_TEXT} not 1."),
        ("filter = {exact = {time = 2026-11-24}}", 3, f"filter must be {FilterExpression.allowed}, not a table."),
        ("lease = 60", 3, "lease has no meaning here: a declared subscriber stays for as long as the file has it"),
    ],
)
def test_a_fault_has_its_place(fields: str, line: int, fault: str) -> None:
    """The file, the line and the subscriber stand before what is wrong."""
    assert faults(one(fields)) == [f"f.toml:{line}: subscriber 1 (h:1): {fault}"]


@pytest.mark.parametrize(
    "fields",
    [
        """filter = '{"any": [{"exact": {"data.region": "eu"}}, {"number": {"data.total": {">=": 1.5}}}]}'""",
        """filter = {any = [{exact = {"data.region" = "eu"}}, {number = {"data.total" = {">=" = 1.5}}}]}""",
        """[[subscriber.filter.any]]\nexact."data.region" = "eu"
        [[subscriber.filter.any]]\nnumber."data.total" = {">=" = 1.5}""",
    ],
)
def test_a_filter_may_be_a_table(fields: str) -> None:
    """It is the same as the text with its JSON; so is a list of tables."""
    expected = '{"any":[{"exact":{"data.region":"eu"}},{"number":{"data.total":{">=":1.5}}}]}'
    (found,) = parsed(one(fields))
    assert found.terms.filter == expected
    (found,) = parsed(one('filter = [{exists = {key = true}}, {prefix = {type = "a."}}]'))
    assert found.terms.filter == '[{"exists":{"key":true}},{"prefix":{"type":"a."}}]'


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ("timeout =", "f.toml:3: Invalid value, at column 10."),
        ("timeout = 1\ntimeout = 2", "f.toml:4: Cannot overwrite a value, at column 12."),
        ("text = '''", "f.toml: Expected \"'''\", at the end."),
    ],
)
def test_what_is_no_toml_is_told_with_its_line_and_column(fields: str, fault: str) -> None:
    """Where the parser knows them."""
    assert faults(one(fields)) == [fault]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[[subscriber]]\n", 'f.toml:1: subscriber 1: its address is missing, such as address = "localhost:8080"'),
        ('[[subscriber]]\naddress = ""\n', "f.toml:2: subscriber 1: its address is empty"),
        ('[[subscriber]]\naddress = "a b"\n', "f.toml:2: subscriber 1 (a b): An address must be visible ASCII"),
        ("[subscriber]\naddress = 'h:1'\n", "f.toml: Each subscriber is a table [[subscriber]]."),
        ("subscriber = [1]", "f.toml: Each subscriber is a table [[subscriber]]."),
        ("version = 1\n", "f.toml: It has 'version'; a file has only [[subscriber]] tables."),
        (one("") + '[[subscriber]]\naddress = "H:1/"', "f.toml:5: subscriber 2 (H:1/): it is declared twice"),
        (
            one("group = 'g'\nresume = true") + '[[subscriber]]\naddress = "h:2"\ngroup = "g"\nresume = false\n',
            "f.toml:8: subscriber 2 (h:2): resume is the whole group's, and another one in line 4",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_or_its_subscribers_is_told(text: str, fault: str) -> None:
    """Nothing that could not be registered over HTTP is declared, and nothing twice."""
    (found,) = faults(text)
    assert found.startswith(fault)


def test_all_faults_are_found_at_once() -> None:
    """In the order of their lines, so that one look at the file is enough."""
    found = faults(one("timeout = 0\nleas = 1") + "[[subscriber]]\n" + one("ordered = 'no'"))
    assert [fault.partition(": ")[0] for fault in found] == [f"f.toml:{line}" for line in (3, 4, 5, 7, 8)]


def test_a_place_is_left_out_rather_than_wrong() -> None:
    """A text over several lines may look like a table; then no line is named."""
    text = one("group = '''\n[[subscriber]]\n'''")
    assert [fault.partition(": ")[0] for fault in faults(text)] == ["f.toml"]


def test_a_file_that_is_too_large_or_no_text_is_refused() -> None:
    """Its size is compared before it is parsed."""
    assert parse_declarations(b"#" * (MAX_FILE_BYTES + 1)).faults[0].text.endswith("4,194,304 are allowed.")
    assert parse_declarations(b"\xff").faults[0].text.startswith("It is not UTF-8")
    assert parse_declarations(b"a = " + b"[" * 100_000).faults[0].text == "Its arrays are nested too deeply."


# Credentials

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"  # noqa: S105 - nobody's
NAMED = one('authorization_env = "HOOK_TOKEN"\nsecret_env = "HOOK_SECRET"')


def test_credentials_are_read_from_the_environment() -> None:
    """The file names the variables, and no text that is made of a subscriber has what they hold."""
    (found,) = parse_declarations(NAMED.encode(), {"HOOK_TOKEN": " Bearer x1 ", "HOOK_SECRET": SECRET}).subscribers
    assert (found.credentials.authorization, found.credentials.secret) == ("Bearer x1", SECRET)
    assert found.kinds == ("authorization", "secret")
    assert not any(value in repr(found) for value in ("x1", SECRET))
    (without,) = parse_declarations(one("").encode(), {"HOOK_TOKEN": "x"}).subscribers
    assert (without.credentials.authorization, without.credentials.secret, without.kinds) == ("", "", ())


def test_a_file_can_be_checked_where_the_credentials_are_not() -> None:
    """Only the names of the variables are looked at then."""
    (found,) = parse_declarations(NAMED.encode()).subscribers
    assert found.kinds == ("authorization", "secret")
    assert [fault.text for fault in parse_declarations(one("secret_env = 'A B'").encode()).faults] == [
        "subscriber 1 (h:1): secret_env must be the name of an environment variable, not 'A B'"
    ]


@pytest.mark.parametrize(
    ("environment", "faults"),
    [
        ({"HOOK_TOKEN": "x"}, [(4, "the environment of the bus has no HOOK_SECRET, or it is empty")]),
        (
            {"HOOK_TOKEN": "a\nb", "HOOK_SECRET": "hidden"},
            [(3, "what HOOK_TOKEN holds is refused"), (4, "what HOOK_SECRET holds is refused")],
        ),
    ],
)
def test_credentials_that_are_missing_or_refused_are_faults(
    environment: dict[str, str], faults: list[tuple[int, str]]
) -> None:
    """With the variable's name, and never with what it holds."""
    found = parse_declarations(NAMED.encode(), environment).faults
    assert [(fault.line, text in fault.text) for fault, (_, text) in zip(found, faults, strict=True)] == [
        (line, True) for line, _ in faults
    ]
    assert "hidden" not in str(found)
