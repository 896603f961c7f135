from __future__ import annotations

import re

import pytest

from powerml import errors
from powerml.errors import PowerMLError, UnknownNameError, UsageError

DRAWN = re.compile(r"^(?P<branch>[ │├└─]*)(?P<name>\w+Error) +(?P<code>\d)")


def _drawn() -> list[tuple[int, str, int]]:
    """Depth, name and exit code of each line of the tree in the docstring."""
    lines = (errors.__doc__ or "").splitlines()
    found = [match for line in lines if (match := DRAWN.match(line))]
    return [(len(m["branch"]) // 4 - 1, m["name"], int(m["code"])) for m in found]


def _real(kind: type[PowerMLError] = PowerMLError, depth: int = 0) -> set[tuple[int, str, int]]:
    below = [_real(child, depth + 1) for child in kind.__subclasses__() if _is_ours(child)]
    return {(depth, kind.__name__, kind.exit_code)}.union(*below)


def _is_ours(kind: type[PowerMLError]) -> bool:
    return kind.__module__ == errors.__name__


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn = _drawn()
    assert len(drawn) == len(errors.__all__)
    assert set(drawn) == _real()


def test_each_error_is_drawn_under_its_parent() -> None:
    path: list[str] = []
    for depth, name, _ in _drawn():
        del path[depth:]
        if path:
            assert getattr(errors, name).__bases__ == (getattr(errors, path[-1]),)
        path.append(name)


def test_everything_that_powerml_raises_can_be_caught_by_one_name() -> None:
    assert all(issubclass(getattr(errors, name), PowerMLError) for name in errors.__all__)


@pytest.mark.parametrize(
    ("asked", "nearest"), [("dfr", "dffr"), ("cn", "cnn"), ("mnist-small", "mnist_small")]
)
def test_unknown_name_offers_the_nearest(asked: str, nearest: str) -> None:
    message = str(UnknownNameError("thing", asked, ["dffr", "cnn", "mnist_small"]))
    assert message == f"unknown thing {asked!r}: did you mean {nearest!r}?"


def test_unknown_name_far_from_all_lists_them_sorted() -> None:
    error = UnknownNameError("space", "transformer", ["dffr", "cnn"])
    assert str(error) == "unknown space 'transformer': known: cnn, dffr"
    assert isinstance(error, UsageError)
