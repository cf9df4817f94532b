"""The table of subscription options: its names, defaults and docs."""

import pytest

from eventbus.core.errors import SettingsError
from eventbus.core.model import Options, Terms
from eventbus.core.number_kinds import Number
from eventbus.core.option_table import Option, from_record, options_of, to_record
from eventbus.core.options import registration_options
from eventbus.core.settings import from_environment
from tests.support.option_docs import PROTOCOL, options_table


def test_the_protocol_has_the_table() -> None:
    """``docs/protocol.md`` holds the table of options; ``python -m tests.support.option_docs`` writes it."""
    assert options_table(registration_options()) in PROTOCOL.read_text("utf-8")


def test_a_record_has_the_names_of_the_version_before() -> None:
    """The journal's names stay, so that a journal of the version before opens."""
    names = {"topics", "lease_seconds", "max_in_flight", "timeout", "ordered", "resume"}
    assert to_record(Options()).keys() >= names
    record = {"topics": ["a"], "lease_seconds": 7, "max_in_flight": 9, "timeout": 3, "ordered": True, "resume": True}
    read = Options(topics=("a",), lease=7, max_in_flight=9, timeout=3, ordered=True, resume=True)
    assert from_record(Options, record) == read


def test_terms_leave_every_option_out() -> None:
    """Terms that say nothing are None throughout."""
    assert {getattr(Terms(), one.name) for one in options_of(Terms)} == {None}


@pytest.mark.parametrize("one", [one for one in registration_options() if one.default_setting])
def test_a_setting_of_a_default_has_the_options_range(one: Option) -> None:
    """A setting that overrides a default may be all that the option may be, and nothing else."""
    assert isinstance(one.kind, Number)
    for bound, beyond in ((one.kind.low, one.kind.low - 0.01), (one.kind.high, one.kind.high + 0.01)):
        assert from_environment({one.default_setting: f"{bound}"})
        with pytest.raises(SettingsError):
            from_environment({one.default_setting: f"{beyond}"})
