"""Trials of a define-by-run space: a network's parameters, chosen as its code asks for them.

The methods are those of Optuna's trial. What answers is a sampler in a search, and the values of
one topology where its network is built again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real
from typing import Protocol, TypeVar, cast

from powerml.errors import TopologyError
from powerml.spaces.values import ParameterValues, Value, value_of, written

__all__ = [
    "Answer",
    "Choices",
    "Domain",
    "Floats",
    "Integers",
    "Reports",
    "Trial",
    "TrialPruned",
    "answers_of",
    "ends_trial",
    "middle_of",
    "named",
]

Chosen = TypeVar("Chosen", bound=Value)
DIGITS = 4  # of a number that is drawn: far finer than any training can tell
# As in Optuna: multiples of a step are rounded, and miss it by this part of it at most.
STEP_ERROR = 1e-8
LOGARITHMIC = " on a logarithmic scale"
BOOLEANS = ("bool", "bool_")  # Python's, and numpy's of both its versions
# What a name must be without: they end a name, or a value, in a topology's text.
SEPARATORS = frozenset(",=:\"'")


@dataclass(frozen=True)
class Integers:
    """Integers from `low` to `high`, both included."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __contains__(self, value: object) -> bool:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high and (value - self.low) % self.step == 0  # type: ignore[operator]

    def __str__(self) -> str:
        steps = f" in steps of {self.step}" if self.step != 1 else ""
        return f"an integer from {self.low} to {self.high}{steps}{LOGARITHMIC if self.log else ''}"


@dataclass(frozen=True)
class Floats:
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return False
        if not self.low <= value <= self.high:
            return False
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) < STEP_ERROR

    def __str__(self) -> str:
        steps = f" in steps of {self.step:g}" if self.step is not None else ""
        log = LOGARITHMIC if self.log else ""
        return f"a number from {self.low:g} to {self.high:g}{steps}{log}"

    def rounded(self, value: float) -> float:
        """Round a value that was drawn to a few digits, which can be read and written again."""
        span = self.high - self.low
        if self.step is not None or span == 0:
            return value
        # A narrow range far from 0 needs more of them.
        digits = DIGITS + max(0, math.floor(math.log10(max(abs(self.low), abs(self.high)) / span)))
        return min(max(float(f"{value:.{digits}g}"), self.low), self.high)


@dataclass(frozen=True)
class Choices:
    """The given values."""

    choices: tuple[Value, ...]

    def __contains__(self, value: object) -> bool:
        return written(value) in map(written, self.choices)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return f"one of {', '.join(map(written, self.choices))}"


Domain = Integers | Floats | Choices
# Answers a question: from a parameter's name and domain, its value.
Answer = Callable[[str, Domain], Value]


class TrialPruned(Exception):  # noqa: N818 - Optuna's name
    """The end of a training that is not worth going on, as Optuna's exception of this name.

    Examples
    --------
    >>> trial.report(score, epoch)
    >>> if trial.should_prune():
    ...     raise powerml.TrialPruned
    """


def ends_trial(error: BaseException) -> bool:
    """Return whether an exception is `TrialPruned`, or Optuna's, which is not imported for it."""
    return any(kind.__name__ == TrialPruned.__name__ for kind in type(error).__mro__)


class Reports(Protocol):
    """The receiver of a training's reports."""

    def report(self, value: float, step: int) -> None:
        """Hear of the score after a step, which counts from 1."""

    def should_prune(self) -> bool:
        """Return whether the training is not worth going on, by the reports so far."""


class Unheard:
    """Reports that nobody hears, as in the simulator."""

    def report(self, value: float, step: int) -> None:
        """Do nothing."""

    def should_prune(self) -> bool:
        """Return False: the training goes on."""
        return False


class Trial:
    """A member of a space in the making.

    Parameters
    ----------
    answer
        Chooses the value of a parameter from its name and its domain.
    reports
        Hears of the reports of its training.
    """

    def __init__(self, answer: Answer, reports: Reports | None = None) -> None:
        self._answer = answer
        self._reports: Reports = reports or Unheard()
        self._params: dict[str, Value] = {}
        self._domains: dict[str, Domain] = {}

    @property
    def params(self) -> dict[str, Value]:
        """The parameters that were asked for so far, by name, in their order."""
        return dict(self._params)

    @property
    def domains(self) -> dict[str, Domain]:
        """The domain of each parameter, by name, in their order."""
        return dict(self._domains)

    @property
    def is_heard(self) -> bool:
        """True if the reports of its training go to a pruner."""
        return not isinstance(self._reports, Unheard)

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Choose an integer from `low` to `high`, both included; raises ``TopologyError``."""
        low, high, step = (
            _integer(name, *given) for given in (("low", low), ("high", high), ("step", step))
        )
        if low > high or step < 1:
            raise TopologyError(f"{name} is from {low} to {high} in steps of {step}: give a range")
        if log and (low < 1 or step != 1):
            raise TopologyError(
                f"{name} is logarithmic from {low}: give low=1 or more, and no step"
            )
        value = self._ask(name, Integers(low, high - (high - low) % step, step, log))
        return int(value)  # type: ignore[arg-type]

    def suggest_float(
        self,
        name: str,
        low: float,
        high: float,
        *,
        step: float | None = None,
        log: bool = False,
    ) -> float:
        """Choose a number from `low` to `high`, both included; raises ``TopologyError``."""
        given: tuple[tuple[str, object], ...] = (("low", low), ("high", high), ("step", step))
        for what, number in given:
            if number is not None and not isinstance(number, Real):
                raise TopologyError(f"{name} has {what}={number!r}: give a number")
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise TopologyError(f"{name} is from {low} to {high}: give two finite numbers in order")
        if log and (low <= 0 or step is not None):
            raise TopologyError(f"{name} is logarithmic from {low}: give low above 0, and no step")
        if step is not None and not step > 0:
            raise TopologyError(f"{name} has the step {step}: give one above 0")
        low, high = float(low), float(high)
        if step is not None:
            step, high = float(step), _last_step(low, high, float(step))
        value = self._ask(name, Floats(low, high, step, log))
        return float(value)  # type: ignore[arg-type]

    def suggest_categorical(self, name: str, choices: Sequence[Chosen]) -> Chosen:
        """Choose one of the values, which are texts, numbers, booleans or None."""
        if isinstance(choices, str):
            raise TopologyError(f"{name} has the choices {choices!r}: give a list of values")
        values = tuple(_plain(name, one) for one in choices)
        if not values:
            raise TopologyError(f"{name} has no choices: give at least one")
        return cast(Chosen, self._ask(name, Choices(values)))

    def report(self, value: float, step: int) -> None:
        """Report a score while the network is trained: the larger, the better.

        Parameters
        ----------
        value
            The score, by the metric of the study.
        step
            Number of the epoch or of another part of the training, from 1 on.
        """
        self._reports.report(float(value), int(step))

    def should_prune(self) -> bool:
        """Return whether the training is not worth going on: then raise `TrialPruned`.

        Without a pruner, and in the simulator, it is worth going on.
        """
        return self._reports.should_prune()

    def _ask(self, name: str, domain: Domain) -> Value:
        if not isinstance(name, str) or not name or name.split() != [name] or SEPARATORS & {*name}:
            raise TopologyError(
                f"a parameter is called {name!r}: give a text without spaces, commas, colons, "
                "quotes or ="
            )
        known = self._domains.get(name)
        if known is None:
            value = self._answer(name, domain)
            self._domains[name], self._params[name] = domain, value
        elif type(known) is not type(domain) or known != domain:
            raise TopologyError(
                f"{name} is asked for twice, as {known} and as {domain}: give each a name of its "
                "own"
            )
        return self._params[name]


def _integer(name: str, what: str, number: object) -> int:
    """Return an integer of any library's as Python's."""
    if isinstance(number, bool) or not isinstance(number, Integral):
        raise TopologyError(f"{name} has {what}={number!r}: give an integer")
    return int(number)


def _last_step(low: float, high: float, step: float) -> float:
    """Return the last number that steps reach, by the decimals that are written, as Optuna does."""
    first, by = Decimal(str(low)), Decimal(str(step))
    return float(first + (Decimal(str(high)) - first) // by * by)


def _plain(name: str, choice: object) -> Value:
    """Return a choice as Python's own: numpy's numbers are written in another way."""
    if choice is None:
        return None
    if type(choice).__name__ in BOOLEANS:
        return bool(choice)
    if isinstance(choice, str):
        return str(choice)
    if isinstance(choice, Integral):
        return int(choice)
    if isinstance(choice, Real):
        return float(choice)
    raise TopologyError(
        f"{name} has a choice of type {type(choice).__name__}: give texts, numbers, booleans or "
        "None"
    )


def answers_of(values: ParameterValues, space: str, holder: str | None = None) -> Answer:
    """Answer with the values of a topology.

    The answer raises ``TopologyError`` for a value that is missing or outside its domain.

    Parameters
    ----------
    values
        The values.
    space
        Name of the space.
    holder
        What holds the values, for messages; None for the topology's text.
    """

    def answer(name: str, domain: Domain) -> Value:
        if name not in values:
            advice = f"write {space}:..., {name}=" if holder is None else f"give it {name}="
            raise TopologyError(
                f"{holder or space} needs {name}, {domain}: {advice}{_example(domain)}"
            )
        found = _as_of(domain, values[name])
        if found not in domain:
            raise TopologyError(
                f"{holder or space} has {name}={written(values[name])}: {name} is {domain}"
            )
        return found

    return answer


def _as_of(domain: Domain, value: Value) -> Value:
    """Return a value in the type of its domain: in a text 1 may be a number or a choice "1"."""
    if isinstance(domain, Floats) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(domain, Choices) and value not in domain:
        text = written(value)
        texts = [one for one in domain.choices if isinstance(one, str)]
        alike: list[Value] = [one for one in texts if written(value_of(one)) == text]
        if isinstance(value, int) and not isinstance(value, bool):
            alike += [one for one in domain.choices if isinstance(one, float) and one == value]
        return alike[0] if alike else value
    return value


def _example(domain: Domain) -> str:
    return written(middle_of("", domain))


def middle_of(_name: str, domain: Domain) -> Value:
    """Answer with the middle of a domain; of choices with the first."""
    if isinstance(domain, Choices):
        return domain.choices[0]
    low, high = domain.low, domain.high
    if isinstance(domain, Floats):
        middle = math.sqrt(low * high) if domain.log else (low + high) / 2
        if domain.step is not None:
            middle = low + round((middle - low) / domain.step) * domain.step
        return min(max(domain.rounded(middle), low), high)
    if domain.log:
        return min(max(round(math.sqrt(low * high)), domain.low), domain.high)
    return domain.low + (domain.high - domain.low) // domain.step // 2 * domain.step


def named(values: Mapping[str, Value]) -> str:
    """Write values as in a topology's text."""
    return ",".join(f"{name}={written(value)}" for name, value in values.items())
