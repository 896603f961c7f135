"""Open dimensions: the recognition of the batch, and derived sizes. Pure.

Exporters name a dimension that is computed by an expression, as in ``past + seq``.
"""

from __future__ import annotations

import ast
import operator
import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence

from powerml.errors import UsageError
from powerml.runtimes import Input

__all__ = ["is_batch", "names_in", "option", "shape_text", "solve"]

BATCH_WORDS = {"b", "batch", "batches", "batchsize", "bs", "bsz", "n"}
# What exporters and people call the dimension that time or a text goes along.
SEQUENCE_WORDS = {
    "audio", "chunk", "chunks", "context", "duration", "feature", "features", "frame", "frames",
    "height", "l", "len", "length", "past", "position", "positions", "rows", "sample", "samples",
    "seq", "seqlen", "sequence", "sequences", "signal", "step", "steps", "t", "time", "times",
    "timestep", "timesteps", "token", "tokens", "width", "window",
}  # fmt: skip
IMAGE_RANK = 4
OPERATORS: dict[type[ast.operator], Callable[[int, int], int | None]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: lambda one, other: one // other if other else None,
    ast.Div: lambda one, other: one // other if other else None,
}
LONGEST_EXPRESSION = 200


def is_batch(one: Input) -> bool:
    """Return whether the first dimension of an input counts samples, by its description.

    An open one does unless its name says otherwise. A fixed one does if the input is an image, of
    rank 4. One of size 1 is a batch of one sample.
    """
    if not one.shape:
        return False
    first = one.shape[0]
    if isinstance(first, int):
        return len(one.shape) == IMAGE_RANK or (len(one.shape) > 1 and first == 1)
    words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", first).lower()))
    if words & BATCH_WORDS or "batch" in first.lower():
        return True
    is_unnamed = first == f"{one.name}.0"
    return is_unnamed or not words & SEQUENCE_WORDS


def names_in(names: Collection[str]) -> set[str]:
    """All names that occur in those that are expressions."""
    return {
        one for name in names if (tree := _parsed(name)) is not None for one in _variables(tree)
    }


def solve(names: Collection[str], given: Mapping[str, int]) -> dict[str, int]:
    """Compute the sizes that follow from the given ones.

    Parameters
    ----------
    names
        All open dimensions; some are expressions of others, with ``+ - * //`` and integers.
    given
        Sizes by name; a name may occur only in an expression.

    Raises
    ------
    UsageError
        Sizes contradict each other, or one is below 1.
    """
    trees = {name: tree for name in sorted(names) if (tree := _parsed(name)) is not None}
    sizes = dict(given)
    for _ in range(len(trees) + 1):
        for name, tree in trees.items():
            unknown = sorted(_variables(tree) - sizes.keys())
            if not unknown and name not in sizes:
                sizes[name] = _size(name, _value(tree, sizes))
            elif len(unknown) == 1 and name in sizes:
                solution = _solution(tree, unknown[0], sizes, sizes[name])
                if solution is not None:
                    sizes[unknown[0]] = _size(unknown[0], solution)
    for name, tree in trees.items():
        if name in sizes and not _variables(tree) - sizes.keys():
            value = _value(tree, sizes)
            if value != sizes[name]:
                parts = ", ".join(f"{one} = {sizes[one]}" for one in sorted(_variables(tree)))
                raise UsageError(
                    f"the dimension {name!r} is given as {sizes[name]}, and comes to {value} with "
                    f"{parts}: give fewer of them"
                )
    return sizes


def _size(name: str, value: int | None) -> int:
    if value is None or value < 0:
        raise UsageError(f"the dimension {name!r} comes to {value}: give other sizes")
    return value


def _parsed(name: str) -> ast.expr | None:
    """Return a name parsed as an expression, None if it is a plain name or anything else."""
    if len(name) > LONGEST_EXPRESSION:
        return None
    try:
        tree = ast.parse(name.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    allowed = (ast.BinOp, ast.Name, ast.Load, ast.Constant, *OPERATORS)
    if not isinstance(tree, ast.BinOp):
        return None
    for node in ast.walk(tree):
        if not isinstance(node, allowed):
            return None
        if isinstance(node, ast.Constant) and type(node.value) is not int:
            return None
    return tree


def _variables(tree: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _value(tree: ast.expr, sizes: Mapping[str, int]) -> int | None:
    if isinstance(tree, ast.Name):
        return sizes[tree.id]
    if isinstance(tree, ast.Constant) and isinstance(tree.value, int):
        return tree.value
    if not isinstance(tree, ast.BinOp):
        return None
    left, right = _value(tree.left, sizes), _value(tree.right, sizes)
    if left is None or right is None:
        return None
    return OPERATORS[type(tree.op)](left, right)


def _solution(tree: ast.expr, unknown: str, sizes: Mapping[str, int], wanted: int) -> int | None:
    """Solve a linear expression of a known size for one name, None without a single solution."""
    at_zero, at_one = (_value(tree, {**sizes, unknown: value}) for value in (0, 1))
    if at_zero is None or at_one is None or at_zero == at_one:
        return None
    found = (wanted - at_zero) // (at_one - at_zero)
    return found if _value(tree, {**sizes, unknown: found}) == wanted else None


def option(name: str) -> str:
    """Write the option that gives a dimension its size, as a shell takes it."""
    return f"--dim {shlex.quote(f'{name}=N')}"


def shape_text(shape: Sequence[int | str]) -> str:
    """Write a shape with a question mark for each open dimension, as in ``(1, 3, ?, ?)``."""
    sizes = ["?" if isinstance(size, str) else str(size) for size in shape]
    return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"
