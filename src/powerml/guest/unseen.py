"""Packages that frameworks import or look for where they happen to be installed.

Training and inference need none of them, and counts must not depend on them. Their import under
Valgrind would take minutes, and matplotlib's starts a thread.
"""

from __future__ import annotations

import os
import sys

__all__ = ["hide", "reveal"]

EVERYWHERE = ("IPython", "PIL", "matplotlib", "pandas", "sklearn")
# What Keras, torch and what these require look for, and do not require.
KERAS_ON_TORCH = (
    *("colorama", "cuda", "cv2", "dill", "flint", "fx2trt_oss", "gmpy", "gmpy2"),
    *("huggingface_hub", "hypothesis", "jax", "monkeytype", "onnx", "onnx_tf", "onnxruntime"),
    *("opt_einsum", "psutil", "pydot", "pydot_ng", "pydotplus", "pynvml", "requests"),
    *("tabulate", "tensorflow", "tensorrt", "torch2trt", "torchcomms", "torchdistx", "tqdm"),
    *("tree", "triton", "tvm", "xarray"),
)
KERAS_JOBS = frozenset(("training", "own", "deployment:keras", "framework"))
LITERT = ("ai_edge_litert_sdk_intel",)


def hide(job: str) -> None:
    """Have the imports of such packages fail as if they were not there."""
    for package in _hidden_from(job):
        sys.modules[package] = None  # type: ignore[assignment]


def reveal() -> None:
    """Let the user's own code import them after all."""
    for package in (*EVERYWHERE, *KERAS_ON_TORCH, *LITERT):
        if sys.modules.get(package, sys) is None:
            del sys.modules[package]


def _hidden_from(job: str) -> tuple[str, ...]:
    if job == "deployment:litert":
        return (*EVERYWHERE, *LITERT)
    if job in KERAS_JOBS and os.environ.get("KERAS_BACKEND") == "torch":
        return (*EVERYWHERE, *KERAS_ON_TORCH)
    return EVERYWHERE
