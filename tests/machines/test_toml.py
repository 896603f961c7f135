"""A profile written as TOML reads back as the same profile."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.machines import (
    load_machine,
    load_machine_file,
    machine_from_toml,
    machine_names,
    machine_toml,
)
from tests.builders import make_machine

# What no file in UTF-8 can hold is no title.
texts = st.text(st.characters(codec="utf-8"), min_size=3)


@pytest.mark.parametrize("name", machine_names())
def test_a_shipped_profile_reads_back(name: str, tmp_path: Path) -> None:
    machine = load_machine(name)
    assert machine_from_toml(machine_toml(machine), name) == machine
    path = tmp_path / "mine.toml"
    path.write_text(machine_toml(machine, ["A remark."]), encoding="utf-8")
    assert load_machine_file(path) == machine.model_copy(update={"name": "mine"})


@given(texts, texts, st.floats(1e-3, 1e9))
def test_any_text_and_number_reads_back(title: str, source: str, value: float) -> None:
    clock = {"value": value, "source": source, "estimated": True}
    machine = make_machine(title=title, clock_ghz=clock)
    assert machine_from_toml(machine_toml(machine), machine.name) == machine


def test_remarks_are_comments_of_limited_width() -> None:
    machine = make_machine()
    text = machine_toml(machine, ["word " * 60, "and another"])
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert len(comments) > 3
    assert max(map(len, comments)) <= 100
    assert comments[-1] == "# and another"
    assert machine_from_toml(text, machine.name) == machine


def test_a_number_that_is_no_estimate_does_not_say_so() -> None:
    assert "estimated" not in machine_toml(make_machine())
