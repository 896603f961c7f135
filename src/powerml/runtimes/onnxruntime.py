"""ONNX Runtime: ``.onnx`` files, on the processor, with one thread."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from powerml.runtimes.base import (
    Exporter,
    Format,
    Input,
    Needs,
    ProfiledSession,
    Session,
    Shapes,
    keras_export,
)

# What ONNX calls the types that numpy has too.
DTYPES = {"float": "float32", "double": "float64"}
ERRORS_ALONE = 3
LIBRARY = "onnxruntime_pybind11_state"


class OnnxRuntime:
    """The runtime ONNX Runtime. See `powerml.runtimes.base.Runtime`."""

    name = "onnxruntime"
    format = Format(
        ".onnx",
        # The first field of an ONNX model, as exporters write it: its version.
        magic=tuple((0, bytes((8, version))) for version in range(3, 32)),
        exporter=Exporter(
            keras_export("onnx"),
            Needs(("onnx", "onnxscript"), "pip install 'powerml[torch]'"),
            leaves_batch_open=True,
        ),
    )
    package = "onnxruntime"
    install = "pip install onnxruntime"

    def start(self) -> None:
        """Import it. Its telemetry would send data away, on a thread that disturbs the counts."""
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime

        onnxruntime.set_default_logger_severity(ERRORS_ALONE)

    def versions(self) -> dict[str, str]:
        """Return the version of ONNX Runtime."""
        import onnxruntime

        return {"onnxruntime": str(onnxruntime.__version__)}

    def load(
        self,
        path: str,
        shapes: Shapes | None = None,  # noqa: ARG002 - it takes the shapes that come
        allowed: Sequence[str] = (),  # noqa: ARG002 - a file of this kind holds no code
    ) -> Session:
        """Read a model; its graph is optimized as it is by default."""
        return _session(_opened(path, _options()))

    def load_profiled(
        self,
        path: str,
        shapes: Shapes | None = None,  # noqa: ARG002
        allowed: Sequence[str] = (),  # noqa: ARG002
    ) -> ProfiledSession:
        """Read a model with the runtime's own profiler on, which looks at the clock."""
        options = _options()
        options.enable_profiling = True
        options.profile_file_prefix = "trace"
        optimized = f"optimized-{os.getpid()}.onnx"
        options.optimized_model_filepath = optimized
        found = _opened(path, options)

        def finish() -> dict[str, Any]:
            start = found.get_profiling_start_time_ns()
            return {
                "trace": found.end_profiling(),
                "start_nanoseconds": start,
                "optimized": optimized,
            }

        return ProfiledSession(_session(found), LIBRARY, looks=True, finish=finish)


def _options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return options


def _opened(path: str, options: Any) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _session(found: Any) -> Session:
    inputs = tuple(_input(one) for one in found.get_inputs())
    return Session(inputs, partial(found.run, None))


def _input(found: Any) -> Input:
    kind = found.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(
        size if isinstance(size, int) and size >= 0 else size or f"{found.name}.{axis}"
        for axis, size in enumerate(found.shape)
    )
    return Input(name=found.name, shape=shape, dtype=DTYPES.get(kind, kind))


runtime = OnnxRuntime()
