"""What the instrument tells at the end of a process."""

from __future__ import annotations

import pytest

from powerml.errors import OutputError
from powerml.running.told import parse_process, regions_of

SCOPES = (
    "scope\t0\t\t\t0\t1\t10\n"
    "scope\t1\t0\tregion:training\t2\t2\t20\n"
    "scope\t2\t1\tforward\t4\t3\t30\n"
    "scope\t3\t2\tregion:training\t1\t4\t40\n"
    "scope\t4\t0\tsetup\t1\t5\t50\n"
    "scope\t5\t4\tregion:training\t3\t6\t60\n"
    "scope\t6\t5\tforward\t1\t7\t70\n"
    "function\t6\tmain\tprogram\t7\t70\n"
)


def test_scopes_lie_in_each_other_as_they_were_entered() -> None:
    root = parse_process(f"{SCOPES}status\t0\n", "counters").root
    assert [scope.name for scope in root.walk()] == [
        *("", "region:training", "forward", "region:training"),
        *("setup", "region:training", "forward"),
    ]
    assert root.all_counters == [28, 280]


def test_a_region_is_what_was_counted_of_it_in_all_places_but_inside_itself() -> None:
    (region,) = regions_of(parse_process(f"{SCOPES}status\t0\n", "counters").root)
    assert (region.name, region.entries) == ("training", 5)
    assert region.counters == [8, 80]
    assert region.inner["forward"].counters == [10, 100]
    assert region.all_counters == [22, 220]


def test_processes_add_up() -> None:
    one, other = (parse_process(f"{SCOPES}status\t0\n", "counters").root for _ in range(2))
    one.add(other)
    assert one.all_counters == [56, 560]
    assert other.all_counters == [28, 280]


def test_threads_and_forks_inside_a_scope_are_remarks() -> None:
    remarks = parse_process(f"{SCOPES}status\t12\n", "counters").remarks
    assert [remark.split(".")[0] for remark in remarks] == [
        "A process was forked inside a scope",
        "A thread was started inside a scope",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SCOPES, "ends too early"),
        (f"{SCOPES}status\t1\n", "a scope was left twice"),
        (f"{SCOPES}status\t20\n", "ran out of memory"),
        ("status\t0\n", "cannot be read"),
        ("scope\t0\t\t\tx\nstatus\t0\n", "cannot be read"),
        ("scope\t1\t0\ta\t1\t1\nstatus\t0\n", "cannot be read"),
    ],
)
def test_what_is_wrong_is_an_error(text: str, said: str) -> None:
    with pytest.raises(OutputError, match=said):
        parse_process(text, "counters")
