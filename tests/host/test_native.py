"""Models are timed on this machine, and with the code that the simulator runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from powerml.host import native
from powerml.host.models import MODELS, write_model
from powerml.host.native import native_seconds, same_code

FEATURES = """
from powerml.host import _loops
if _loops.hide_wide_vectors():
    import onnxruntime  # chooses its code by what the processor tells it
    print("hidden")
"""


def test_a_model_takes_some_time(tmp_path: Path) -> None:
    tiny = MODELS[0]
    path = write_model(tiny, tmp_path)
    feed = {"x": np.zeros(tiny.shape, np.float32)}
    assert 0 < native_seconds(path, feed, 0.01) < 1


def test_another_process_runs_the_simulators_code_where_it_can(tmp_path: Path) -> None:
    tiny = MODELS[0]
    path = write_model(tiny, tmp_path)
    feed = {"x": np.zeros(tiny.shape, np.float32)}
    with same_code() as timed:
        if timed is None:
            pytest.skip("this processor or system hides no instructions")
        assert 0 < (timed(path, feed, 0.01) or 0) < 1
        assert 0 < (timed(path, feed, 0.01) or 0) < 1


def test_hiding_instructions_ends_no_process() -> None:
    pytest.importorskip("powerml.host._loops", reason="no C extension built")
    ended = subprocess.run(
        [sys.executable, "-c", FEATURES], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout in ("", "hidden\n")


def test_a_process_that_ends_leaves_the_time_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It hides nothing, says that it does, and ends.
    monkeypatch.setattr(native, "SERVE", ("-c", "print('true')"))
    with same_code() as timed:
        assert timed is not None
        path = tmp_path / "model.onnx"
        assert timed(path, {"x": np.zeros(1, np.float32)}, 0.01) is None
    monkeypatch.setattr(native, "SERVE", ("-c", "print('false')"))
    with same_code() as timed:
        assert timed is None
