"""Changes of an ONNX graph that stays readable, and lies."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

__all__ = ["changed_onnx"]

LONG = "x" * 3000
OUTSIDE = ("../../../etc/passwd", "/etc/passwd", ".", "", "a/../../b", "\x00", "~", "x" * 5000)


def _shape(model: Any, random: Random) -> None:
    shapes: tuple[list[int], ...] = ([2**62], [-1], [0], [10**12, 6], [1] * 64, [])
    random.choice(model.graph.initializer).dims[:] = random.choice(shapes)


def _type(model: Any, random: Random) -> None:
    tensor = random.choice(model.graph.initializer)
    tensor.data_type = random.choice((0, 8, 14, 16, 23, 99, -1))


def _external(model: Any, random: Random) -> None:
    import onnx

    tensor = random.choice(model.graph.initializer)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (
        ("location", random.choice((*OUTSIDE, "x.data", "loop"))),
        ("offset", random.choice(("0", "-1", "9" * 30, "x"))),
        ("length", random.choice(("4", "-1", "9" * 30, "x"))),
    ):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def _operator(model: Any, random: Random) -> None:
    node = random.choice(model.graph.node)
    node.op_type = random.choice(("", "Nothing", "If", "Loop", "Scan", LONG, "[red]"))


def _domain(model: Any, random: Random) -> None:
    random.choice(model.graph.node).domain = random.choice(("com.example", "ai.onnx.ml", LONG))


def _wires(model: Any, random: Random) -> None:
    node = random.choice(model.graph.node)
    node.input[:] = random.choice(([], ["nothing"], list(node.output), ["", ""], [LONG]))


def _dimensions(model: Any, random: Random) -> None:
    for one in model.graph.input[0].type.tensor_type.shape.dim:
        one.dim_value = random.choice((-1, 0, 2**40, 2**62, 1))


def _element(model: Any, random: Random) -> None:
    model.graph.input[0].type.tensor_type.elem_type = random.choice((0, 8, 9, 14, 99))


def _no_type(model: Any, _random: Random) -> None:
    model.graph.input[0].type.ClearField("tensor_type")


def _operators_version(model: Any, random: Random) -> None:
    model.opset_import[0].version = random.choice((0, -1, 1, 99, 2**31 - 1))


def _version(model: Any, random: Random) -> None:
    model.ir_version = random.choice((0, 1, 99, 2**31))


def _input_name(model: Any, random: Random) -> None:
    model.graph.input[0].name = random.choice(("", "[red]", "a\nb", LONG, "\u202e"))


def _branches(model: Any, random: Random) -> None:
    import onnx

    inner = model.graph
    for _ in range(random.choice((5, 20, 90))):
        node = inner.node.add()
        node.op_type = "If"
        attribute = node.attribute.add()
        attribute.name = "then_branch"
        attribute.type = onnx.AttributeProto.GRAPH
        inner = attribute.g


CHANGES: tuple[Callable[[Any, Random], None], ...] = (
    _shape,
    _type,
    _external,
    _external,
    _operator,
    _domain,
    _wires,
    _dimensions,
    _element,
    _no_type,
    _operators_version,
    _version,
    _input_name,
    _branches,
)


def changed_onnx(content: bytes, random: Random) -> bytes:
    """Return a model with one thing in it that is not true."""
    import onnx

    model = onnx.load_from_string(content)
    random.choice(CHANGES)(model, random)
    written: bytes = model.SerializeToString()
    return written
