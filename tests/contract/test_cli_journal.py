"""What ``eventbus journal copy`` takes, and what it refuses before it touches anything."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from eventbus.cli.program import program


@pytest.mark.parametrize(
    ("source", "target", "status", "payload"),
    [
        ("redis://:hush@localhost:1/0", "sqlite:///b.db", 2, "SOURCE has a password in it"),
        ("sqlite:///a.db", "redis://:hush@localhost:1/0", 2, "TARGET has a password in it"),
        ("redis:/:hush@localhost:1/0", "sqlite:///b.db", 2, "SOURCE has a password in it"),
        ("redis:hush@localhost", "sqlite:///b.db", 2, "SOURCE has a password in it"),
        ("env:NOT_SET", "sqlite:///b.db", 2, "SOURCE is in NOT_SET, which is not set"),
        ("a.db", "sqlite:///b.db", 2, "SOURCE must be sqlite:///PATH"),
        ("sqlite:///:memory:", "sqlite:///b.db", 2, "SOURCE is a journal that ends with its process"),
        ("sqlite:///a.db", "sqlite:///./a.db", 2, "SOURCE and TARGET are the same journal"),
        ("sqlite:///a.db", "sqlite:///b.db", 1, "There is no journal a.db"),
        ("env:HIDDEN", "sqlite:///b.db", 1, "The journal cannot be opened"),
    ],
)
def test_what_cannot_be_copied_is_refused(
    source: str, target: str, status: int, payload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a sentence in which there is no password; no file is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIDDEN", "redis://:hush@127.0.0.1:9/0")
    ended = CliRunner().invoke(program, ["journal", "copy", source, target])
    assert ended.exit_code == status
    assert payload in ended.stderr
    assert "hush" not in ended.output
    assert list(tmp_path.iterdir()) == []
