"""Proof that the region is the training (`make validate`; about half an hour on 2 cores).

A whole process under Cachegrind that trains 52 epochs, minus one that trains 2, holds 50 epochs and
nothing else. So does the region of 52 epochs minus the region of 2. The two must agree.

Callgrind counts the region here, in the guest that the simulator counts: it has a read for each
lane of an FMA's operand, as Cachegrind does.

    python benchmarks/region.py
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import workloads
from powerml.costs.counts import Counts
from powerml.machines import PAPERS_MACHINE, load_machine
from powerml.meters.base import MeterOptions
from powerml.meters.valgrind.cachegrind import CachegrindMeter
from powerml.meters.valgrind.callgrind import CallgrindMeter
from powerml.workloads.datasets import load_dataset
from powerml.workloads.workload import TopologyWorkload

TOPOLOGIES = (("dffr:layers=2,width=16", 32), ("cnn:layers=1,filters=2,kernel=3", 50))
EPOCHS = (2, 52)
TOLERANCE = 0.02  # the project's own requirement
OPTIONS = MeterOptions(limit_seconds=7200.0)


def main() -> int:
    """Print both differences side by side; return 1 where they disagree."""
    machine, dataset = load_machine(PAPERS_MACHINE), load_dataset("mnist_small")

    def whole_process(one: TopologyWorkload) -> Counts:
        with CachegrindMeter(machine, "torch", OPTIONS) as meter:
            return meter.measure_phase(one, dataset, "training").counts

    agree = True
    for topology, batch_size in TOPOLOGIES:
        wanted = [workloads.make(topology, dataset, batch_size, epochs) for epochs in EPOCHS]
        print(f"{topology} batch {batch_size}: {EPOCHS[1]} epochs minus {EPOCHS[0]}", flush=True)
        with CallgrindMeter(machine, "torch", OPTIONS) as meter:
            few, many = (meter.measure(one, dataset)[0].counts for one in wanted)
        with ThreadPoolExecutor(len(wanted)) as pool:
            whole_few, whole_many = pool.map(whole_process, wanted)
        agree &= _compare(many - few, whole_many - whole_few)
    return 0 if agree else 1


def _compare(region: Counts, whole: Counts) -> bool:
    print(f"{'':16}{'region':>16}{'whole process':>16}{'difference':>12}")
    agree = True
    for name, mine, theirs, checked in (
        ("instructions", region.Ir, whole.Ir, False),
        ("data accesses", region.data_accesses, whole.data_accesses, True),
        ("D1 misses", region.d1_misses, whole.d1_misses, True),
        ("LL misses", region.ll_misses, whole.ll_misses, False),
    ):
        difference = mine / theirs - 1
        verdict = ""
        if checked:
            agree &= abs(difference) <= TOLERANCE
            verdict = "  ok" if abs(difference) <= TOLERANCE else "  DISAGREES"
        print(f"{name:16}{mine:16,}{theirs:16,}{difference:12.2%}{verdict}", flush=True)
    return agree


if __name__ == "__main__":
    sys.exit(main())
