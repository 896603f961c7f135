"""Running one command in the simulator: its regions counted, or all of it."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from powerml.costs.attribution import Levels, attribute
from powerml.costs.cost import require_price
from powerml.costs.counts import Counts, PhaseCounts
from powerml.costs.fingerprint import Fingerprint, digest_of
from powerml.costs.measurement import Phase, Simulation, price_phases
from powerml.errors import SetupError, UsageError, WorkerError
from powerml.instrument import find_valgrind, place_tool, valgrind_version
from powerml.machines import (
    THREE_LEVELS,
    Geometry,
    Machine,
    PhaseMachines,
    geometries,
    up_to_l2,
)
from powerml.meters.simulator import launch
from powerml.meters.simulator.caches import SimulatedCaches
from powerml.options import described
from powerml.running.clock import clock_picoseconds
from powerml.running.options import RunOptions
from powerml.running.program import environment_of, find_program
from powerml.running.record import WHOLE, CommandRecord, ScopeCost
from powerml.running.told import ToldProcess, ToldScope, parse_process, regions_of
from powerml.scopes import FROM_REGION
from powerml.signals import Terminated, exit_code_of

__all__ = ["run"]

COUNTERS = "counters"
LOG = "valgrind"
# A command that is interrupted may end by itself, is asked to, and is killed.
ENDING_SECONDS = 5.0
EXTENSION = "powerml.scopes._requests"


@described(RunOptions)
def run(
    command: Sequence[str],
    *,
    stdout: int | IO[Any] | None = None,
    options: RunOptions | None = None,
    **given: Any,
) -> CommandRecord:
    """Run a command in the simulator, and count the regions that it marks, or all of it.

    The command has this process's standard input, output and error, its folder and environment.
    Variables that make counts repeat are added where they are not set. One that fails is recorded
    as well, with its exit code.

    Parameters
    ----------
    command
        The program and its arguments.
    stdout
        A file or its descriptor for the command's standard output, as `subprocess` takes it.

    Raises
    ------
    UsageError
        There is no such program, the simulator cannot run it, or an option cannot be met.
    SetupError
        Valgrind or the simulator is not there.
    WorkerError
        The command was killed, or became another program, before its counts could be told.
    OutputError
        The counts cannot be read, or scopes were not left as often as they were entered.

    Examples
    --------
    >>> record = powerml.run(["ls"], machine="xeon-8280")
    >>> record.exit_code, [phase.name for phase in record.phases]
    (0, ['process'])
    """
    wanted = RunOptions.of_call("run", options, given)
    if isinstance(command, str) or not command:
        raise UsageError("the command is no list of a program and its arguments: give one")
    machines, by = wanted.machines(), wanted.chosen_price
    require_price(machines, by)
    simulated = geometries(machines, wanted.levels)
    caches = SimulatedCaches(simulated)
    environment = environment_of(os.environ)
    if wanted.from_region:
        environment[FROM_REGION] = "1"
    program = find_program(command[0], environment)
    clock = None
    if wanted.clock:
        clock = clock_picoseconds(caches, machines[0], wanted.accesses, wanted.levels)
    begun = time.monotonic()
    with launch.private_folder() as folder:
        options_of_valgrind = _valgrind_options(folder, caches, clock, wanted)
        arguments = [find_valgrind(), *options_of_valgrind, str(program), *command[1:]]
        library = {"VALGRIND_LIB": str(place_tool(folder))}
        identifier, code = _run_to_its_end(arguments, environment | library, stdout)
        told = _told(folder, identifier, command[0], code)
    processes = len(told) if wanted.trace_children else 1
    root, remarks = told[0].root, [remark for one in told[:processes] for remark in one.remarks]
    for other in told[1:processes]:
        root.add(other.root)
    phases = regions_of(root)
    if not phases and wanted.from_region:
        raise WorkerError(
            f"{command[0]} marked no region, so nothing was counted: enter powerml.region, or "
            "leave out --from-region"
        )
    if not phases:
        root.name, root.entries = WHOLE, 1
        phases = [root]
    if find_spec(EXTENSION) is None:
        remarks.append("powerml was installed without its C extension: regions are not marked.")
    priced = _Priced(caches, machines, wanted)
    counted = {geometry: [priced.phase(one, geometry) for one in phases] for geometry in simulated}
    first, *others = simulated
    return CommandRecord(
        command=list(command),
        exit_code=code,
        processes=processes,
        accesses=wanted.accesses,
        price=by,
        levels=3 if wanted.levels == THREE_LEVELS else 2,
        clock=machines[0].name if wanted.clock else None,
        phases=priced.phases(counted),
        scopes=[priced.scopes(one) for one in phases],
        fingerprint=_fingerprint(simulated[first][0], program, environment),
        simulations=[
            Simulation(
                machines=[machine.name for machine in simulated[geometry]],
                fingerprint=_fingerprint(simulated[geometry][0], program, environment),
                phases=counted[geometry],
            )
            for geometry in others
        ],
        remarks=list(dict.fromkeys(remarks)),
        seconds=time.monotonic() - begun,
    )


def _valgrind_options(
    folder: Path, caches: SimulatedCaches, clock: Sequence[int] | None, wanted: RunOptions
) -> list[str]:
    return [
        "--tool=powerml",
        # The user's .valgrindrc is for other tools.
        "--command-line-only=yes",
        "--vex-guest-chase=no",
        "--quiet",
        "--vgdb=no",
        f"--log-file={folder / LOG}.%p",
        f"--counters-file={folder / COUNTERS}.%p",
        f"--trace-children={'yes' if wanted.trace_children else 'no'}",
        "--sort-listings=yes",
        f"--count-at-start={'no' if wanted.from_region else 'yes'}",
        *([] if clock is None else [f"--clock={','.join(map(str, clock))}"]),
        *caches.options,
    ]


def _run_to_its_end(
    arguments: Sequence[str], environment: Mapping[str, str], stdout: int | IO[Any] | None
) -> tuple[int, int]:
    """Run a command and return its process's number and its exit code.

    An interruption ends the command too. Ctrl-C reaches it by the terminal.
    """
    try:
        process = subprocess.Popen(arguments, env=environment, stdout=stdout)
    except OSError as error:
        raise SetupError.quoting(
            f"{arguments[0]} does not start", error, "install Valgrind again"
        ) from error
    try:
        code = process.wait()
    except Terminated as told:
        process.send_signal(told.number)
        _end(process)
        raise
    except BaseException:
        _end(process)
        raise
    return process.pid, exit_code_of(-code) if code < 0 else code


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
    process.wait()


def _told(folder: Path, identifier: int, name: str, code: int) -> list[ToldProcess]:
    """Read the counters of all processes, the command's own first."""
    own = folder / f"{COUNTERS}.{identifier}"
    if not own.exists():
        log = folder / f"{LOG}.{identifier}"
        said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        if said.strip():
            raise WorkerError.quoting(
                f"{name} could not be run in the simulator", said, "run it without, and see"
            )
        if code == exit_code_of(signal.SIGKILL):
            raise WorkerError(
                f"{name} was killed before its counts could be told: let it end by itself, and "
                "give it more memory"
            )
        raise WorkerError(
            f"{name} told no counts at its end (exit code {code}): it became another program, as "
            "scripts that start one do; give that program's own path, or --trace-children"
        )
    others = sorted(
        (path for path in folder.glob(f"{COUNTERS}.*") if path != own),
        key=lambda path: int(path.suffix[1:]),
    )
    return [
        parse_process(path.read_text(encoding="utf-8", errors="replace"), path.name)
        for path in [own, *others]
    ]


class _Priced:
    """Counters of scopes as counts and costs."""

    def __init__(
        self, caches: SimulatedCaches, machines: tuple[Machine, ...], wanted: RunOptions
    ) -> None:
        self._caches, self._machines, self._wanted = caches, machines, wanted

    def phase(self, region: ToldScope, geometry: Geometry) -> PhaseCounts:
        """Return the counts of a region on some caches."""
        return PhaseCounts(
            name=region.name,
            counts=self._counts(region.all_counters, geometry),
            steps_simulated=region.entries,
            steps_total=region.entries,
        )

    def phases(self, counted: Mapping[Geometry, Sequence[PhaseCounts]]) -> list[Phase]:
        """Return the priced phases."""
        machines = PhaseMachines(self._machines, self._machines)
        wanted = self._wanted
        return price_phases(
            counted, machines, wanted.accesses, wanted.levels, None, by=wanted.chosen_price
        )

    def scopes(self, region: ToldScope) -> ScopeCost:
        """Return a region with the scopes inside it, whose cycles add up to its own."""
        scopes = list(region.walk())
        own: list[dict[str, float]] = [{} for _ in scopes]
        for machine in self._machines:
            cycles = attribute(
                self._for(machine, region.all_counters),
                [self._for(machine, scope.counters) for scope in scopes],
                machine,
                self._wanted.accesses,
                self._wanted.chosen_price,
            )
            for of_scope, its in zip(own, cycles, strict=True):
                of_scope[machine.name] = its
        return self._cost(region, iter(own))

    def _cost(self, scope: ToldScope, own: Any) -> ScopeCost:
        """Make the record of a scope; `own` gives the cycles of one scope after the other."""
        its = next(own)
        inner = [self._cost(one, own) for one in scope.inner.values()]
        return ScopeCost(
            name=scope.name,
            entries=scope.entries,
            cycles={
                name: cycles + sum(one.cycles[name] for one in inner)
                for name, cycles in its.items()
            },
            own_cycles=its,
            counts=self._counts(scope.all_counters, self._machines[0].simulated_geometry),
            scopes=inner,
        )

    def _for(self, machine: Machine, counters: Sequence[int]) -> Levels:
        lower = None
        if self._wanted.levels == THREE_LEVELS and not machine.ends_at_l2:
            lower = self._counts(counters, up_to_l2(machine).simulated_geometry)
        return Levels(self._counts(counters, machine.simulated_geometry), lower)

    def _counts(self, counters: Sequence[int], geometry: Geometry) -> Counts:
        # A scope may do nothing but enter others.
        return self._caches.counts_of_part(counters, geometry)


def _fingerprint(machine: Machine, program: Path, environment: Mapping[str, str]) -> Fingerprint:
    variables = launch.text_environment(environment)
    return Fingerprint(
        meter="simulator",
        geometry=machine.geometry,
        simulated_geometry=machine.simulated_geometry,
        software={
            "powerml": metadata.version("powerml"),
            "valgrind": valgrind_version(),
            "program": _digest_of_file(program),
        },
        cpu_features=tuple(launch.seen_cpu_flags()),
        threads=1,
        environment_digest=digest_of(variables),
    )


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
