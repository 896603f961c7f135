"""A plugin of pytest: a marker that limits the cost of a model, and a fixture that measures.

It is off until ``--powerml``, the marker or the fixture is used: only then powerML is imported.
With pytest-xdist each process measures, and the main one writes the baseline.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from powerml.costs.measurement import Measurement
    from powerml.gate.marked import TestGate

__all__ = [
    "powerml_measure",
    "pytest_addoption",
    "pytest_configure",
    "pytest_pyfunc_call",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_testnodedown",
]

MARKER = "limit_cost"
DEFAULT_BASELINE = "powerml-pytest-baseline.jsonl"
RECORDS, LINES = "powerml_records", "powerml_lines"


class _Collected:
    """Results of one session of pytest, from this process and its workers."""

    def __init__(self) -> None:
        self.gate: TestGate | None = None
        self.records: list[str] = []
        self.lines: list[str] = []
        self.said: list[str] = []


SESSION = pytest.StashKey[_Collected]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("powerml", "limits on the cost of models (powerML)")
    group.addoption("--powerml", action="store_true", help="Print the measured costs at the end.")
    group.addoption(
        "--powerml-update",
        action="store_true",
        help=f"Write the costs of tests marked with {MARKER} into the baseline.",
    )
    group.addoption(
        "--powerml-baseline",
        metavar="FILE",
        default=None,
        help=f"File of the baseline (default: {DEFAULT_BASELINE} in the root folder).",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(inference_cycles=..., machine=...): limit the cost of the model that the test "
        "returns (powerML)",
    )
    config.stash[SESSION] = _Collected()


def _baseline(config: pytest.Config) -> Path:
    given = config.getoption("--powerml-baseline")
    # A path on the command line is relative to the folder in which pytest was started.
    return (
        config.rootpath / DEFAULT_BASELINE
        if given is None
        else config.invocation_params.dir / given
    )


def _gate(config: pytest.Config) -> TestGate:
    """Return the gate of this process, made when it is first used."""
    session = config.stash[SESSION]
    if session.gate is None:
        from powerml.gate.marked import TestGate

        session.gate = TestGate(
            config.rootpath, _baseline(config), update=config.getoption("--powerml-update")
        )
    return session.gate


@pytest.fixture(scope="session")
def powerml_measure(request: pytest.FixtureRequest) -> Callable[..., Measurement]:
    """Measure a model as `powerml.measure` does, in one simulator for the whole session."""
    return _gate(request.config).measure


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a marked test, and hold the model that it returns against its limits."""
    markers = list(pyfuncitem.iter_markers(MARKER))
    if not markers:
        return None
    from powerml.errors import PowerMLError

    gate = _gate(pyfuncitem.config)
    said: list[str] = []
    try:
        for marker in markers:
            _require_keywords(marker)
            gate.parse(marker.kwargs)  # before the test makes its model
        model = _result_of(pyfuncitem)
        for marker in reversed(markers):
            failure = gate.hold(pyfuncitem.nodeid, model, marker.kwargs)
            said += [] if failure is None else [failure]
    except PowerMLError as error:
        said.append(str(error))
    if said:
        pytest.fail("\n".join(said), pytrace=False)
    return True


def _require_keywords(marker: pytest.Mark) -> None:
    if marker.args:
        pytest.fail(
            f"{MARKER} takes keywords alone: write {MARKER}(inference_cycles=1.5e6)", pytrace=False
        )


def _result_of(test: pytest.Function) -> Any:
    """Call a test's function with its fixtures."""
    names = test._fixtureinfo.argnames
    result = test.obj(**{name: test.funcargs[name] for name in names})
    if result is None or hasattr(result, "__await__"):
        what = "nothing" if result is None else "a coroutine"
        pytest.fail(
            f"a test with {MARKER} returns the model to measure, and this returned {what}: return "
            "a path, a topology or a keras.Model",
            pytrace=False,
        )
    return result


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the simulator; pass on what was measured, or write the baseline."""
    config, mine = session.config, session.config.stash[SESSION]
    if mine.gate is not None:
        from powerml.gate.marked import records_text

        mine.gate.close()
        if mine.gate.records:
            mine.records.append(records_text(mine.gate.records))
        mine.lines += mine.gate.lines
    output: dict[str, Any] | None = getattr(config, "workeroutput", None)
    if output is not None:  # of a worker of xdist
        output[RECORDS], output[LINES] = mine.records, mine.lines
    elif config.getoption("--powerml-update") and mine.records:
        _write(config, mine, session)


def _write(config: pytest.Config, mine: _Collected, session: pytest.Session) -> None:
    from powerml.errors import PowerMLError
    from powerml.gate.marked import merge_records

    path = _baseline(config)
    try:
        number = merge_records(path, mine.records)
        mine.said.append(f"{number} {'record' if number == 1 else 'records'} written to {path}")
    except (PowerMLError, OSError) as error:
        mine.said.append(f"no baseline was written: {error}")
        session.exitstatus = pytest.ExitCode.USAGE_ERROR


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take what a worker of xdist has measured."""
    del error
    output: dict[str, list[str]] = getattr(node, "workeroutput", {})
    mine = node.config.stash[SESSION]
    mine.records += output.get(RECORDS, [])
    mine.lines += output.get(LINES, [])


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    """Print the measured costs, and where the baseline was written."""
    del exitstatus
    mine = config.stash[SESSION]
    lines = [*sorted(mine.lines), *mine.said] if config.getoption("--powerml") else mine.said
    if lines:
        terminalreporter.section("powerML")
        for line in lines:
            terminalreporter.line(line)
