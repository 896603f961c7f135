"""LiteRT: ``.tflite`` files, with one thread and the kernels that it takes by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from powerml.runtimes.base import (
    Exporter,
    Feed,
    Format,
    Input,
    Needs,
    Operators,
    ProfiledSession,
    Session,
    Shapes,
    keras_export,
)


class LiteRt:
    """The runtime LiteRT. See `powerml.runtimes.base.Runtime`."""

    name = "litert"
    format = Format(
        ".tflite",
        other_suffixes=(".lite",),
        magic=((4, b"TFL3"),),
        exporter=Exporter(
            keras_export("litert"),
            Needs(("litert_torch",), "pip install 'powerml[litert-export]'"),
        ),
    )
    package = "ai_edge_litert"
    # XNNPACK's operators, and the kernels of its own: functions of a node that are called Eval, and
    # none that they call in turn.
    operators = Operators(
        "libpywrap_litert_common",
        (
            (b"", b"xnn_run_operator_with_index"),
            (b"4Eval", b"P13TfLiteContextP10TfLiteNode"),
        ),
    )
    install = "pip install 'powerml[litert]'"

    def start(self) -> None:
        """Do nothing: `load` imports it."""

    def versions(self) -> dict[str, str]:
        """Return the version of LiteRT."""
        from importlib import metadata

        return {"ai-edge-litert": metadata.version("ai-edge-litert")}

    def load(
        self,
        path: str,
        shapes: Shapes | None = None,
        allowed: Sequence[str] = (),  # noqa: ARG002 - a file of this kind holds no code
    ) -> Session:
        """Read a model; open dimensions take the given shapes."""
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(path, num_threads=1)
        found = interpreter.get_input_details()
        for one, shape in zip(found, shapes or (), strict=False):
            if tuple(one["shape"]) != shape:
                interpreter.resize_tensor_input(one["index"], shape, strict=True)
        if shapes is not None:
            interpreter.allocate_tensors()
        indices = {one["name"]: one["index"] for one in found}
        outputs = [one["index"] for one in interpreter.get_output_details()]

        def run(feed: Feed) -> list[Any]:
            for name, array in feed.items():
                interpreter.set_tensor(indices[name], array)
            interpreter.invoke()
            return [interpreter.get_tensor(index) for index in outputs]

        return Session(tuple(_input(one) for one in found), run)

    def load_profiled(
        self, path: str, shapes: Shapes | None = None, allowed: Sequence[str] = ()
    ) -> ProfiledSession:
        """Read a model; its operators are told by their functions."""
        return ProfiledSession(self.load(path, shapes, allowed), self.operators.library)


def _input(found: dict[str, Any]) -> Input:
    name = found["name"]
    shape = tuple(
        int(size) if size >= 0 else f"{name}.{axis}"
        for axis, size in enumerate(found["shape_signature"])
    )
    return Input(name=name, shape=shape, dtype=np.dtype(found["dtype"]).name)


runtime = LiteRt()
