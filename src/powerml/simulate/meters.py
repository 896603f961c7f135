"""The two meters that run Valgrind: regions of a warm process, and the whole process as in 2018."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from powerml.backend import backend_version
from powerml.counts import Counts, PhaseCounts
from powerml.datasets import Dataset
from powerml.errors import MeasurementError, ServerError, WorkerError
from powerml.fingerprint import Fingerprint, digest_of
from powerml.machines import Machine
from powerml.simulate import launch
from powerml.simulate.output import read_cachegrind, read_callgrind_dump
from powerml.simulate.request import Request
from powerml.simulate.server import Server, ServerDiedError
from powerml.workload import Workload

__all__ = ["DEFAULT_LIMIT_SECONDS", "PHASES", "CachegrindMeter", "CallgrindMeter"]

DEFAULT_LIMIT_SECONDS = 3600.0
FORKABLE_BACKENDS = ("torch",)  # the others start threads, which a fork does not copy
LOG_LINES_SHOWN = 3

PhaseName = Literal["training", "inference"]
PHASES: tuple[PhaseName, ...] = ("training", "inference")
Notify = Callable[[str], None]


def _silent(_message: str) -> None:
    """Tell nobody."""


class _ValgrindMeter:
    """What both share: a private folder, the staged data and the fingerprint."""

    name = ""

    def __init__(
        self, machine: Machine, backend: str, limit_seconds: float = DEFAULT_LIMIT_SECONDS
    ) -> None:
        launch.find_valgrind()
        launch.require_client_requests()
        self.machine = machine
        self._backend = backend
        self._limit_seconds = limit_seconds
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
        self._stack.close()

    @property
    def folder(self) -> Path:
        """The private folder, made when it is first needed."""
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

    def _request(self, workload: Workload, dataset: Dataset, phase: str) -> Request:
        """Stage the data of a workload and write down what the worker has to do."""
        stem = f"{workload.data_digest[:16]}-{workload.protocol}-{workload.validation}"
        for part, split in (("training", dataset.train), ("inference", dataset.test)):
            if not (self.folder / f"{stem}-{part}-labels.npy").exists():
                inputs = dataset.inputs(split, scaled=workload.scaled)
                np.save(self.folder / f"{stem}-{part}-inputs.npy", inputs)
                np.save(self.folder / f"{stem}-{part}-labels.npy", split.labels)
        images = {
            "training": workload.training_images,
            "inference": workload.inference_images,
        }
        return Request(
            phase=phase,
            topology=workload.topology,
            input_shape=list(workload.input_shape),
            classes=workload.classes,
            # A batch larger than the data is one batch of all the data, to the last instruction.
            batch_size=min(workload.batch_size, images.get(phase, max(images.values()))),
            epochs=workload.epochs,
            protocol=workload.protocol,
            seed=workload.seed,
            data=stem,
        )


def _exact(phase: str, workload: Workload, counts: Counts) -> PhaseCounts:
    steps = {"training": workload.training_steps, "inference": workload.inference_steps}
    total = steps.get(phase, 0)
    return PhaseCounts(name=phase, counts=counts, steps_simulated=total, steps_total=total)


class CallgrindMeter(_ValgrindMeter):
    """Regions of a warm process under Callgrind. See `powerml.simulate.server`."""

    name = "callgrind"

    def __init__(
        self, machine: Machine, backend: str, limit_seconds: float = DEFAULT_LIMIT_SECONDS
    ) -> None:
        super().__init__(machine, backend, limit_seconds)
        self.server: Server | None = None
        self._guest: dict[str, Any] | None = None
        self._forks = backend in FORKABLE_BACKENDS

    def start(self) -> None:
        """Start the warm process, and return at once."""
        self._running_server()

    def fingerprint(self) -> Fingerprint:
        """What the counts depend on beside the workload; known once something was measured."""
        if self._guest is None:
            raise MeasurementError("the fingerprint is known once something was measured")
        return self._fingerprint(self._guest)

    def measure(
        self, workload: Workload, dataset: Dataset, notify: Notify = _silent
    ) -> list[PhaseCounts]:
        """Count training and inference, each as a region that starts from the same state.

        On torch the two run side by side in children of the warm process; other backends are
        measured in a process of their own, with their compilation as one more phase. A server
        that dies is started again once, and the measurement repeated.

        Raises
        ------
        WorkerError
            A child crashed, failed or took too long.
        ServerError
            The server cannot be started, or died twice.
        """
        for attempt in ("first", "second"):
            try:
                return self._measure(workload, dataset, notify)
            except ServerDiedError as error:
                self._discard()
                if attempt == "second":
                    raise ServerError(
                        f"the simulator died twice over {workload.topology}: {error}"
                    ) from error
                notify(f"{error}; starting it again")
            except ServerError:
                self._discard()
                raise
        raise AssertionError

    def _measure(self, workload: Workload, dataset: Dataset, notify: Notify) -> list[PhaseCounts]:
        server = self._running_server()
        if server.guest is None:
            notify("starting the simulator (30 to 90 s, once)")
        self._guest = server.wait_until_ready()
        notify(
            f"simulating {workload.topology} batch {workload.batch_size}: "
            f"{workload.training_steps} + {workload.inference_steps} steps"
            + (_estimate(server, workload) if self._forks else ", and compilation (minutes)")
        )
        phases = []
        for phase, dump in self._dumps(server, workload, dataset):
            phases.append(_exact(phase, workload, read_callgrind_dump(dump, phase)))
            dump.unlink()
        return phases

    def _dumps(
        self, server: Server, workload: Workload, dataset: Dataset
    ) -> list[tuple[str, Path]]:
        """Run the phases; return each with the file that holds its counts."""
        if self._forks:
            requests = [self._request(workload, dataset, phase) for phase in PHASES]
            stems = server.run(requests, self._limit_seconds)
            return [(phase, Path(f"{stem}.1")) for phase, stem in zip(PHASES, stems, strict=True)]
        try:
            (stem,) = server.run([self._request(workload, dataset, "all")], self._limit_seconds)
        finally:
            self._discard()
        return [(phase, Path(f"{stem}.{n}")) for n, phase in enumerate(("compile", *PHASES), 1)]

    def _running_server(self) -> Server:
        if self.server is None:
            mode = "serve" if self._forks else "once"
            geometry = self.machine.simulated_geometry
            self.server = Server(geometry, self._backend, self.folder, mode)
            self._stack.callback(self.server.close)
        return self.server

    def _discard(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None


def _estimate(server: Server, workload: Workload) -> str:
    """How long it will take, by the pace of the warm-up; a lower bound for large networks."""
    if server.seconds_per_step is None:
        return ""
    seconds = server.seconds_per_step * max(workload.training_steps, workload.inference_steps)
    return f", about {max(seconds, 1):.0f} s"


class CachegrindMeter(_ValgrindMeter):
    """The 2018 way: a whole process under Cachegrind, from import to exit. The yardstick.

    Its counts hold the import of the framework, a hundred times the training itself.
    """

    name = "cachegrind"

    def start(self) -> None:
        """Nothing is kept warm, so there is nothing to start."""

    def fingerprint(self) -> Fingerprint:
        """What the counts depend on beside the workload."""
        software = {
            "keras": metadata.version("keras"),
            "numpy": metadata.version("numpy"),
            self._backend: backend_version(self._backend),
        }
        return self._fingerprint({"software": software, "cpu_features": ()})

    def measure(
        self, workload: Workload, dataset: Dataset, notify: Notify = _silent
    ) -> list[PhaseCounts]:
        """Count one process that trains and another that evaluates; raises ``WorkerError``."""
        return [self.measure_phase(workload, dataset, phase, notify) for phase in PHASES]

    def measure_phase(
        self, workload: Workload, dataset: Dataset, phase: PhaseName, notify: Notify = _silent
    ) -> PhaseCounts:
        """Count one process; raises ``WorkerError``."""
        launch.precompile()
        request = self.folder / f"whole-{phase}"
        request.write_text(
            json.dumps(asdict(self._request(workload, dataset, phase))), encoding="utf-8"
        )
        notify(f"the whole process under Cachegrind: {phase} of {workload.topology} (minutes)")
        geometry = self.machine.simulated_geometry
        output = self.folder / f"cachegrind-{phase}.out"
        try:
            ended = subprocess.run(
                launch.cachegrind_command(geometry, self.folder, output, request),
                env=launch.environment(self._backend),
                cwd=launch.WORKING_DIRECTORY,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=self._limit_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise WorkerError(
                f"{phase} of {workload.topology} took longer than {self._limit_seconds:g} s and "
                "was stopped: raise --limit-seconds"
            ) from error
        if ended.returncode != 0:
            words = " | ".join(ended.stderr.strip().splitlines()[-LOG_LINES_SHOWN:])
            raise WorkerError(
                f"{phase} of {workload.topology} failed (exit code {ended.returncode}): {words}"
            )
        return _exact(phase, workload, read_cachegrind(output))
