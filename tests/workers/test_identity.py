"""What tells workers apart, and which of them a run is for."""

from __future__ import annotations

from typing import Any

import pytest

from powerml.workers.identity import differences, identity, most_common

ONE: dict[str, Any] = {
    "backend": "torch",
    "code": "abc",
    "cpu_flags": ["avx2", "fma"],
    "software": {"numpy": "2.4.6", "torch": "2.13.0"},
}


def changed(**new: Any) -> dict[str, Any]:
    return {**ONE, **new}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (changed(), []),
        (changed(code="xyz"), ["other code of powerML"]),
        (
            changed(software={"numpy": "2.3.0", "torch": "2.13.0"}),
            ["software.numpy 2.3.0, not 2.4.6"],
        ),
        (changed(software={"torch": "2.13.0"}), ["software.numpy none, not 2.4.6"]),
        (changed(cpu_flags=["avx2", "avx512f"]), ["cpu_flags without fma, with avx512f"]),
    ],
)
def test_each_difference_is_named(other: dict[str, Any], said: list[str]) -> None:
    assert differences(other, ONE) == said


def test_many_differences_are_told_in_part() -> None:
    other = {"software": {f"p{number}": "1" for number in range(9)}}
    assert differences(other, {"software": {}})[-1] == "..."


def test_a_run_is_for_this_machines_kind_or_for_that_of_most() -> None:
    two, mine = changed(code="two"), changed(code="mine")
    assert most_common([ONE, two, two], mine) == two
    assert most_common([ONE, mine, two, two], mine) == mine
    assert most_common([ONE, two], None) == ONE


def test_this_process_is_like_itself() -> None:
    mine = identity("torch", simulates=False)
    assert differences(mine, identity("torch", simulates=False)) == []
    assert {"python", "software", "code", "machine"} <= set(mine)
