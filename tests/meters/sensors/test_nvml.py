"""The meter nvml, over a stand-in for Zeus, and over Zeus's own replay where it is installed."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from powerml.errors import MeasurementError, SetupError
from powerml.meters.sensors.base import Span
from powerml.meters.sensors.nvml import NvmlSensor

SPAN = Span(0.0, 1.0, 1.0)


class FakeMonitor:
    """Zeus's monitor: windows by name, and the joules of each GPU at their end."""

    gpus: tuple[int, ...] = (0, 1)
    joules = 12.5

    def __init__(self, gpu_indices: Any = None, cpu_indices: Any = None) -> None:
        assert cpu_indices == []
        self.gpu_indices = list(self.gpus)
        self._windows: set[str] = set()

    def begin_window(self, key: str, sync_execution: bool = True) -> None:
        assert not sync_execution, "the workload is in another process"
        assert key not in self._windows
        self._windows.add(key)

    def end_window(self, key: str, sync_execution: bool = True) -> SimpleNamespace:
        assert not sync_execution
        self._windows.remove(key)
        if self.joules == 0:
            warnings.warn("measured as zero", stacklevel=1)
        return SimpleNamespace(gpu_energy=dict.fromkeys(self.gpu_indices, self.joules), time=1.0)


@pytest.fixture
def zeus(monkeypatch: pytest.MonkeyPatch) -> type[FakeMonitor]:
    monitor = type("Monitor", (FakeMonitor,), {})
    module = ModuleType("zeus.monitor")
    module.ZeusMonitor = monitor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "zeus", ModuleType("zeus"))
    monkeypatch.setitem(sys.modules, "zeus.monitor", module)
    return monitor


def test_the_first_gpu_is_read(zeus: type[FakeMonitor]) -> None:
    sensor = NvmlSensor()
    sensor.open()
    windows = [sensor.begin(), sensor.begin()]
    for window in windows:
        window.poll()
        window.end()
    parts = windows[0].joules(SPAN)
    assert sensor.total(parts) == 12.5
    assert sensor.includes == tuple(parts) == ("GPU 0 with its memory",)
    assert "processor and its memory" in sensor.excludes


def test_an_energy_of_zero_is_passed_on_without_a_warning(zeus: type[FakeMonitor]) -> None:
    zeus.joules = 0.0
    sensor = NvmlSensor()
    sensor.open()
    window = sensor.begin()
    window.end()
    assert sensor.total(window.joules(SPAN)) == 0


def test_zeus_that_is_not_installed_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "zeus", None)
    with pytest.raises(SetupError, match=r"pip install 'powerml\[nvml\]'"):
        NvmlSensor().open()


def test_a_machine_without_a_gpu_is_told_what_would_work(zeus: type[FakeMonitor]) -> None:
    zeus.gpus = ()
    with pytest.raises(SetupError, match=r"Zeus finds no GPU: give --meter rapl.*readings:FILE"):
        NvmlSensor().open()


def test_a_driver_that_fails_is_one_line(
    zeus: type[FakeMonitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("NVML: the driver\nis not loaded")

    sensor = NvmlSensor()
    sensor.open()
    monkeypatch.setattr(zeus, "begin_window", fail)
    with pytest.raises(MeasurementError, match="Zeus cannot read the GPU") as caught:
        sensor.begin()
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(zeus, "__init__", fail)
    with pytest.raises(SetupError, match="Zeus cannot read a GPU"):
        NvmlSensor().open()


REPLAYED = """\
start_time,window_name,elapsed_time,gpu0_energy,gpu1_energy
1764250000.0,a,1.0,60.0,55.0
1764250001.0,b,2.0,500.5,110.0
"""


def test_windows_that_zeus_replays_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitors = pytest.importorskip("zeus.monitor", reason="Zeus is not installed")
    replaying = pytest.importorskip("zeus.utils.testing").ReplayZeusMonitor
    log = tmp_path / "zeus.csv"
    log.write_text(REPLAYED, encoding="utf-8")
    monitor = replaying(log_file=log, match_window_name=False)
    monkeypatch.setattr(monitors, "ZeusMonitor", lambda cpu_indices: monitor)
    sensor = NvmlSensor()
    sensor.open()
    read = []
    for _ in range(2):
        window = sensor.begin()
        window.end()
        read.append(sensor.total(window.joules(SPAN)))
    assert read == [60.0, 500.5]
    with pytest.raises(MeasurementError, match="No more lines"):
        sensor.begin().end()
    monitor.log_file.close()
