"""The cache of counts: what it keeps, what it refuses, and that nothing breaks it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from powerml.costs.cache import CountsCache
from powerml.costs.counts import Instructions, PhaseCounts
from powerml.errors import UsageError
from powerml.machines import Machine
from powerml.meters.caching import CachingMeter
from powerml.workloads.datasets import Dataset
from powerml.workloads.workload import AnyWorkload
from tests.builders import make_fingerprint
from tests.doubles import FormulaMeter, WorkloadMaker

KEY = {"workload": {"topology": "dffr:layers=1,width=2"}, "shape": (28, 28)}
TOPOLOGY = "dffr:layers=1,width=2"


class DeterminedMeter(FormulaMeter):
    """Counts by a formula, and says what the counts depend on."""

    def __init__(self, machine: Machine, **determinants: object) -> None:
        super().__init__(machine)
        self._determinants = determinants

    def determinants(self, workload: AnyWorkload) -> dict[str, Any]:
        return dict(self._determinants)


@pytest.fixture
def phases(machine: Machine, make: WorkloadMaker, mnist_small: Dataset) -> list[PhaseCounts]:
    return FormulaMeter(machine).measure(make(TOPOLOGY), mnist_small)


@pytest.fixture
def cache(tmp_path: Path) -> CountsCache:
    return CountsCache(tmp_path)


def entries(cache: CountsCache) -> list[Path]:
    return sorted(cache.folder.glob("*/*.json"))


def test_what_was_kept_is_found(cache: CountsCache, phases: list[PhaseCounts]) -> None:
    assert cache.get(KEY) is None
    cache.put(KEY, phases, make_fingerprint())
    found = cache.get(KEY)
    assert found is not None
    assert (found.phases, found.fingerprint) == (phases, make_fingerprint())
    assert cache.get({**KEY, "shape": (28, 29)}) is None


def test_instructions_are_kept_with_the_counts(
    cache: CountsCache, phases: list[PhaseCounts]
) -> None:
    numbers = {name: number for number, name in enumerate(Instructions.model_fields)}
    told = phases[0].counts.model_copy(update={"instructions": Instructions(**numbers)})
    # One phase tells them, the other does not.
    kept = [phases[0].model_copy(update={"counts": told}), *phases[1:]]
    cache.put(KEY, kept, make_fingerprint())
    found = cache.get(KEY)
    assert found is not None
    assert found.phases == kept
    assert found.phases[1].counts.instructions is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content.replace(b'"Ir":', b'"Ir":1', 1),
        lambda content: b"\xff" + content,
        lambda content: b"\0" * len(content),
    ],
)
def test_a_damaged_entry_is_not_trusted_and_is_replaced(
    cache: CountsCache, phases: list[PhaseCounts], damage: Callable[[bytes], bytes]
) -> None:
    cache.put(KEY, phases, make_fingerprint())
    (path,) = entries(cache)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get(KEY) is None
    cache.put(KEY, phases, make_fingerprint())
    assert cache.get(KEY) is not None


@pytest.mark.parametrize("kind", ["pipe", "endless", "loop", "folder"])
def test_what_is_no_file_is_no_entry_and_is_not_waited_for(
    cache: CountsCache, phases: list[PhaseCounts], kind: str
) -> None:
    cache.put(KEY, phases, make_fingerprint())
    (path,) = entries(cache)
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "endless" else path.name)
    assert cache.get(KEY) is None
    assert list(cache.entries()) == []
    assert cache.size()[0] <= 1


def test_an_entry_under_another_name_is_not_trusted(
    cache: CountsCache, phases: list[PhaseCounts]
) -> None:
    other = {**KEY, "shape": (1, 1)}
    cache.put(KEY, phases, make_fingerprint())
    cache.put(other, phases, make_fingerprint())
    mine, theirs = (cache._path(key) for key in (KEY, other))
    theirs.write_bytes(mine.read_bytes())
    assert cache.get(other) is None


def _write_for_ever(folder: Path, phases: list[PhaseCounts]) -> None:
    cache = CountsCache(folder)
    while True:
        cache.put(KEY, phases, make_fingerprint())


def test_writers_that_are_killed_and_others_leave_it_whole(
    cache: CountsCache, phases: list[PhaseCounts], tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_for_ever, args=(tmp_path, phases)) for _ in range(2)]
    for writer in writers:
        writer.start()
    while cache.get(KEY) is None:
        pass
    for _ in range(300):
        found = cache.get(KEY)
        assert found is not None
        assert found.phases == phases
    for writer in writers:
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
    assert cache.get(KEY) is not None
    cache.clear()
    assert not list(tmp_path.rglob("*"))


def test_clearing_leaves_what_is_not_its_own(cache: CountsCache, phases: list[PhaseCounts]) -> None:
    cache.put(KEY, phases, make_fingerprint())
    mine = cache.folder / "notes" / "thesis.json"
    mine.parent.mkdir()
    mine.write_text("{}", encoding="utf-8")
    number, size_bytes = cache.size()
    assert number == 1
    assert size_bytes == entries(cache)[0].stat().st_size
    cache.clear()
    assert cache.size() == (0, 0)
    assert mine.exists()


def test_a_workload_is_measured_once(
    cache: CountsCache, machine: Machine, make: WorkloadMaker, mnist_small: Dataset
) -> None:
    inner = DeterminedMeter(machine)
    workload = make(TOPOLOGY)
    first = CachingMeter(inner, cache).measure(workload, mnist_small)
    meter = CachingMeter(inner, cache)
    renamed = workload.model_copy(update={"seed": 7, "data": "renamed"})
    told: list[str] = []
    again = meter.measure(renamed, mnist_small, told.append)
    assert again == first
    assert told == [f"{TOPOLOGY} batch 50: counts from the cache"]
    assert meter.fingerprint() == inner.fingerprint()
    assert len(inner.measured) == 1


@pytest.mark.parametrize(
    "change",
    [{"batch_size": 49}, {"epochs": 3}, {"data_digest": "e" * 64}, {"protocol": "paper"}],
)
def test_another_workload_is_measured(
    cache: CountsCache,
    machine: Machine,
    make: WorkloadMaker,
    mnist_small: Dataset,
    change: dict[str, object],
) -> None:
    inner = DeterminedMeter(machine)
    meter = CachingMeter(inner, cache)
    meter.measure(make(TOPOLOGY), mnist_small)
    meter.measure(make(TOPOLOGY).model_copy(update=change), mnist_small)
    assert len(inner.measured) == 2


def test_other_determinants_are_measured_again(
    cache: CountsCache, machine: Machine, make: WorkloadMaker, mnist_small: Dataset
) -> None:
    for number, determinants in enumerate(({"code": "a"}, {"code": "b"}, {"code": "a"})):
        inner = DeterminedMeter(machine, **determinants)
        CachingMeter(inner, cache).measure(make(TOPOLOGY), mnist_small)
        assert len(inner.measured) == (1 if number < 2 else 0)


def test_a_folder_that_cannot_be_written_to_costs_no_measurement(
    tmp_path: Path, machine: Machine, make: WorkloadMaker, mnist_small: Dataset
) -> None:
    (tmp_path / "counts").write_text("a file where the folder should be", encoding="utf-8")
    told: list[str] = []
    meter = CachingMeter(DeterminedMeter(machine), CountsCache(tmp_path))
    assert meter.measure(make(TOPOLOGY), mnist_small, told.append)
    assert "cannot be kept in" in told[-1]
    assert "--no-cache" in told[-1]


def test_a_file_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("POWERML_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="a file: give a folder"):
        CountsCache()


def test_the_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERML_CACHE_DIR", str(tmp_path / "here"))
    assert CountsCache().folder == tmp_path / "here" / "counts"
