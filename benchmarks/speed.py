"""How fast a measurement is (40 minutes on 2 cores that do nothing else).

    python benchmarks/speed.py trials     # against the 2018 way, start-up excluded
    python benchmarks/speed.py mnist      # time against the number of samples
    python benchmarks/speed.py study      # a study, again from the cache, and with one job
    python benchmarks/speed.py profile    # where a sampled trial's time goes
    python benchmarks/speed.py startup    # what every command pays
    python benchmarks/speed.py            # all of them

Ratios are within one run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import workloads
from commands import PAPERS_OPTIONS, PAPERS_SEARCH, machine_line, timed
from powerml.costs.counts import Fidelity
from powerml.errors import DatasetError
from powerml.guest.request import AnyRequest, Request
from powerml.instrument import place_tool
from powerml.machines import PAPERS_MACHINE, load_machine
from powerml.meters.base import MeterOptions
from powerml.meters.simulator.caches import SimulatedCaches
from powerml.meters.simulator.launch import private_folder
from powerml.meters.simulator.meter import SimulatorMeter
from powerml.meters.simulator.server import Done, Server
from powerml.meters.valgrind.cachegrind import CachegrindMeter
from powerml.workloads.datasets import DEFAULT_VALIDATION, Dataset, load_dataset
from powerml.workloads.workload import TopologyWorkload

RUNS = 3
IMPORTS_SHOWN = 8
LIMIT_SECONDS = 7200.0
# Topology, batch size, and how many times faster than in 2018 the project wants: sampled, exact.
TRIALS = (
    ("dffr:layers=2,width=16", 32, 120, 30),
    ("dffr:layers=1,width=5", 3, 60, None),
    ("cnn:layers=1,filters=2,kernel=8", 87, 60, None),
    ("cnn:layers=10,filters=5,kernel=10", 2, 200, None),
)
LONGEST = "cnn:layers=10,filters=5,kernel=10"
# Its 2018-way time is extrapolated from trainings of so many samples, in batches of two.
FEW_SAMPLES = (2, 6)
LONGEST_LIMIT_SECONDS = 60
SAMPLES = (450, 4_500, 45_000)
MNIST_LIMIT_SECONDS = 60
STUDY_LIMIT_SECONDS, AGAIN_LIMIT_SECONDS, LEAST_SPEED_UP = 150, 30, 1.5
ANSWER_LIMIT_SECONDS = 0.5


def main() -> int:
    """Print what was asked for; return 1 where a requirement is missed."""
    parts = {
        "startup": startup,
        "profile": profile,
        "trials": trials,
        "mnist": mnist,
        "study": study,
    }
    print(machine_line(), flush=True)
    results = [parts[name]() for name in (sys.argv[1:] or parts)]
    return 0 if all(results) else 1


def trials() -> bool:
    """Seconds of a trial in a warm server, and of the two whole processes of 2018."""
    dataset = load_dataset("mnist_small", DEFAULT_VALIDATION)
    good = True
    with _meter("sampled") as sampled, _meter("exact") as exact:
        for meter in (sampled, exact):
            meter.measure(workloads.make(TRIALS[0][0], dataset, 64), dataset)
        for topology, batch_size, least_sampled, least_exact in TRIALS:
            workload = workloads.make(topology, dataset, batch_size)
            quick = _seconds(sampled, workload, dataset, RUNS)
            if topology == LONGEST:
                whole, how = _extrapolated_2018_way(topology, dataset), "extrapolated"
                slow = None
            else:
                whole, how = _whole_seconds(workload, dataset), "measured"
                slow = _seconds(exact, workload, dataset, RUNS)
            line = f"{topology} batch {batch_size}: 2018 way {whole:.0f} s ({how})"
            good &= whole / quick >= least_sampled
            line += f", sampled {quick:.1f} s: {whole / quick:.0f} x (wanted {least_sampled})"
            if slow is not None:
                line += f", exact {slow:.1f} s: {whole / slow:.0f} x"
                good &= least_exact is None or whole / slow >= least_exact
            if topology == LONGEST:
                good &= quick <= LONGEST_LIMIT_SECONDS
                line += f" (limit {LONGEST_LIMIT_SECONDS} s)"
            print(line, flush=True)
    return good


def mnist() -> bool:
    """Training cost of 5 epochs, against the number of samples."""
    try:
        full = load_dataset("mnist", DEFAULT_VALIDATION)
    except DatasetError as error:
        print(f"mnist skipped: {error}")
        return True
    seconds = 0.0
    with _meter("sampled") as meter, tempfile.TemporaryDirectory() as folder:
        few = workloads.subset(full, 100, Path(folder))
        meter.measure(workloads.make(TRIALS[0][0], few, 32), few)
        for samples in (*SAMPLES, len(full.train)):
            dataset = (
                workloads.subset(full, samples, Path(folder)) if samples < len(full.train) else full
            )
            workload = workloads.make(TRIALS[0][0], dataset, 32, epochs=5)
            seconds = _seconds(meter, workload, dataset, 1)
            print(
                f"dffr 2x16 batch 32, 5 epochs of {samples} samples, "
                f"{workload.training_steps} steps: {seconds:.1f} s",
                flush=True,
            )
    return seconds <= MNIST_LIMIT_SECONDS


def study() -> bool:
    """A study from the shell prompt to the result; again; and trials an hour by jobs."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "POWERML_CACHE_DIR": f"{folder}/cache"}

        def search(name: str, *options: str) -> float:
            arguments = (
                "optimize",
                "--space=dffr",
                *PAPERS_OPTIONS,
                "--trials=10",
                "--out",
                folder,
            )
            seconds, output = timed(
                *arguments, "--study", name, "--json", *options, environment=environment
            )
            inner = json.loads(output)["seconds"]
            print(f"{name}: {seconds:.0f} s, search {inner:.0f} s", flush=True)
            return seconds

        first, again = search("study"), search("the same again")
    one, two = (_rate(jobs) for jobs in (1, 2))
    print(
        f"{one:.0f} trials an hour with --jobs 1, {two:.0f} with --jobs 2: {two / one:.2f} x, "
        "start-up excluded, native training included"
    )
    return (
        first <= STUDY_LIMIT_SECONDS
        and again <= AGAIN_LIMIT_SECONDS
        and two / one >= LEAST_SPEED_UP
    )


def _rate(jobs: int) -> float:
    """Trials an hour of a study whose simulator is running."""
    import powerml

    options = MeterOptions(fidelity="sampled", jobs=jobs, limit_seconds=LIMIT_SECONDS)
    with (
        tempfile.TemporaryDirectory() as folder,
        SimulatorMeter(load_machine(PAPERS_MACHINE), "torch", options) as meter,
    ):
        powerml.measure(TRIALS[0][0], meter=meter)
        # All drawn at random: else what is proposed would depend on the jobs.
        record = powerml.optimize(
            "dffr",
            **PAPERS_SEARCH,
            trials=10,
            startup_trials=10,
            jobs=jobs,
            meter=meter,
            out=folder,
        )
    return 3600 * len(record.trials) / record.seconds


def profile() -> bool:
    """Where the time of one sampled trial goes: its training, the longer of its two processes."""
    dataset = load_dataset("mnist_small", DEFAULT_VALIDATION)
    for topology, batch_size, *_ in TRIALS[:3]:
        workload = workloads.make(topology, dataset, batch_size)
        with _meter("sampled") as meter:
            meter.measure(workload, dataset)
            moments: dict[str, float] = {}
            _listen(meter.server, moments)
            started = time.monotonic()
            training, _ = meter.measure(workload, dataset)
            total = time.monotonic() - started
        spans = {
            "asking and forking": moments["forked"] - started,
            "building the network": moments["built"] - moments["forked"],
            "the region": moments["ended"] - moments["built"],
            "reporting and the rest": total - (moments["ended"] - started),
        }
        print(f"{topology} batch {batch_size}: {total:.2f} s", flush=True)
        for name, seconds in spans.items():
            print(f"    {name:24}{seconds:6.2f} s {seconds / total:6.1%}")
        instructions = training.counts.Ir
        for name, part in training.parts.items():
            print(f"    of all instructions, {name:22}{part.Ir / instructions:6.1%}")
    return True


def _listen(server: Server | None, moments: dict[str, float]) -> None:
    """Catch when the training's process came to what."""
    assert server is not None  # noqa: S101 - it has just measured
    submit = server.submit

    def listening(request: AnyRequest, limit_seconds: float) -> Future[Done]:
        result = submit(request, limit_seconds)
        if isinstance(request, Request) and request.phase == "training":
            result.add_done_callback(lambda done: moments.update(done.result().moments_seconds))
        return result

    server.submit = listening  # type: ignore[method-assign]  # it listens in


def startup() -> bool:
    """What every command pays, and what only those that simulate do."""
    good = True
    for arguments in (["--help"], ["machines"], ["measure", "nope:layers=1"]):
        answers = []
        for _ in range(RUNS):
            started = time.monotonic()
            _run_quietly(arguments)
            answers.append(time.monotonic() - started)
        good &= median(answers) < ANSWER_LIMIT_SECONDS
        print(f"powerml {' '.join(arguments)}: {median(answers):.2f} s", flush=True)
    with _meter("sampled") as meter:
        started = time.monotonic()
        meter.start()
        assert meter.server is not None  # noqa: S101 - it was started
        meter.server.ready.result()
        print(f"the simulator is ready after {time.monotonic() - started:.1f} s", flush=True)
    _print_imports()
    return good


def _print_imports() -> None:
    """What the import under Valgrind takes, by the packages that take most of it."""
    script = "import os, powerml.guest.steps, powerml.spaces.cnn; os._exit(0)"
    geometry = load_machine(PAPERS_MACHINE).simulated_geometry
    with private_folder() as folder:
        ended = subprocess.run(
            [
                *("valgrind", "--tool=powerml", "--quiet", "--vgdb=no", "--count-at-start=no"),
                *SimulatedCaches([geometry]).options,
                *(sys.executable, "-X", "importtime", "-c", script),
            ],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "KERAS_BACKEND": "torch", "VALGRIND_LIB": str(place_tool(folder))},
        )
    seconds: defaultdict[str, float] = defaultdict(float)
    for line in ended.stderr.splitlines():
        own, _, module = line.removeprefix("import time:").split("|")
        if own.strip().isdigit():
            depth = 2 if module.strip().startswith("torch") else 1
            seconds[".".join(module.strip().split(".")[:depth])] += int(own) / 1e6
    total = sum(seconds.values())
    largest = sorted(seconds.items(), key=lambda item: -item[1])[:IMPORTS_SHOWN]
    most = ", ".join(f"{name} {own:.1f}" for name, own in largest)
    print(f"of which imports {total:.1f} s: {most}", flush=True)


def _run_quietly(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "powerml", *arguments]
    subprocess.run(command, capture_output=True, check=False)


@contextmanager
def _meter(fidelity: Fidelity) -> Iterator[SimulatorMeter]:
    options = MeterOptions(fidelity=fidelity, jobs=2, limit_seconds=LIMIT_SECONDS)
    with SimulatorMeter(load_machine(PAPERS_MACHINE), "torch", options) as meter:
        yield meter


def _seconds(
    meter: SimulatorMeter, workload: TopologyWorkload, dataset: Dataset, runs: int
) -> float:
    found = []
    for _ in range(runs if workload.name != LONGEST else 1):
        started = time.monotonic()
        meter.measure(workload, dataset)
        found.append(time.monotonic() - started)
    return median(found)


def _whole_seconds(workload: TopologyWorkload, dataset: Dataset) -> float:
    options = MeterOptions(limit_seconds=LIMIT_SECONDS)
    with CachegrindMeter(load_machine(PAPERS_MACHINE), "torch", options) as meter:
        started = time.monotonic()
        meter.measure(workload, dataset)
        return time.monotonic() - started


def _extrapolated_2018_way(topology: str, dataset: Dataset) -> float:
    """Two processes over few samples and over a few more: the rest is in proportion."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = []
        for samples in FEW_SAMPLES:
            few = workloads.subset(dataset, samples, Path(folder))
            seconds.append(_whole_seconds(workloads.make(topology, few, 2), few))
    a_sample = (seconds[1] - seconds[0]) / (FEW_SAMPLES[1] - FEW_SAMPLES[0])
    return seconds[0] + a_sample * (len(dataset.train) - FEW_SAMPLES[0])


if __name__ == "__main__":
    sys.exit(main())
