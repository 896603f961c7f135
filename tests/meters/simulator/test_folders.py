"""Counts are the same wherever powerML is installed, and whatever else is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import powerml
from powerml.costs.counts import Counts
from powerml.costs.measurement import Measurement

MODEL = Path(__file__).parents[3] / "src" / "powerml" / "guest" / "warm_up" / "dense.onnx"


def _install(folder: Path) -> Path:
    """Install powerML with the packages that are installed here; return its Python."""
    venv.create(folder, with_pip=False)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    shutil.copytree(Path(powerml.__file__).parent, packages / "powerml")
    for place in sys.path:
        if Path(place).name.endswith("-packages"):
            for path in Path(place).iterdir():
                if path.suffix != ".pth" and not (packages / path.name).exists():
                    (packages / path.name).symlink_to(path)
    return folder / "bin" / "python"


def _counts(python: Path, temporary: Path) -> dict[str, Counts]:
    temporary.mkdir(parents=True)
    command = [str(python), "-m", "powerml", "measure", str(MODEL), "--no-cache", "--json"]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    measured = Measurement.model_validate_json(ended.stdout)
    return {phase.name: phase.counts for phase in measured.phases}


@pytest.mark.simulator
def test_two_installations_count_alike_whatever_their_folders_and_other_packages(
    tmp_path: Path,
) -> None:
    folders = [tmp_path / "a", tmp_path / "a-folder-with-a-longer-name" / "that-lies-deeper"]
    installed = [_install(folder) for folder in folders]
    _add_packages(installed[1].parents[1])
    one, other = (
        _counts(python, folder / "temporary")
        for python, folder in zip(installed, folders, strict=True)
    )
    assert one == other


def _add_packages(folder: Path) -> None:
    """Install packages that nothing imports."""
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    for number in range(100):
        (packages / f"another_{number}.py").touch()
        (packages / f"another_{number}-1.0.dist-info").mkdir()
