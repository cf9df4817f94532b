"""Who changed a subscription last is told to everybody but themselves, for so many of them."""

from eventbus.core.model import Options
from eventbus.web.subscription_changes import Change, Changes


def test_a_change_is_told_to_others_only() -> None:
    """The last one counts; of an address that nobody has changed there is nothing to tell."""
    changes = Changes()
    changes.note("a:1", 1.0, "10.0.0.1")
    changes.note("a:1", 2.0, "10.0.0.2")
    assert changes.by_another("a:1", "10.0.0.1") == Change(2.0, "10.0.0.2")
    assert changes.by_another("a:1", "10.0.0.2") is None
    assert changes.by_another("b:1", "10.0.0.1") is None


def test_only_so_many_are_remembered() -> None:
    """The one whose change is the oldest is forgotten first."""
    changes = Changes(limit=2)
    for key in ("a", "b", "a", "c"):
        changes.note(key, 1.0, "x")
    assert [key for key in "abc" if changes.by_another(key, "y")] == ["a", "c"]


def test_terms_that_differ_are_named() -> None:
    """As they are called in the settings of a subscription."""
    assert Options().differing(Options()) == ()
    assert Options().differing(Options(topics=("none.*",), timeout=0.1)) == ("topics", "timeout")
