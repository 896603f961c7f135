"""Cases of a form and a number, which hypothesis draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from hypothesis import strategies as st

from fuzz.case import Case, Command, Place

__all__ = ["Form", "of_forms"]

# Makes the files of an input; returns the command, and what was done.
Form = Callable[[Place, Random], Command]
MOST = 2**32 - 1


def of_forms(forms: Sequence[Form]) -> st.SearchStrategy[Case]:
    """Return a strategy for inputs of these forms, each with randomness of its own."""

    def case(form: Form, number: int) -> Case:
        said = form.__name__.strip("_").replace("_", " ")
        return Case(f"{said} {number}", lambda place: form(place, Random(number)))

    return st.builds(case, st.sampled_from(list(forms)), st.integers(0, MOST))
