"""What the meters that run Valgrind share, and the whole process as in 2018."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from powerml.backend import backend_version
from powerml.counts import Counts, Fidelity, PhaseCounts
from powerml.errors import UsageError, WorkerError
from powerml.fingerprint import Fingerprint, digest_of
from powerml.machines import Machine
from powerml.runtimes import find_runtime
from powerml.simulate import launch
from powerml.simulate.output import read_cachegrind
from powerml.simulate.sampling import Shape
from powerml.simulate.staging import Staging
from powerml.topology import find_family, parse_topology
from powerml.workload import AnyWorkload, Material, Workload

__all__ = [
    "DEFAULTS",
    "DEFAULT_ERROR",
    "DEFAULT_LIMIT_SECONDS",
    "PHASES",
    "CachegrindMeter",
    "Machines",
    "MeterOptions",
    "Notify",
    "PhaseName",
    "ValgrindMeter",
    "shape_of",
    "silent",
    "whole",
]

DEFAULT_LIMIT_SECONDS = 3600.0
DEFAULT_ERROR = 0.01
LOG_LINES_SHOWN = 3

PhaseName = Literal["training", "inference"]
PHASES: tuple[PhaseName, ...] = ("training", "inference")
Notify = Callable[[str], None]
Machines = Machine | Sequence[Machine]


def silent(_message: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class MeterOptions:
    """How a meter works. Raises ``UsageError`` where a value is out of range.

    Parameters
    ----------
    fidelity
        ``exact``; ``sampled``: a few steps are simulated and the rest extrapolated; ``predicted``:
        nothing is simulated.
    error
        How large the bound of the relative error may be: more is simulated until it is met, and a
        prediction that does not meet it is refused.
    jobs
        How many processes simulate at once.
    limit_seconds
        After how long a simulated phase is given up.
    """

    fidelity: Fidelity = "exact"
    error: float = DEFAULT_ERROR
    jobs: int = 1
    limit_seconds: float = DEFAULT_LIMIT_SECONDS

    def __post_init__(self) -> None:
        if not 0 < self.error < 1:
            raise UsageError(f"the error is {self.error:g}: give one between 0 and 1, as 0.01")
        if self.jobs < 1:
            raise UsageError(f"jobs is {self.jobs}: give at least 1")
        if not self.limit_seconds > 0:
            raise UsageError(f"the limit is {self.limit_seconds:g} s: give more than 0")


DEFAULTS = MeterOptions()


class ValgrindMeter:
    """What both share: a private folder, the staged data and the fingerprint.

    Parameters
    ----------
    machines
        A machine, or several that are simulated alike: what a sample's bound holds for.
    backend
        The Keras backend, None where no Keras is needed.
    options
        How it works.
    """

    name = ""

    def __init__(
        self, machines: Machines, backend: str | None, options: MeterOptions = DEFAULTS
    ) -> None:
        launch.find_valgrind()
        launch.require_client_requests()
        self.machines = (machines,) if isinstance(machines, Machine) else tuple(machines)
        self.machine = self.machines[0]
        self._backend = backend
        self._options = options
        self._staging: Staging | None = None
        self._making_folder = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._private: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()
        self._stack.close()

    def _close(self) -> None:
        """End what was started."""

    @property
    def folder(self) -> Path:
        """The private folder, made when it is first needed."""
        with self._making_folder:
            if self._private is None:
                self._private = self._stack.enter_context(launch.private_folder())
            return self._private

    def _fingerprint(self, guest: Mapping[str, Any]) -> Fingerprint:
        software = {
            "powerml": metadata.version("powerml"),
            "valgrind": launch.valgrind_version(),
            **guest["software"],
        }
        environment = launch.text_environment(launch.environment(self._backend))
        return Fingerprint(
            meter=self.name,
            geometry=self.machine.geometry,
            simulated_geometry=self.machine.simulated_geometry,
            software=software,
            cpu_features=tuple(guest["cpu_features"]),
            threads=1,
            environment_digest=digest_of(environment),
        )

    @property
    def staging(self) -> Staging:
        """Where what is measured is put for the worker."""
        folder = self.folder
        with self._making_folder:
            if self._staging is None:
                self._staging = Staging(folder)
            return self._staging

    def circumstances(self, workload: AnyWorkload) -> dict[str, Any]:
        """Everything beside the workload that determines its counts, as plain JSON.

        It is known before anything is started. What a sample is composed of depends on the prices
        too, for the error's sake.
        """
        return self._circumstances(_plug_ins(workload))

    def _circumstances(self, plug_ins: list[object]) -> dict[str, Any]:
        options = asdict(self._options)
        del options["jobs"], options["limit_seconds"]
        sampled = self._options.fidelity == "sampled"
        return {
            "meter": self.name,
            "geometry": self.machine.geometry.model_dump(mode="json"),
            "simulated_geometry": self.machine.simulated_geometry.model_dump(mode="json"),
            "fidelity": options if sampled else {"fidelity": "exact"},
            "prices": [one.model_dump(mode="json") for one in self.machines] if sampled else None,
            **launch.surroundings(self._backend),
            "code": launch.code_digest(plug_ins),
        }


def _plug_ins(workload: AnyWorkload) -> list[object]:
    """What other code than powerML's own a workload's counts may depend on."""
    found: list[object] = []
    if isinstance(workload, Workload) and workload.model_digest is None:
        found.append(find_family(parse_topology(workload.topology).family))
    if workload.deployment is not None:
        found.append(find_runtime(workload.deployment.runtime))
    return found


def shape_of(phase: str, workload: Workload) -> Shape:
    """Return the steps of a phase."""
    if phase == "training":
        return Shape.of(workload.training_samples, workload.batch_size, workload.epochs)
    return Shape.of(workload.inference_samples, workload.batch_size)


def whole(phase: str, workload: Workload, counts: Counts) -> PhaseCounts:
    """A phase of which all was simulated; the compilation has no steps."""
    total = shape_of(phase, workload).steps if phase in PHASES else 0
    return PhaseCounts(name=phase, counts=counts, steps_simulated=total, steps_total=total)


class CachegrindMeter(ValgrindMeter):
    """The 2018 way: a whole process under Cachegrind, from import to exit. The yardstick.

    Its counts hold the import of the framework, a hundred times the training itself.
    """

    name = "cachegrind"

    def __init__(
        self, machines: Machines, backend: str | None, options: MeterOptions = DEFAULTS
    ) -> None:
        super().__init__(machines, backend, options)
        self._numbers = count(1)

    def fingerprint(self) -> Fingerprint:
        """What the counts depend on beside the workload."""
        software = {
            "keras": metadata.version("keras"),
            "numpy": metadata.version("numpy"),
        }
        if self._backend is not None:
            software[self._backend] = backend_version(self._backend)
        return self._fingerprint({"software": software, "cpu_features": ()})

    def measure(
        self, workload: AnyWorkload, material: Material, notify: Notify = silent
    ) -> list[PhaseCounts]:
        """Count one process that trains and another that evaluates.

        Raises
        ------
        UsageError
            The workload is deployed elsewhere than in Keras.
        WorkerError
            A process failed or took too long.
        """
        if not isinstance(workload, Workload) or workload.deployment is not None:
            raise UsageError(
                "the meter cachegrind counts whole processes of Keras: leave out --runtime, "
                "or measure with the meter callgrind"
            )
        return [self.measure_phase(workload, material, phase, notify) for phase in PHASES]

    def measure_phase(
        self, workload: Workload, material: Material, phase: PhaseName, notify: Notify = silent
    ) -> PhaseCounts:
        """Count one process; raises ``WorkerError``."""
        launch.precompile()
        name = f"{phase}-{next(self._numbers)}"  # several threads may measure
        request = self.folder / f"whole-{name}"
        request.write_text(
            json.dumps(self.staging.training(workload, material, phase).content()),
            encoding="utf-8",
        )
        notify(f"the whole process under Cachegrind: {phase} of {workload.topology} (minutes)")
        geometry = self.machine.simulated_geometry
        output = self.folder / f"cachegrind-{name}.out"
        try:
            ended = subprocess.run(
                launch.cachegrind_command(geometry, self.folder, output, request),
                env=launch.environment(self._backend),
                cwd=launch.WORKING_DIRECTORY,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=self._options.limit_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise WorkerError(
                f"{phase} of {workload.topology} took longer than "
                f"{self._options.limit_seconds:g} s and was stopped: raise --limit-seconds"
            ) from error
        if ended.returncode != 0:
            words = " | ".join(ended.stderr.strip().splitlines()[-LOG_LINES_SHOWN:])
            raise WorkerError.quoting(
                f"{phase} of {workload.topology} failed with exit code {ended.returncode}",
                words,
                "measure again",
            )
        return whole(phase, workload, read_cachegrind(output))
