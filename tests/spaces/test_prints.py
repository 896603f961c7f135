"""Prints of a user's code go to standard error, and their last line ends there."""

from __future__ import annotations

import sys

import pytest

from powerml.spaces.prints import prints_to_stderr


@pytest.mark.parametrize(
    ("printed", "ended"),
    [("", ""), ("whole\n", "whole\n"), ("cut", "cut\n"), ("whole\ncut", "whole\ncut\n")],
)
def test_what_is_printed_ends_its_line(
    capsys: pytest.CaptureFixture[str], printed: str, ended: str
) -> None:
    with prints_to_stderr():
        sys.stdout.write(printed)
        sys.stdout.flush()
    assert capsys.readouterr() == ("", ended)


def test_a_line_ends_where_the_code_fails(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with prints_to_stderr():
            sys.stdout.writelines(["a", "b"])
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        fail()
    assert capsys.readouterr() == ("", "ab\n")


def test_without_a_standard_error_nothing_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with prints_to_stderr():
        print("begun")  # noqa: T201 - as a user's code does
    monkeypatch.undo()
    assert capsys.readouterr() == ("", "")
