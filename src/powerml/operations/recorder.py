"""The recorder: what PyTorch computes in a thread while a context lasts."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from powerml.operations.kinds import (
    ATTENTION,
    CONVOLUTIONS,
    PRODUCTS,
    RECURRENCES,
    VIEWS,
    kind_of,
)
from powerml.operations.operation import Operation

__all__ = ["Recorder"]

# The arguments of ATen's convolution.
TRANSPOSED, GROUPS = 6, 8
# Not computed, for oneDNN compiles a kernel for each shape of them, which takes longer than all
# else. Convolutions are: only they themselves tell the layout of their outputs, and so what is
# moved after them.
LENGTHY = PRODUCTS | {"mkldnn_rnn_layer"}


class Recorder:
    """Records operations while it is entered, in the thread that entered it.

    What depends on weights and constants alone is left out: it is the same for each sample.

    Attributes
    ----------
    operations
        What was recorded.
    weights
        Tensors that are no inputs: parameters and buffers.
    """

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.weights: Sequence[Any] = ()
        self._constants: dict[int, Any] = {}
        self._within: list[list[Operation]] = []
        self._in_recurrence = False
        self._modes = contextlib.ExitStack()

    def __enter__(self) -> Self:
        for weight in self.weights:
            self._constants[_place(weight)] = weight
        self._modes.enter_context(_FunctionMode(self))
        self._modes.enter_context(_OperatorMode(self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._modes.close()
        self._constants.clear()

    def record(self, name: str, inputs: Sequence[Any], arguments: Sequence[Any], made: Any) -> None:
        """Record one operator that ran."""
        outputs = _tensors(made)
        if not self._in_recurrence and all(self._is_constant(one) for one in inputs):
            # Kept, lest another tensor takes its place in memory.
            self._constants |= {_place(one): one for one in outputs}
            return
        operation = self._operation(name, inputs, arguments, outputs)
        (self._within[-1] if self._within else self.operations).append(operation)

    @contextlib.contextmanager
    def recurrence(
        self, sequences: Any, units: int, weights: int, matrices: int | None
    ) -> Iterator[None]:
        """Record all that runs in the context as one recurrence over sequences.

        Its matrices are multiplied at each step; what is multiplied is counted if they are unknown.
        """
        was_in = self._in_recurrence
        # Its first state is constant, but that is nothing that a runtime makes use of.
        self._in_recurrence = True
        try:
            with self._as_one() as inner:
                yield
        finally:
            self._in_recurrence = was_in
        steps = int(sequences.shape[1])
        products = sum(one.multiply_accumulates for one in inner)
        if not self._within:
            self.operations.append(
                Operation(
                    "recurrence",
                    sequences.numel(),
                    steps * units,
                    weights,
                    products if matrices is None else steps * matrices,
                    sequences.numel() // max(steps, 1) + units,
                    units,
                    steps,
                    calls=sum(one.calls for one in inner),
                )
            )

    @contextlib.contextmanager
    def recurrences(self, sequences: Any, weights: Sequence[Any]) -> Iterator[None]:
        """Record all that runs in the context as recurrences with these weights, one after another.

        Each has weights for its inputs, of shape (gates x units, inputs), and for its state.
        """
        with self._as_one() as inner:
            yield
        if self._within:
            return
        matrices = [one for one in weights if one.dim() > 1]
        # A projection of the state has other rows than the gates.
        gates = [one for one in matrices if one.shape[0] == matrices[0].shape[0]]
        pairs = list(zip(gates[::2], gates[1::2], strict=False))
        if not pairs:
            self.operations += inner
            return
        steps = sequences.numel() // sequences.shape[-1]
        biases = sum(one.numel() for one in weights) - sum(one.numel() for one in matrices)
        for of_inputs, of_state in pairs:
            read = of_inputs.numel() + of_state.numel()
            units, fan_in = of_state.shape[-1], of_inputs.shape[-1]
            self.operations.append(
                Operation(
                    "recurrence",
                    steps * fan_in,
                    steps * units,
                    read + biases // len(pairs),
                    steps * read,
                    fan_in + units,
                    units,
                    steps,
                    calls=sum(one.calls for one in inner) // len(pairs),
                )
            )

    @contextlib.contextmanager
    def einsum(self) -> Iterator[None]:
        """Record all that runs in the context as one product."""
        with self._as_one() as inner:
            yield
        into = self._within[-1] if self._within else self.operations
        products = [one for one in inner if one.multiply_accumulates]
        if not products:
            into += inner
            return
        # The last is the product; before it operands are put into order.
        last = products[-1]
        into.append(
            Operation(
                "einsum",
                sum(one.inputs for one in products) - sum(one.outputs for one in products[:-1]),
                last.outputs,
                sum(one.weights for one in products),
                sum(one.multiply_accumulates for one in products),
                last.fan_in,
                last.units,
                last.positions,
                calls=sum(one.calls for one in inner),
            )
        )

    @contextlib.contextmanager
    def _as_one(self) -> Iterator[list[Operation]]:
        self._within.append([])
        try:
            yield self._within[-1]
        finally:
            self._within.pop()

    def _operation(
        self, name: str, inputs: Sequence[Any], arguments: Sequence[Any], outputs: Sequence[Any]
    ) -> Operation:
        computed = [one for one in inputs if not self._is_constant(one)]
        read = sum(one.numel() for one in computed)
        # Others are statistics and places, which are small or not used.
        written = outputs[0].numel() if outputs else 0
        weights = self._weights_among(inputs)
        if name in PRODUCTS:
            return self._product(inputs, read, written, weights)
        if name in CONVOLUTIONS:
            return _convolution(arguments, read, written, weights)
        if name in ATTENTION:
            return _attention(inputs, read, written)
        return Operation(kind_of(name), read, written, weights)

    def _product(self, inputs: Sequence[Any], read: int, written: int, weights: int) -> Operation:
        """Describe a product of the last two tensors, which come after one that is added."""
        left, right = inputs[-2:]
        fan_in = left.shape[-1]
        constant_left, constant_right = self._is_constant(left), self._is_constant(right)
        columns = right.shape[-1] if right.dim() > 1 else 1
        rows = left.shape[-2] if left.dim() > 1 else 1
        units = rows if constant_left and not constant_right else columns
        return Operation(
            "product" if constant_left or constant_right else "matching",
            read,
            written,
            weights,
            written * fan_in,
            fan_in,
            units,
            written // max(units, 1),
            groups=math.prod(left.shape[:-2]),
        )

    def _is_constant(self, tensor: Any) -> bool:
        return _place(tensor) in self._constants

    def _weights_among(self, tensors: Iterable[Any]) -> int:
        return sum(one.numel() for one in tensors if self._is_constant(one) and one.dim() > 0)


class _OperatorMode(TorchDispatchMode):  # type: ignore[misc]  # PyTorch carries no types
    """A mode in which each operator of PyTorch is recorded."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = func.overloadpacket.__name__
        if name in LENGTHY:
            described = func(*map(_without_data, args), **(kwargs or {}))
            made = _zeros(described, args[0].device)
        else:
            made = func(*args, **(kwargs or {}))
        if not (func.is_view or name in VIEWS):
            inputs = _tensors([*args, *(kwargs or {}).values()])
            self._recorder.record(name, inputs, args, made)
        return made


class _FunctionMode(TorchFunctionMode):  # type: ignore[misc]  # PyTorch carries no types
    """A mode in which functions of many operators are recorded as one."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = getattr(func, "__name__", "")
        kwargs = kwargs or {}
        if name in RECURRENCES and args and isinstance(args[0], torch.Tensor):
            return self._recurrences(func, args, kwargs)
        if name == "einsum":
            with self._recorder.einsum():
                return func(*args, **kwargs)
        return func(*args, **kwargs)

    def _recurrences(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        # The weights are the first list of tensors, or the second where states are one, too.
        lists = [one for one in args if isinstance(one, (list, tuple))]
        weights = next((one for one in reversed(lists) if _tensors(one)), ())
        with self._recorder.recurrences(args[0], _tensors(weights)):
            return func(*args, **kwargs)


def _convolution(arguments: Sequence[Any], read: int, written: int, weights: int) -> Operation:
    kernel: tuple[int, ...] = tuple(arguments[1].shape)
    area = math.prod(kernel[2:])
    groups = arguments[GROUPS] if len(arguments) > GROUPS else 1
    if len(arguments) > TRANSPOSED and arguments[TRANSPOSED] is True:
        # Each input is spread over a window of outputs.
        channels, units = kernel[0], kernel[1] * groups
        positions = read // channels
    else:
        channels, units = kernel[1] * groups, kernel[0]
        positions = written // units
    is_depthwise = groups > 1 and groups == channels
    return Operation(
        "depthwise" if is_depthwise else "convolution",
        read,
        written,
        weights,
        positions * math.prod(kernel),
        channels // groups * area,
        units,
        positions,
        kernel[2:],
        groups,
    )


def _attention(inputs: Sequence[Any], read: int, written: int) -> Operation:
    """Describe an attention in one operator: queries with keys, and what that weighs."""
    query, key, value = inputs[:3]
    width, keys = query.shape[-1], key.shape[-2]
    rows = query.numel() // width
    macs = rows * keys * (width + value.shape[-1])
    return Operation("matching", read, written, 0, macs, width, keys, rows)


def _without_data(value: Any) -> Any:
    return value.to("meta") if isinstance(value, torch.Tensor) else value


def _zeros(described: Any, device: Any) -> Any:
    """Return zeros for tensors without data: what takes time is not computed."""
    if isinstance(described, (list, tuple)):
        return tuple(_zeros(one, device) for one in described)
    return torch.empty_strided(
        described.size(), described.stride(), dtype=described.dtype, device=device
    ).zero_()


def _place(tensor: Any) -> int:
    place: int = tensor.untyped_storage().data_ptr()
    return place


def _tensors(values: Any) -> list[Any]:
    if isinstance(values, torch.Tensor):
        return [values]
    if isinstance(values, (list, tuple)):
        return [tensor for value in values for tensor in _tensors(value)]
    return []
