"""What is printed for people to paste is printed whole."""

from __future__ import annotations

import pytest
from rich.text import Text

from powerml.cli.console import print_result


def test_a_command_that_is_to_be_pasted_is_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    command = f"powerml optimize --reference {'mynet:width_0=16,' * 20} --seed 0"
    print_result("", Text(command), is_wrapped=False)
    assert capsys.readouterr().out == f"\n{command}\n"
