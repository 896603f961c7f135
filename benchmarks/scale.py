"""Searches on workers: their overhead, their speed-up, and what faults cost.

    python benchmarks/scale.py overhead       # figure 1: 1, 4, 16 and 64 workers, replayed work
    python benchmarks/scale.py speed-up       # figure 2: 40 trials on 1 and 2 workers, simulated
    python benchmarks/scale.py faults         # figure 3: 100 runs, each with a fault, replayed work

Schedulers and workers are processes of this machine. Faults of the network cut the link of a worker
in a network namespace, and faults of the disk fill a small file system: both need root.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import powerml
from commands import machine_line
from powerml.errors import PowerMLError
from powerml.search.listener import Listener
from powerml.studies.reader import read_study
from powerml.studies.records import TrialRecord

HERE = Path(__file__).parent
LOCAL = "127.0.0.1"
START_SECONDS = 120.0
WORKERS = (1, 4, 16, 64)
MOST_PROCESSES, HOSTED = 8, 8  # beyond as many processes, each has some workers
# Of hosted workers: 64 that are idle take 0.8 of two cores with Dask's 20, 500 and 10 ms, in place
# of cores of their own.
TIMERS = {
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.worker.profile.enabled": False,
}
OVERHEAD_TRIALS, PAIRS = 150, 5
REAL_TRIALS = 40
MOST_SHOWN = 10  # differences of two studies
FAULT_TRIALS, FAULT_WORKERS, FAULT_SECONDS = 30, 3, 0.15
STOPPED_SECONDS, CUT_SECONDS = 60.0, 25.0
LIMIT_SECONDS = 400.0
FAULTS = ("worker", "scheduler", "search", "stopped", "disk", "network")
SAID = {
    "worker": "a worker is killed",
    "scheduler": "the scheduler is killed",
    "search": "the search is killed",
    "stopped": f"a worker is stopped for {STOPPED_SECONDS:g} s",
    "disk": "a worker's disk is full",
    "network": f"a worker's network is cut for {CUT_SECONDS:g} s",
}
SEED = 0


def main() -> None:
    """Do what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "figure",
        choices=("overhead", "speed-up", "faults", "search", "host"),
        help="search and host are processes that the others start",
    )
    parser.add_argument("--trials", type=int, help="of each study, for overhead and speed-up")
    parser.add_argument("--runs", type=int, default=100, help="for faults: end before this run")
    parser.add_argument("--first", type=int, default=0, help="for faults: begin with this run")
    parser.add_argument("--parallel", type=int, default=3, help="for faults: runs at a time")
    parser.add_argument("--workers", help="of a search")
    parser.add_argument("--jobs", type=int, help="of a search: trials under way")
    parser.add_argument("--out", type=Path, help="of a search")
    parser.add_argument("--resume", action="store_true", help="of a search")
    parser.add_argument(
        "--own-timers",
        action="store_true",
        help="for overhead: keep the timers of 16 and 64 workers",
    )
    wanted = parser.parse_args()
    # What was started is ended in any case.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if wanted.figure == "search":
        search(wanted)
        return
    if wanted.figure == "host":
        asyncio.run(host(wanted.workers, wanted.jobs, {} if wanted.own_timers else TIMERS))
        return
    print(machine_line())
    if wanted.figure == "overhead":
        print_overhead(wanted.trials or OVERHEAD_TRIALS, own_timers=wanted.own_timers)
    elif wanted.figure == "speed-up":
        print_speed_up(wanted.trials or REAL_TRIALS)
    else:
        print_faults(range(wanted.first, wanted.runs), wanted.parallel)


class _Times(Listener):
    """A listener that notes when trials end."""

    def __init__(self) -> None:
        self.ended: list[float] = []

    def trial_ended(self, _record: TrialRecord) -> None:
        """Note the time."""
        self.ended.append(time.monotonic())


def search(wanted: argparse.Namespace) -> None:
    """Search with replayed work, and print when trials ended; this is a process of its own."""
    import replayed

    replayed.install()
    times = _Times()
    try:
        powerml.optimize(
            "dffr",
            data="mnist_small",
            epochs=1,
            machine="xeon-x5650",
            price="paper",
            runtime="keras",
            sampler="random",
            objective="linear",
            meter=replayed.ReplayedMeter(),
            trials=wanted.trials,
            jobs=wanted.jobs,
            workers=wanted.workers,
            out=wanted.out,
            study="s",
            resume=wanted.resume,
            listener=times,
        )
    except PowerMLError as error:
        print(f"powerml: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    print(json.dumps(times.ended))


async def host(scheduler: str, workers: int, timers: Mapping[str, object]) -> None:
    """Run several Dask workers in this process: 64 processes would take 23 GB."""
    import dask
    import distributed

    import replayed

    replayed.install()
    dask.config.set(timers)
    hosted = [
        await distributed.Worker(scheduler, nthreads=1, dashboard=False) for _ in range(workers)
    ]
    await asyncio.gather(*(one.finished() for one in hosted))


# Clusters of processes.


class Cluster:
    """A Dask scheduler with workers, each a process."""

    def __init__(self, folder: Path, host: str = LOCAL, *, replaying: bool = True) -> None:
        self._folder = folder
        self._host = host
        self._replaying = replaying
        self._port = _free_port()
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    @property
    def place(self) -> str:
        """The workers' name for powerML."""
        return f"dask://{self._host}:{self._port}"

    def start_scheduler(self) -> None:
        """Start the scheduler."""
        self.scheduler = self._started(
            "scheduler", "--host", self._host, "--port", str(self._port), "--no-dashboard"
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((self._host, self._port)):
                return
            time.sleep(0.05)
        raise SystemExit("the scheduler does not answer")

    def start_worker(
        self, prefix: Sequence[str] = (), seconds: float = 0.0, folder: Path | None = None
    ) -> None:
        """Start a worker, whose orders last so many seconds."""
        name, place = f"w{len(self.workers)}", str(folder or self._folder)
        preload = ("--preload", "replayed") if self._replaying else ()
        self.workers.append(
            self._started(
                *("worker", f"tcp://{self._host}:{self._port}", "--name", name),
                *("--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"),
                *("--local-directory", place, *preload),
                prefix=prefix,
                environment={
                    "REPLAYED_SECONDS": str(seconds),
                    "TMPDIR": str(folder or self._folder),
                },
            )
        )

    def start_hosts(self, workers: int, *, own_timers: bool) -> None:
        """Start so many workers in a few processes."""
        for _ in range(workers // HOSTED):
            self.workers.append(
                subprocess.Popen(
                    [
                        *(sys.executable, str(HERE / "scale.py"), "host"),
                        *("--workers", f"tcp://{self._host}:{self._port}", "--jobs", str(HOSTED)),
                        *(["--own-timers"] if own_timers else []),
                    ],
                    env={**_environment(), "TMPDIR": str(self._folder)},
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )

    def _started(
        self, *arguments: str, prefix: Sequence[str] = (), environment: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        log = (self._folder / "log").open("ab")
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]],
            stdout=log,
            stderr=log,
            env={**_environment(), **(environment or {})},
        )

    def stop(self) -> None:
        """End all processes."""
        for process in [*self.workers, self.scheduler]:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
        for process in [*self.workers, self.scheduler]:
            if process is not None:
                process.wait()
        self.workers.clear()


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "KERAS_BACKEND": "torch"}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((LOCAL, 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def _cluster(workers: int, *, own_timers: bool = False, **named: Any) -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="powerml-scale-") as folder:
        cluster = Cluster(Path(folder), **named)
        try:
            cluster.start_scheduler()
            if workers > MOST_PROCESSES:
                cluster.start_hosts(workers, own_timers=own_timers)
            else:
                for _ in range(workers):
                    cluster.start_worker()
            _wait_for(cluster, workers)
            yield cluster
        finally:
            cluster.stop()


def _wait_for(cluster: Cluster, workers: int) -> None:
    import distributed

    if not workers:
        return
    with distributed.Client(cluster.place.replace("dask", "tcp"), set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=START_SECONDS)


def _search(place: str | None, trials: int, jobs: int, out: Path) -> list[str]:
    """Return the command of a search with replayed work."""
    return [
        *(sys.executable, str(HERE / "scale.py"), "search"),
        *("--trials", str(trials), "--jobs", str(jobs), "--out", str(out)),
        *(() if place is None else ("--workers", place)),
    ]


# Figure 1.


def print_overhead(trials: int, *, own_timers: bool) -> None:
    """Print the time of a trial of which nothing is left but its coordination."""
    print(
        "| workers, and trials under way | a trial, ms | without workers, ms | coordination, ms | "
        "trials a second |\n| --- | --- | --- | --- | --- |"
    )
    for workers in WORKERS:
        with _cluster(workers, own_timers=own_timers) as cluster:
            # In turn, for the machine is faster at times.
            pairs = [
                [_milliseconds(place, trials, workers) for place in (cluster.place, None)]
                for _ in range(PAIRS)
            ]
        found, alone = map(statistics.median, zip(*pairs, strict=True))
        more = sorted(one - other for one, other in pairs)
        print(
            f"| {workers} | {found:.1f} | {alone:.1f} | {statistics.median(more):.1f} "
            f"({more[0]:.1f} to {more[-1]:.1f}) | {1000 / found:.0f} |",
            flush=True,
        )


def _milliseconds(place: str | None, trials: int, jobs: int) -> float:
    """Return the time of a trial, without those at the start and the end."""
    with tempfile.TemporaryDirectory(prefix="powerml-scale-") as out:
        done = subprocess.run(
            _search(place, trials, jobs, Path(out)),
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(done.stderr)
    ended = json.loads(done.stdout.splitlines()[-1])
    return 1000 * (float(ended[-1]) - float(ended[0])) / (len(ended) - 1)


# Figure 2.


def print_speed_up(trials: int) -> None:
    """Print the time of a simulated study on one worker and on two, and whether they are equal."""
    print("| workers | seconds | speed-up |\n| --- | --- | --- |")
    studies, seconds = [], []
    with tempfile.TemporaryDirectory(prefix="powerml-scale-") as out:
        for workers in (1, 2):
            with _cluster(workers, replaying=False) as cluster:
                started = time.monotonic()
                study = powerml.optimize(
                    "dffr",
                    data="digits",
                    epochs=2,
                    trials=trials,
                    jobs=2,
                    workers=cluster.place,
                    out=out,
                    study=f"on-{workers}",
                    cache=False,
                )
                seconds.append(time.monotonic() - started)
            studies.append(_plain(Path(study.folder)))
            print(f"| {workers} | {seconds[-1]:.0f} | {seconds[0] / seconds[-1]:.2f} |", flush=True)
    apart = list(_differences(studies[0], studies[1]))
    same = "NOT equal" if apart else "equal"
    print(f"\nThe two studies are {same}: {len(studies[0])} trials with all counts and scores.")
    for place in apart[:MOST_SHOWN]:
        print(f"- {place}")


def _differences(one: Any, other: Any, place: str = "trials") -> Iterator[str]:
    """Yield the places where two studies differ, with both values."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for name in one:
            yield from _differences(one[name], other[name], f"{place}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from _differences(*pair, f"{place}[{number}]")
    elif one != other:
        yield f"{place}: {one} and {other}"


def _plain(folder: Path) -> list[dict[str, Any]]:
    """Return the trials of a study without their times."""
    found = []
    for trial in read_study(folder).trials:
        plain = trial.model_dump(mode="json")
        if plain["measurement"] is not None:
            del plain["measurement"]["seconds"]
        found.append(plain)
    return found


# Figure 3.


def print_faults(runs: range, parallel: int) -> None:
    """Print what became of studies that a fault met at a random moment."""
    draw = random.Random(SEED)
    kinds = [FAULTS[number % len(FAULTS)] for number in range(runs.stop)]
    moments = [draw.random() for _ in kinds]
    with tempfile.TemporaryDirectory(prefix="powerml-scale-") as out, _cluster(0) as cluster:
        for _ in range(FAULT_WORKERS):
            cluster.start_worker(seconds=FAULT_SECONDS)
        _wait_for(cluster, FAULT_WORKERS)
        started = time.monotonic()
        subprocess.run(
            _search(cluster.place, FAULT_TRIALS, FAULT_WORKERS, Path(out)),
            env=_environment(),
            capture_output=True,
            check=True,
        )
        whole = time.monotonic() - started
        undisturbed = _plain(Path(out) / "s")
    print(f"A study without a fault takes {whole:.1f} s.", flush=True)
    with ThreadPoolExecutor(parallel) as threads:
        ends = list(
            threads.map(
                lambda number: _faulty(number, kinds[number], moments[number], whole, undisturbed),
                runs,
            )
        )
    print(
        "| fault | runs | ended by themselves | resumed | trials lost | counted twice | as without "
        "a fault | median seconds |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for kind in FAULTS:
        of_kind = [one for one in ends if one["kind"] == kind]
        if not of_kind:
            continue
        total = Counter[str]()
        for one in of_kind:
            total.update({name: int(one[name]) for name in one if name not in ("kind", "seconds")})
        middle = statistics.median(float(one["seconds"]) for one in of_kind)
        print(
            f"| {SAID[kind]} | {len(of_kind)} | {total['ended']} | {total['resumed']} "
            f"| {total['lost']} | {total['twice']} | {total['same']} | {middle:.0f} |"
        )


def _faulty(
    number: int, kind: str, moment: float, whole: float, undisturbed: list[dict[str, Any]]
) -> dict[str, Any]:
    """Run a study with one fault at a part of its time, and resume it if it ended."""
    host = f"10.77.{number % 250}.1" if kind == "network" else LOCAL
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="powerml-scale-")))
        space = stack.enter_context(_namespace(number)) if kind == "network" else None
        small = stack.enter_context(_small_disk(folder)) if kind == "disk" else None
        cluster = Cluster(folder, host)
        stack.callback(cluster.stop)
        _start(cluster, space, small)
        started = time.monotonic()
        command = _search(cluster.place, FAULT_TRIALS, FAULT_WORKERS, folder)
        process = subprocess.Popen(
            command, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        stack.callback(process.kill)
        time.sleep(moment * whole)
        _break(kind, cluster, process, number, small)
        code, said = _ended(process)
        ended = code == 0
        before = _numbers(folder / "s")
        resumed = False
        if not ended:
            cluster.stop()
            _start(cluster, space, None)
            there = (folder / "s" / "study.journal").exists()
            again = subprocess.Popen(
                [*command, *(["--resume"] if there else [])],
                env=_environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            stack.callback(again.kill)
            code, said = _ended(again)
            resumed = code == 0
        if code:
            print(f"run {number} ({kind}) ended with {code}: {said}", flush=True)
        found = _plain(folder / "s") if (ended or resumed) else []
        counted = Counter(one["number"] for one in found)
        end = {
            "kind": kind,
            "ended": ended,
            "resumed": resumed,
            "lost": len(set(before) - set(counted)) + max(0, FAULT_TRIALS - len(counted)),
            "twice": sum(times - 1 for times in counted.values()),
            "same": found == undisturbed,
            "seconds": time.monotonic() - started,
        }
        print(f"run {number}: {json.dumps(end)}", file=sys.stderr, flush=True)  # as it goes
        return end


def _start(cluster: Cluster, space: str | None, small: Path | None) -> None:
    cluster.start_scheduler()
    for number in range(FAULT_WORKERS):
        is_hit = number == 0
        cluster.start_worker(
            ("ip", "netns", "exec", space) if is_hit and space else (),
            FAULT_SECONDS,
            small if is_hit else None,
        )
    _wait_for(cluster, FAULT_WORKERS)


def _break(
    kind: str,
    cluster: Cluster,
    search: subprocess.Popen[bytes],
    number: int,
    small: Path | None,
) -> None:
    """Let the fault happen, and pass where it passes."""
    worker, scheduler = cluster.workers[0], cluster.scheduler
    if kind == "worker":
        worker.kill()
    elif kind == "scheduler" and scheduler is not None:
        scheduler.kill()
    elif kind == "search":
        search.kill()
    elif kind == "disk" and small is not None:
        with contextlib.suppress(OSError), (small / "filling").open("wb") as file:
            while True:
                file.write(b"0" * 4096)
                file.flush()
    elif kind == "stopped":
        worker.send_signal(signal.SIGSTOP)
        _sleep(STOPPED_SECONDS, search)
        worker.send_signal(signal.SIGCONT)
    elif kind == "network":
        _ip("link", "set", f"pm{number}a", "down")
        _sleep(CUT_SECONDS, search)
        _ip("link", "set", f"pm{number}a", "up")


def _sleep(seconds: float, search: subprocess.Popen[bytes]) -> None:
    """Wait, but not beyond the end of a search."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        search.wait(seconds)


def _ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    try:
        _, said = process.communicate(timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        _, said = process.communicate()
        return 124, said.decode()
    return process.returncode, said.decode()


def _numbers(folder: Path) -> list[int]:
    """Return the numbers of the trials that a study holds."""
    if not (folder / "study.journal").exists():
        return []
    try:
        return [trial.number for trial in read_study(folder).trials]
    except PowerMLError:  # killed before the study was made
        return []


@contextlib.contextmanager
def _namespace(number: int) -> Iterator[str]:
    """Make a network namespace with a link to this one."""
    name, here, there = f"powerml{number}", f"pm{number}a", f"pm{number}b"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", here, "type", "veth", "peer", "name", there)
        _ip("link", "set", there, "netns", name)
        _ip("addr", "add", f"10.77.{number % 250}.1/24", "dev", here)
        _ip("link", "set", here, "up")
        _ip("-n", name, "addr", "add", f"10.77.{number % 250}.2/24", "dev", there)
        _ip("-n", name, "link", "set", there, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        _ip("netns", "delete", name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system of 4 MB."""
    place = folder / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


if __name__ == "__main__":
    main()
