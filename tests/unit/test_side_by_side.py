from tests.side_by_side import ROOT, SLOW_FILES, deal, seconds

FILES = sorted(ROOT.glob("tests/*/test_*.py"))


def test_each_file_is_in_one_share_and_the_shares_take_about_the_same_time() -> None:
    """The shares hold all files once, and differ by a few seconds at most."""
    shares = deal(FILES, 3)
    assert sorted(file for share in shares for file in share) == FILES
    times = [sum(map(seconds, share)) for share in shares]
    assert max(times) - min(times) <= 5


def test_the_slow_files_are_there() -> None:
    """A file that is renamed or removed does not stay among those whose seconds are known."""
    names = {f"{file.parent.name}/{file.stem}" for file in FILES}
    assert set(SLOW_FILES) <= names
