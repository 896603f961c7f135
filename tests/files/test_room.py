"""What cannot fit is refused before it is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from powerml.errors import UsageError
from powerml.files import room
from powerml.files.room import memory_bytes, require_room
from tests.doubles import Run

MODEL = Path(__file__).parents[2] / "src" / "powerml" / "guest" / "warm_up" / "dense.onnx"


def test_the_least_of_machine_and_container_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    2048 kB\n")
    (tmp_path / "unlimited").write_text("max\n")
    (tmp_path / "limit").write_text("1000\n")
    monkeypatch.setattr(room, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(room, "CONTAINER_LIMITS", (tmp_path / "unlimited", tmp_path / "none"))
    assert memory_bytes() == 2 * 2**20
    monkeypatch.setattr(room, "CONTAINER_LIMITS", (tmp_path / "limit",))
    assert memory_bytes() == 1000
    with pytest.raises(UsageError) as caught:
        require_room(5 * 2**40, "the input", "give less")
    told = "the input would take 5 TiB of memory, and this machine has 1000 B free: give less"
    assert str(caught.value) == told
    require_room(999, "the input", "give less")


def test_without_limits_the_temporary_folder_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MEMORY", tmp_path / "none")
    monkeypatch.setattr(room, "CONTAINER_LIMITS", ())
    assert memory_bytes() is None
    with pytest.raises(UsageError, match=r"8\.882e\+07 PiB in .* or set TMPDIR to another folder"):
        require_room(10**23, "the input", "give less")


@pytest.mark.parametrize(
    "options",
    [
        ["--inference-batch", "2000000000"],
        ["--inferences", "100000000000"],
        ["--inference-batch", "1" + "0" * 30],
        ["--dim", "batch=1" + "0" * 20],
    ],
)
@pytest.mark.parametrize("model", [str(MODEL), "dffr:layers=1,width=2"])
def test_absurd_sizes_are_one_line_that_has_both_sizes(
    run: Run, model: str, options: list[str]
) -> None:
    code, out, err = run("measure", model, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "would take" in err or "--dim is for a model's file" in err


def test_a_size_that_is_no_integer(run: Run) -> None:
    code, _, err = run("measure", str(MODEL), "--dim", "length=1e20")
    assert code == 2
    assert "cannot read --dim length=1e20: write it as --dim length=N" in err
