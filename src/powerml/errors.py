"""Every exception that powerML raises on purpose.

A message names what was wrong, the value, and what to do. ``exit_code`` is the command line's: 0
done, 1 failed while running, 2 wrong use, 3 a limit was exceeded, 4 not comparable::

    PowerMLError                  1
    ├── UsageError                2  a request that cannot be met
    │   ├── UnknownNameError      2  a name that no space, machine, dataset or other kind has
    │   ├── TopologyError         2  a topology that cannot be read, or is out of bounds
    │   ├── SpaceError            2  a user's own space that cannot be used
    │   ├── DatasetError          2  data that is missing, damaged or inconsistent
    │   ├── MachineError          2  a machine profile that cannot be used
    │   ├── ModelError            2  a model's file that cannot be used
    │   ├── CalibrationError      2  readings or a calibration that cannot be used
    │   └── StudyError            2  a study folder that cannot be used
    ├── SetupError                1  something that is missing or cannot be used
    ├── ClusterError              1  workers that cannot be reached, or must not be used
    ├── TrainingError             1  a native training that failed
    ├── ExportError               1  a model that cannot be exported, or not faithfully
    ├── LimitError                3  limits that nothing meets
    └── MeasurementError          1  a measurement that failed
        ├── OutputError           1  incomplete output of the simulator
        ├── WorkerError           1  a measured process that crashed, hung or was killed
        ├── ServerError           1  a warm process that cannot be started, or died twice
        ├── ComparisonError       4  two measurements that must not be compared
        └── PredictionError       1  counts that cannot be predicted well enough
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Self

__all__ = [
    "CalibrationError",
    "ClusterError",
    "ComparisonError",
    "DatasetError",
    "ExportError",
    "LimitError",
    "MachineError",
    "MeasurementError",
    "ModelError",
    "OutputError",
    "PowerMLError",
    "PredictionError",
    "ServerError",
    "SetupError",
    "SpaceError",
    "StudyError",
    "TopologyError",
    "TrainingError",
    "UnknownNameError",
    "UsageError",
    "WorkerError",
]


LONGEST_MESSAGE = 300
LEAST_QUOTE, LONGEST_QUOTE = 60, 160
AROUND_MESSAGE = 100  # what the command line puts around a message
# Words after which libraries name the cause at the end of a long text.
CAUSE_MARKS = ("Exception encountered:", "Status Message:")
ERROR_CODE = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .{1,4096}? failed:)?"
)
LONGEST_WORD = 64
MARK = "…"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # of terminals, in which Keras words its errors


class PowerMLError(Exception):
    """The root of the tree. `detail` is the full text that the message quotes in part."""

    exit_code = 1
    detail = ""

    @classmethod
    def quoting(cls, wrong: str, said: BaseException | str, advice: str) -> Self:
        """Make an error whose message quotes a line of another library's.

        Parameters
        ----------
        wrong
            Our own words for what was wrong.
        said
            The exception or the text of the other library. What does not fit is in `detail`.
        advice
            Our own words for what to do.
        """
        text = said if isinstance(said, str) else words_of(said)
        room = LONGEST_MESSAGE - AROUND_MESSAGE - len(wrong) - len(advice)
        quoted = shortened(_cause_in(text), min(max(room, LEAST_QUOTE), LONGEST_QUOTE))
        error = cls(f"{wrong} ({quoted}): {advice}")
        if isinstance(said, PowerMLError):
            error.detail = said.detail
        if quoted != text:
            error.detail = f"{text}\n{error.detail}".strip()
        return error


def _cause_in(text: str) -> str:
    for mark in CAUSE_MARKS:
        text = text.rpartition(mark)[2].strip() or text
    return ERROR_CODE.sub("", text)


def words_of(error: BaseException) -> str:
    """Return the words of an exception, without the number and the path of an ``OSError``."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    text = text_of(error)
    # The text of these is a name or a value alone.
    is_bare = isinstance(error, (LookupError, AssertionError, SystemExit)) or not text.strip()
    return f"{type(error).__name__}: {text}".rstrip(": ") if is_bare else text


def text_of(error: BaseException) -> str:
    """Return an exception's text, without colours; empty where its own class fails to give one."""
    try:
        return COLOURS.sub("", str(error))
    except Exception:  # code of others
        return ""


def shortened(text: str, most: int) -> str:
    """Return a text as one line of at most `most` characters; a mark stands for omissions.

    Long words, such as paths, lose their middle first, and then the text its end.
    """
    words = text.split()
    if len(line := " ".join(words)) <= most:
        return line
    line = " ".join(map(_shortened_word, words))
    return line if len(line) <= most else f"{line[: most - len(MARK)].rstrip()}{MARK}"


def _shortened_word(word: str) -> str:
    if len(word) <= LONGEST_WORD:
        return word
    kept = LONGEST_WORD - len(MARK)
    return f"{word[: kept // 3]}{MARK}{word[-(kept - kept // 3) :]}"


class UsageError(PowerMLError):
    """A request that cannot be met."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that no space, machine, dataset or other kind has."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
        super().__init__(f"unknown {kind} {name!r}: {hint}")


class TopologyError(UsageError):
    """A topology that cannot be read, or is out of bounds."""


class SpaceError(UsageError):
    """A user's own space that cannot be used, or whose code failed."""


class DatasetError(UsageError):
    """Data that is missing, damaged or inconsistent."""


class MachineError(UsageError):
    """A machine profile that cannot be used."""


class ModelError(UsageError):
    """A model's file that cannot be used."""


class CalibrationError(UsageError):
    """Readings, or a calibration, that cannot be used."""


class StudyError(UsageError):
    """A study folder that cannot be used."""


class SetupError(PowerMLError):
    """A program, package or file that is missing or cannot be used."""


class ClusterError(PowerMLError):
    """Workers that cannot be reached, or must not be used."""


class TrainingError(PowerMLError):
    """A native training that failed."""


class ExportError(PowerMLError):
    """A model that cannot be exported, or not faithfully."""


class LimitError(PowerMLError):
    """Limits that nothing meets."""

    exit_code = 3


class MeasurementError(PowerMLError):
    """A measurement that failed."""


class OutputError(MeasurementError):
    """Incomplete output of the simulator."""


class WorkerError(MeasurementError):
    """A measured process that crashed, hung or was killed."""


class ServerError(MeasurementError):
    """A warm process that cannot be started, or died twice."""


class ComparisonError(MeasurementError):
    """Two measurements that must not be compared."""

    exit_code = 4


class PredictionError(MeasurementError):
    """Counts that cannot be predicted, or not as well as they were asked for."""
