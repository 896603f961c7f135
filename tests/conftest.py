"""Fixtures: one warm simulator for the whole session, and data that is small enough to train on."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import hypothesis
import pytest
from playwright.sync_api import Browser, sync_playwright

from powerml.boards import FOLDER_VARIABLE, ArmSide, find_arm_side, find_emulator, prepare_arm_side
from powerml.cli import main as cli
from powerml.errors import SetupError
from powerml.machines import PAPERS_MACHINE, Machine, load_machine
from powerml.meters.base import MeterOptions
from powerml.meters.simulator.board import CODE_FOLDER
from powerml.meters.simulator.meter import SimulatorMeter
from powerml.meters.simulator.view import BYTE_CODE
from powerml.progress import silent, unwatched
from powerml.spaces import parse_topology
from powerml.studies.address import PASSWORD_VARIABLE
from powerml.workloads.datasets import DEFAULT_VALIDATION, Dataset, load_dataset
from powerml.workloads.workload import TopologyWorkload, make_workload
from tests.browser import CHROMIUM
from tests.doubles import FormulaMeter, Run, WorkloadMaker
from tests.servers import (
    PASSWORD,
    GrpcServer,
    MariaDB,
    Postgres,
    find_mariadb,
    find_postgres,
    serving,
)

OPTIONS = MeterOptions(jobs=2, limit_seconds=600)

# How long an example takes says more of what else runs on the machine. The examples are the same
# in every run, so that a failure is a change's own.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.load_profile("repeatable")


def _session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all processes of this session share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Leave the user's cache of counts and logs alone, here and in processes that are started.

    Each process of the session has counts of its own. Byte code takes a minute to compile, and is
    the same for all.
    """
    cache = tmp_path_factory.mktemp("cache")
    for name in (BYTE_CODE, CODE_FOLDER):
        shared = _session_folder(tmp_path_factory) / name
        shared.mkdir(exist_ok=True)
        (cache / name).symlink_to(shared)
    os.environ["POWERML_CACHE_DIR"] = str(cache)
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def machine() -> Machine:
    return load_machine(PAPERS_MACHINE)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for the tests of all pages."""
    with sync_playwright() as playwright:
        # In a container root has no sandbox to put the browser in; the pages are our own.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def meter(machine: Machine) -> FormulaMeter:
    return FormulaMeter(machine)


@pytest.fixture
def signals_as_before() -> Iterator[None]:
    """Put back how this process heeds signals."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def run(
    signals_as_before: None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    """Run a command in this process; return its exit code and both outputs."""

    def runner(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["powerml", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), out, err

    return runner


@pytest.fixture(scope="session")
def mnist_small() -> Dataset:
    return load_dataset("mnist_small")


@pytest.fixture(scope="session")
def make(mnist_small: Dataset) -> WorkloadMaker:
    """Make a workload on mnist_small."""

    def maker(topology: str, batch_size: int = 50, epochs: int = 1) -> TopologyWorkload:
        return make_workload(
            parse_topology(topology),
            mnist_small,
            batch_size=batch_size,
            epochs=epochs,
            protocol="default",
            backend="torch",
            validation=DEFAULT_VALIDATION,
            seed=0,
        )

    return maker


@pytest.fixture(scope="session")
def simulator(machine: Machine) -> Iterator[SimulatorMeter]:
    """The real simulator, started once for the whole session."""
    with SimulatorMeter(machine, "torch", OPTIONS) as meter:
        yield meter


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """PostgreSQL, started once for the whole session."""
    programs = find_postgres()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with serving(lambda folder: Postgres(folder, programs)) as server:
        yield server


@pytest.fixture
def postgres(postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch) -> Postgres:
    """PostgreSQL with its password in the environment."""
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    return postgres_server


@pytest.fixture
def mariadb(monkeypatch: pytest.MonkeyPatch) -> Iterator[MariaDB]:
    """MariaDB, as a server of MySQL's kind, with its password in the environment."""
    program = find_mariadb()
    if program is None:
        pytest.skip("MariaDB is not installed: apt-get install mariadb-server")
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    with serving(lambda folder: MariaDB(folder, program)) as server:
        yield server


@pytest.fixture
def grpc_proxy() -> Iterator[GrpcServer]:
    """Optuna's gRPC proxy."""
    with serving(GrpcServer) as server:
        yield server


@pytest.fixture(scope="session")
def arm_side(tmp_path_factory: pytest.TempPathFactory) -> ArmSide:
    """The user's ARM side, or one of this session's; without a network the test is skipped."""
    try:
        find_emulator()
        return find_arm_side()
    except SetupError:
        shared = _session_folder(tmp_path_factory)
        os.environ.setdefault(FOLDER_VARIABLE, str(shared / "boards"))
    try:
        return prepare_arm_side(silent, unwatched)
    except SetupError as error:
        pytest.skip(f"the ARM side cannot be prepared: {error}")
