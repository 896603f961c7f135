"""Profiling one workload: its cost by node, library and function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from powerml.explain.profile_record import Profile
from powerml.measuring.options import MeasureOptions
from powerml.options import described
from powerml.progress import Notify, silent
from powerml.spaces import Topology

__all__ = ["profile"]


@described(MeasureOptions)
def profile(
    model: str | Topology | Path,
    *,
    options: MeasureOptions | None = None,
    notify: Notify = silent,
    **given: Any,
) -> Profile:
    """Profile the cost of a model's training and inference: its origin by node and by library.

    Parameters
    ----------
    model
        A topology as in ``dffr:layers=2,width=16``, or the path of a ``.keras``, ``.onnx`` or
        ``.tflite`` file.
    notify
        Called with one line of text at each stage.

    Raises
    ------
    UsageError
        What was asked for cannot be done; nothing was started.
    MeasurementError
        The counting failed.

    Examples
    --------
    >>> profiled = powerml.profile("model.onnx", machine="raspberry-pi-4")
    >>> [row.name for row in profiled.phase("inference").rows["node"]][:1]
    ['conv1']
    """
    raise NotImplementedError(model, options, notify, given)
