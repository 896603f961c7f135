"""The whole process under Cachegrind, as in 2018, for comparison."""

from __future__ import annotations

import json
import subprocess
from importlib import metadata
from itertools import count

from powerml.backend import backend_version
from powerml.costs.counts import PhaseCounts, PhaseName
from powerml.costs.fingerprint import Fingerprint
from powerml.errors import UsageError, WorkerError
from powerml.meters.base import DEFAULTS, Machines, MeterOptions
from powerml.meters.simulator import launch
from powerml.meters.simulator.base import KERAS_PHASES, ValgrindMeter, whole
from powerml.meters.valgrind.output import read_cachegrind
from powerml.progress import Advance, Notify, silent, unwatched
from powerml.workloads.workload import AnyWorkload, Material, TrainedWorkload

__all__ = ["CachegrindMeter"]

LOG_LINES_SHOWN = 3


class CachegrindMeter(ValgrindMeter):
    """The method of 2018: a whole process under Cachegrind, from import to exit.

    Its counts include the import of the framework, which is a hundred times the training itself.
    """

    name = "cachegrind"

    def __init__(
        self, machines: Machines, backend: str | None, options: MeterOptions = DEFAULTS
    ) -> None:
        super().__init__(machines, backend, options)
        self._numbers = count(1)

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the counts."""
        software = {
            "keras": metadata.version("keras"),
            "numpy": metadata.version("numpy"),
        }
        if self._backend is not None:
            software[self._backend] = backend_version(self._backend)
        return self._fingerprint({"software": software, "cpu_features": ()}, self.machine)

    def measure(
        self,
        workload: AnyWorkload,
        material: Material,
        notify: Notify = silent,
        advance: Advance = unwatched,  # noqa: ARG002 - the Protocol's
    ) -> list[PhaseCounts]:
        """Count one process that trains and another that evaluates.

        Raises
        ------
        UsageError
            The workload is deployed in a runtime other than Keras.
        WorkerError
            A process failed or took too long.
        """
        training = workload.training
        if training is None or training.deployment is not None:
            raise UsageError(
                "the meter cachegrind counts whole processes of Keras: leave out --runtime, "
                "or measure with the meter simulator"
            )
        return [self.measure_phase(training, material, phase, notify) for phase in KERAS_PHASES]

    def measure_phase(
        self,
        workload: TrainedWorkload,
        material: Material,
        phase: PhaseName,
        notify: Notify = silent,
    ) -> PhaseCounts:
        """Count one process; raises ``WorkerError``."""
        name = f"{phase}-{next(self._numbers)}"  # several threads may measure
        request = self.folder / f"whole-{name}"
        request.write_text(
            json.dumps(self.staging.training(workload, material, phase).content()),
            encoding="utf-8",
        )
        notify(f"the whole process under Cachegrind: {phase} of {workload.name} (minutes)")
        geometry = self.machine.simulated_geometry
        output = self.folder / f"cachegrind-{name}.out"
        launched = launch.cachegrind(geometry, self._backend, self.view, output, request)
        try:
            ended = subprocess.run(
                launched.command,
                env=launched.environment,
                cwd=launch.WORKING_DIRECTORY,
                pass_fds=[launched.descriptor],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=self._options.limit_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise WorkerError(
                f"{phase} of {workload.name} took longer than "
                f"{self._options.limit_seconds:g} s and was stopped: raise --limit-seconds"
            ) from error
        if ended.returncode != 0:
            words = " | ".join(ended.stderr.strip().splitlines()[-LOG_LINES_SHOWN:])
            raise WorkerError.quoting(
                f"{phase} of {workload.name} failed with exit code {ended.returncode}",
                words,
                "measure again",
            )
        return whole(phase, workload, read_cachegrind(output))
