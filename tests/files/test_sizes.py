"""Sizes as users write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.errors import UsageError
from powerml.files.sizes import size_in_bytes, size_text


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (1, 1),
        ("65536", 65536),
        ("64KiB", 65536),
        ("64 kib", 65536),
        ("1MB", 1_000_000),
        ("1.5MiB", 1_572_864),
        (" .5 GiB ", 2**29),
        ("2TB", 2 * 10**12),
        ("1000B", 1000),
        ("1.9999 B", 1),
    ],
)
def test_a_size_is_bytes_or_has_a_unit(written: str | int, size: int) -> None:
    assert size_in_bytes("max memory", written) == size


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "KiB",
        "-1",
        "1e6",
        "64K",
        "64 kilobytes",
        "0x10",
        "nan",
        "inf",
        "1.2.3MB",
        "٣KiB",
        "9" * 99,
    ],
)
def test_what_is_no_size_is_refused_with_an_example(wrong: str) -> None:
    with pytest.raises(UsageError, match=r"^max memory is .*: give bytes, or .*as in 64KiB$"):
        size_in_bytes("max memory", wrong)


@pytest.mark.parametrize("wrong", [0, "0", "0.5", "0.0001KiB", "99999999PiB"])
def test_nothing_and_more_than_a_machine_has_are_refused(wrong: str | int) -> None:
    with pytest.raises(UsageError, match="give from 1 byte to"):
        size_in_bytes("max file size", wrong)


@given(st.integers(1, 2**63 - 1))
def test_every_whole_number_of_bytes_is_read_as_it_is(size: int) -> None:
    assert size_in_bytes("max memory", size) == size_in_bytes("max memory", str(size)) == size


@given(st.integers(1, 2**50))
def test_a_text_is_within_its_digits_of_the_size(size: int) -> None:
    again = size_in_bytes("size", size_text(size).replace("e+03", "000"))
    assert again == pytest.approx(size, rel=1e-3, abs=1)
