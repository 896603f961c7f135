"""Recurrence in exported models: Keras's recurrent layers as ONNX's own operators.

Keras on torch exports a recurrence as copies of its step, one for each step of the traced input.
ONNX has ``RNN``, ``GRU`` and ``LSTM``, which run over any length.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_operators"]

# ONNX's activations by the names that Keras gives its functions, with the alphas and the betas that
# each takes: the lists of an operator hold those of its activations one after another.
ACTIVATIONS: dict[str, tuple[str, tuple[float, ...], tuple[float, ...]]] = {
    "elu": ("Elu", (1.0,), ()),
    "hard_sigmoid": ("HardSigmoid", (1 / 6,), (0.5,)),
    "linear": ("Affine", (1.0,), (0.0,)),
    "relu": ("Relu", (), ()),
    "sigmoid": ("Sigmoid", (), ()),
    "softplus": ("Softplus", (), ()),
    "softsign": ("Softsign", (), ()),
    "tanh": ("Tanh", (), ()),
}
# Keras's gates are those of its kernel from left to right; these are ONNX's from top to bottom.
GATES = {"RNN": (0,), "GRU": (0, 1, 2), "LSTM": (0, 3, 1, 2)}
# The last value of a 64-bit slice that goes backwards: all of the axis.
BEYOND = -(2**63)
# From here on ONNX's Squeeze and Unsqueeze take their axes as an input.
LEAST_OPSET = 13
# The layers of the export under way, with what runs them, by number.
_layers: list[tuple[Any, Any]] = []


@dataclass(frozen=True)
class _Operator:
    """A recurrent layer as an operator; weights as ONNX has them, for one direction."""

    kind: str
    kernel: NDArray[np.float32]
    recurrent_kernel: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    attributes: dict[str, Any]


@contextlib.contextmanager
def as_operators(unrolled: Callable[[str, int], None]) -> Iterator[None]:
    """Trace Keras's recurrent layers as single operators while the context lasts.

    Layers without an equivalent operator are traced step by step: custom cells, masked and stateful
    layers, other activations. Backends other than torch are unaffected. Only one thread may use it
    at a time.

    Parameters
    ----------
    unrolled
        Called with the name of a layer that is traced step by step, and the number of its steps.
    """
    import keras

    if keras.backend.backend() != "torch":
        yield
        return
    original = keras.layers.RNN.call

    def call(
        self: Any,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool = False,
    ) -> Any:
        if self.stateful or mask is not None or _operator_of(self) is None:
            unrolled(self.name, int(sequences.shape[1]))
            return original(self, sequences, initial_state, mask, training)
        return _translated(self, original, sequences, initial_state)

    keras.layers.RNN.call = call
    try:
        yield
    finally:
        keras.layers.RNN.call = original
        _layers.clear()


def _operator_of(layer: Any) -> _Operator | None:
    """Describe a layer as an operator, None if no operator is equivalent."""
    import keras

    cell = layer.cell
    kinds = {keras.layers.SimpleRNNCell: "RNN", keras.layers.GRUCell: "GRU"}
    kind = {**kinds, keras.layers.LSTMCell: "LSTM"}.get(type(cell))
    if kind is None or cell.compute_dtype != "float32":
        return None
    functions = [cell.activation]
    if kind != "RNN":
        functions = [cell.recurrent_activation, cell.activation]
    if kind == "LSTM":
        functions.append(cell.activation)
    names = [getattr(function, "__name__", "") for function in functions]
    known = all(
        name in ACTIVATIONS and getattr(keras.activations, name) is function
        for name, function in zip(names, functions, strict=True)
    )
    if not known:
        return None
    chosen = [ACTIVATIONS[name] for name in names]
    attributes: dict[str, Any] = {
        "hidden_size_i": cell.units,
        "direction_s": "reverse" if layer.go_backwards else "forward",
        "activations_s": [name for name, _, _ in chosen],
        "activation_alpha_f": [alpha for _, alphas, _ in chosen for alpha in alphas],
        "activation_beta_f": [beta for _, _, betas in chosen for beta in betas],
    }
    if kind == "GRU":
        attributes["linear_before_reset_i"] = int(cell.reset_after)
    return _Operator(
        kind,
        _by_gate(cell.kernel, kind),
        _by_gate(cell.recurrent_kernel, kind),
        _bias(cell, kind),
        attributes,
    )


def _by_gate(weights: Any, kind: str) -> NDArray[np.float32]:
    """Weights of shape (inputs, gates x units) as ONNX's (1, gates x units, inputs)."""
    import keras

    parts = np.split(keras.ops.convert_to_numpy(weights), len(GATES[kind]), axis=-1)
    return np.concatenate([parts[gate].T for gate in GATES[kind]])[None]


def _bias(cell: Any, kind: str) -> NDArray[np.float32] | None:
    """ONNX's bias of shape (1, 2 x gates x units): that of the inputs, then of the state."""
    import keras

    if not cell.use_bias:
        return None
    given = np.atleast_2d(keras.ops.convert_to_numpy(cell.bias))
    rows = [given[0], given[1] if len(given) > 1 else np.zeros_like(given[0])]
    ordered = [np.split(row, len(GATES[kind]))[gate] for row in rows for gate in GATES[kind]]
    return np.concatenate(ordered)[None]


def _translated(layer: Any, original: Any, sequences: Any, initial_state: Any) -> Any:
    """Run a layer as it is, in an operator of torch's that the exporter translates."""
    given = [] if initial_state is None else _as_list(initial_state)
    _layers.append((layer, original))
    sequence, *states = _recurrence()(sequences, given, len(_layers) - 1)
    if not layer.return_state:
        return sequence
    return (sequence, *states[: len(_as_list(layer.cell.state_size))])


@functools.cache
def _recurrence() -> Any:
    """Register the operator: a layer by its number, with how the exporter writes it down.

    It returns the layer's output, and one state or two; where there is one it is there twice.
    """
    import torch
    from torch.onnx.symbolic_helper import parse_args

    def recurrence(
        sequences: torch.Tensor, states: list[torch.Tensor], number: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        layer, original = _layers[number]
        kept = layer.return_state
        layer.return_state = True
        try:
            output, *last = original(layer, sequences, states or None)
        finally:
            layer.return_state = kept
        return output.clone(), last[0].clone(), last[-1].clone()

    recurrence.__annotations__ = {
        "sequences": torch.Tensor,
        "states": list[torch.Tensor],
        "number": int,
        "return": tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    }

    @parse_args("v", "v", "i")  # type: ignore[untyped-decorator]
    def written(graph: Any, sequences: Any, states: Any, number: int) -> Any:
        layer, _ = _layers[number]
        return _written(graph, layer, sequences, list(states.node().inputs()))

    name = "powerml::recurrence"
    operator = torch.library.custom_op(name, recurrence, mutates_args=())
    torch.onnx.register_custom_op_symbolic(name, written, LEAST_OPSET)
    return operator


def _as_list(one: Any) -> list[Any]:
    return list(one) if isinstance(one, (list, tuple)) else [one]


def _written(graph: Any, layer: Any, sequences: Any, states: Sequence[Any]) -> Any:
    """Write a layer into a graph of ``torch.onnx``; returns its output and two states."""
    import torch

    operator = _operator_of(layer)
    if operator is None:
        raise TypeError(layer)

    def constant(value: Any) -> Any:
        return graph.op("Constant", value_t=torch.as_tensor(value))

    def squeezed(value: Any, axis: int) -> Any:
        return graph.op("Squeeze", value, constant([axis]))

    nothing = graph.op("prim::Constant").setType(torch._C.OptionalType.ofTensor())
    inputs = [
        graph.op("Transpose", sequences, perm_i=[1, 0, 2]),
        constant(operator.kernel),
        constant(operator.recurrent_kernel),
        nothing if operator.bias is None else constant(operator.bias),
        nothing,  # all sequences of a batch are of one length
        *(graph.op("Unsqueeze", state, constant([0])) for state in states),
    ]
    number = 3 if operator.kind == "LSTM" else 2
    every, *last = graph.op(operator.kind, *inputs, **operator.attributes, outputs=number)
    finals = [squeezed(state, 0) for state in last]
    output = finals[0]
    if layer.return_sequences:
        output = squeezed(every, 1)
        if layer.go_backwards:
            # ONNX keeps the order of time, Keras that of its steps.
            output = graph.op("Slice", output, *map(constant, ([-1], [BEYOND], [0], [-1])))
        output = graph.op("Transpose", output, perm_i=[1, 0, 2])
    return output, finals[0], finals[-1]
