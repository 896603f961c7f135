"""The work of one node of a model's graph, as its tensors' shapes tell it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

__all__ = [
    "NodeWork",
    "TensorShape",
    "UntoldWorkError",
    "einsum_work",
    "elements",
    "matrix_product_work",
]

TensorShape = tuple[int, ...]
PAIR = 2  # operands whose products are summed


class UntoldWorkError(Exception):
    """A node whose multiply-accumulates are not known."""


@dataclass(frozen=True)
class NodeWork:
    """Multiply-accumulates and bytes of one node in one inference.

    Parameters
    ----------
    name
        The name of the node.
    operator
        Its operator, as in ``Conv``.
    nodes
        The names of the model's nodes that were fused into it; none if it is one of them, or if
        they are untold.
    multiply_accumulates
        Those of its convolutions and products of matrices; 0 if it has none, None if untold.
        Elementwise arithmetic, such as an activation or a normalisation, counts as 0.
    data_bytes
        Bytes of its inputs, weights and outputs, each once; None if untold.
    """

    name: str
    operator: str
    nodes: tuple[str, ...] = ()
    multiply_accumulates: int | None = None
    data_bytes: int | None = None

    def plus(self, other: NodeWork) -> NodeWork:
        """Return the work of this node and of another that has its name."""
        return replace(
            self,
            nodes=(*self.nodes, *other.nodes),
            multiply_accumulates=_sum(self.multiply_accumulates, other.multiply_accumulates),
            data_bytes=_sum(self.data_bytes, other.data_bytes),
        )


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second


def elements(shape: Sequence[int]) -> int:
    """Return the number of elements of a shape."""
    return math.prod(shape)


def matrix_product_work(first: TensorShape, second: TensorShape) -> int:
    """Return the multiply-accumulates of numpy's ``matmul``, whose leading axes are broadcast.

    Raises
    ------
    UntoldWorkError
        The shapes do not fit.
    """
    if not first or not second:
        raise UntoldWorkError
    left = first if len(first) > 1 else (1, *first)
    right = second if len(second) > 1 else (*second, 1)
    if left[-1] != right[-2]:
        raise UntoldWorkError
    return elements(_broadcast(left[:-2], right[:-2])) * left[-2] * left[-1] * right[-1]


def _broadcast(first: TensorShape, second: TensorShape) -> TensorShape:
    long, short = (first, second) if len(first) >= len(second) else (second, first)
    padded = (1,) * (len(long) - len(short)) + short
    if any(a != b and 1 not in (a, b) for a, b in zip(long, padded, strict=True)):
        raise UntoldWorkError
    return tuple(b if a == 1 else a for a, b in zip(long, padded, strict=True))


def einsum_work(equation: str, shapes: Sequence[TensorShape]) -> int:
    """Return the multiply-accumulates of an Einstein summation of one or two operands.

    Raises
    ------
    UntoldWorkError
        It has more operands, an ellipsis, or shapes that do not fit.
    """
    terms = equation.replace(" ", "").split("->")[0].split(",")
    if "." in equation or len(terms) != len(shapes) or len(terms) > PAIR:
        raise UntoldWorkError
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        if len(term) != len(shape):
            raise UntoldWorkError
        _learn(sizes, dict(zip(term, shape, strict=True)))
    return math.prod(sizes.values()) if len(terms) == PAIR else 0


def _learn(sizes: dict[str, int], found: Mapping[str, int]) -> None:
    for label, size in found.items():
        if sizes.setdefault(label, size) not in (size, 1):
            raise UntoldWorkError
        sizes[label] = max(sizes[label], size)
