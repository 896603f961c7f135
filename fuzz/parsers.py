"""Parsers under atheris: functions of a file or a text, with the covered code as the guide.

``python -m fuzz.parsers NAME FILE`` reads one input again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PARSERS", "Parsed", "fuzz_parsers"]

LONGEST_INPUT_BYTES = 20_000
SLOWEST_SECONDS = 20
MOST_MEGABYTES = 4096
# Of a run: so many inputs, fewer where the time is over before.
RUNS = 20_000
STARTING_SECONDS = 90
EXECUTED = re.compile(r"stat::number_of_executed_units: (\d+)")


@dataclass(frozen=True)
class Parsed:
    """A parser's share of the campaign."""

    name: str
    inputs: int
    findings: int


@dataclass(frozen=True)
class Parser:
    """A parser: the maker of its function, and names of the material it begins with."""

    load: Callable[[], Callable[[Path, str], object]]
    begins_with: Callable[[], Sequence[bytes]]
    suffix: str = ""


def _machine() -> Callable[[Path, str], object]:
    from powerml.machines import catalogue

    return lambda _path, text: catalogue.machine_from_toml(text, "mine")


def _topology() -> Callable[[Path, str], object]:
    from powerml.spaces import parse_topology

    return lambda _path, text: parse_topology(text)


def _subspace() -> Callable[[Path, str], object]:
    from powerml.spaces import parse_subspace

    return lambda _path, text: parse_subspace(text)


def _values() -> Callable[[Path, str], object]:
    from powerml.spaces.from_file import split_own
    from powerml.spaces.values import read_values

    return lambda _path, text: (split_own(text), read_values(text))


def _size() -> Callable[[Path, str], object]:
    from powerml.files.sizes import size_in_bytes

    return lambda _path, text: size_in_bytes("the limit", text)


def _readings() -> Callable[[Path, str], object]:
    from powerml.calibration.readings import parse_readings

    return lambda _path, text: parse_readings(text, "x.csv")


def _power_log() -> Callable[[Path, str], object]:
    from powerml.meters.sensors.power_log import parse_power_log

    return lambda _path, text: parse_power_log(text, "x.csv")


def _marks() -> Callable[[Path, str], object]:
    from powerml.meters.valgrind.output import parse_marks

    return lambda _path, text: parse_marks(text, "the log")


def _cachegrind() -> Callable[[Path, str], object]:
    from powerml.meters.valgrind.output import parse_cachegrind

    return lambda _path, text: parse_cachegrind(text, "the log")


def _message() -> Callable[[Path, str], object]:
    from powerml.meters.simulator.warm.protocol import decode

    return lambda path, _text: decode(path.read_bytes())


def _table() -> Callable[[Path, str], object]:
    from powerml.workloads.delimited_files import read_delimited

    return lambda path, _text: read_delimited(path, "x.csv", target=None, task=None)


def _arrays() -> Callable[[Path, str], object]:
    from powerml.workloads.npz_files import array_names, read_arrays

    return lambda path, _text: read_arrays(path, array_names(path))


def _settings() -> Callable[[Path, str], object]:
    from powerml.gate.settings import read_settings

    return lambda path, _text: read_settings(path)


def _baseline() -> Callable[[Path, str], object]:
    from powerml.gate.baseline import read_baseline

    return lambda path, _text: read_baseline(path, "powerml check --update")


def _replay() -> Callable[[Path, str], object]:
    from powerml.meters.replay import ReplayMeter

    return lambda path, _text: ReplayMeter.from_file(path)


def _side() -> Callable[[Path, str], object]:
    from powerml.explain.sides import read_side

    return lambda path, _text: read_side(path)


def _operators() -> Callable[[Path, str], object]:
    from powerml.explain.tflite_nodes import tflite_node_work

    return lambda path, _text: tflite_node_work(path)


def _graph() -> Callable[[Path, str], object]:
    from powerml.workloads.model_files import check_format, external_files

    def parse(path: Path, _text: str) -> object:
        check_format(path)
        return external_files(path)

    return parse


def _of_texts(*texts: str) -> Callable[[], Sequence[bytes]]:
    return lambda: [text.encode() for text in texts]


def _material(*names: str) -> Callable[[], Sequence[bytes]]:
    def found() -> Sequence[bytes]:
        import json

        from fuzz import material
        from fuzz.kinds import baselines

        known: dict[str, Callable[[], bytes]] = {
            "machine": lambda: material.machine_text().encode(),
            "csv": lambda: material.csv_text().encode(),
            "npz": lambda: material.npz(material.arrays()),
            "readings": lambda: material.readings_text().encode(),
            "measurement": lambda: json.dumps(material.measurement()).encode(),
            "profile": lambda: json.dumps(material.profile()).encode(),
            "config": baselines.CONFIG.encode,
            "baseline": lambda: json.dumps(baselines.record()).encode(),
            "onnx": lambda: material.model("dense.onnx"),
            "tflite": lambda: material.model("dense.tflite"),
        }
        return [known[name]() for name in names]

    return found


MARKS = "mark begin\nthreads: 1\nevents: Ir Dr\nevents-1: 10 20\nmark end\nthreads: 1\n"
CACHEGRIND = (
    "desc: I1 cache\ncmd: x\nevents: Ir I1mr ILmr Dr D1mr DLmr Dw D1mw DLmw\nsummary: 9 8 7\n"
)
LOG = "time,watts\n1700000000,20\n2023-11-14T22:13:21Z,20.5\n1700000002,3e1\n"
MESSAGE = '{"kind": "use", "job": "own", "backend": null, "geometries": ["x"], "code": "y"}\n'
PARSERS = {
    "machine": Parser(_machine, _material("machine"), ".toml"),
    "topology": Parser(_topology, _of_texts("dffr:layers=2,width=16", "cnn:layers=1")),
    "subspace": Parser(_subspace, _of_texts("dffr:layers=1-3,width=8", "cnn")),
    "values": Parser(_values, _of_texts('units=16,rate=1e-3,name="a b",flag=true,x=none')),
    "size": Parser(_size, _of_texts("64KiB", "1.5 MB", "9")),
    "readings": Parser(_readings, _material("readings"), ".csv"),
    "power-log": Parser(_power_log, _of_texts(LOG), ".csv"),
    "marks": Parser(_marks, _of_texts(MARKS)),
    "cachegrind": Parser(_cachegrind, _of_texts(CACHEGRIND)),
    "warm-message": Parser(_message, _of_texts(MESSAGE)),
    "table": Parser(_table, _material("csv"), ".csv"),
    "arrays": Parser(_arrays, _material("npz"), ".npz"),
    "settings": Parser(_settings, _material("config"), ".toml"),
    "baseline": Parser(_baseline, _material("baseline"), ".jsonl"),
    "replay": Parser(_replay, _material("measurement"), ".json"),
    "side": Parser(_side, _material("measurement", "profile"), ".json"),
    "operators": Parser(_operators, _material("tflite"), ".tflite"),
    "graph": Parser(_graph, _material("onnx"), ".onnx"),
}


def fuzz_parsers(seed: int, seconds: float, jobs: int, kept: Path) -> list[Parsed]:
    """Let atheris try each parser, several at a time, in about so many seconds in all."""
    share = max(1, round(seconds * jobs / len(PARSERS)))
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(lambda name: _tried(name, seed, share, kept), PARSERS))


def _tried(name: str, seed: int, seconds: int, kept: Path) -> Parsed:
    """Run one parser under atheris in a process of its own; an input that breaks it is kept."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        corpus, broken = Path(folder) / "corpus", Path(folder) / "broken"
        corpus.mkdir()
        broken.mkdir()
        for number, content in enumerate(PARSERS[name].begins_with()):
            (corpus / str(number)).write_bytes(content)
        command = [
            *(sys.executable, "-m", "fuzz.parsers", name, f"-seed={seed + 1}", f"-runs={RUNS}"),
            *(f"-max_total_time={seconds}", f"-timeout={SLOWEST_SECONDS}", "-print_final_stats=1"),
            *(f"-rss_limit_mb={MOST_MEGABYTES}", f"-max_len={LONGEST_INPUT_BYTES}"),
            *(f"-artifact_prefix={broken}/", "-verbosity=0", str(corpus)),
        ]
        began = time.monotonic()
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "TMPDIR": folder},  # libFuzzer ends the process without a clean-up
            timeout=seconds + STARTING_SECONDS + SLOWEST_SECONDS,
        )
        told = EXECUTED.search(ended.stderr)
        inputs = int(told[1]) if told else 0
        findings = sorted(broken.iterdir())
        if ended.returncode == 0 and not findings and inputs:
            return Parsed(name, inputs, 0)
        place = kept / f"parser-{name}"
        place.mkdir(parents=True, exist_ok=True)
        for path in findings:
            shutil.copy(path, place / f"input{PARSERS[name].suffix}")
        again = f"python -m fuzz.parsers {name} {place / 'input'}{PARSERS[name].suffix}"
        seconds_taken = time.monotonic() - began
        (place / "finding.txt").write_text(
            f"repeat: {again}\nexit code: {ended.returncode} after {seconds_taken:.0f} s\n\n"
            f"{ended.stdout[-5000:]}\n{ended.stderr[-5000:]}",
            encoding="utf-8",
        )
        return Parsed(name, max(inputs, 1), 1)


def _main(name: str, arguments: Sequence[str]) -> None:
    """Run a parser under atheris, or on one file."""
    import atheris

    with atheris.instrument_imports(include=["powerml"]):
        import powerml

        parse = PARSERS[name].load()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder) / f"x{PARSERS[name].suffix}"

        def once(content: bytes) -> None:
            path.write_bytes(content)
            try:
                parse(path, content.decode("utf-8", "surrogateescape"))
            except powerml.PowerMLError:
                return

        if len(arguments) == 1 and Path(arguments[0]).is_file():
            once(Path(arguments[0]).read_bytes())
            return
        atheris.Setup([sys.argv[0], *arguments], once)
        atheris.Fuzz()


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2:])
