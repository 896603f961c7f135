"""Machines: processors that counts are priced for, one TOML file for each.

A machine is here only if eq. 2.1 can be computed from it. Every number carries its source. Others
come through entry points of the group ``powerml.machines`` (a path to a TOML).
"""

from powerml.machines.catalogue import (
    DEFAULT_MACHINE,
    PAPERS_MACHINE,
    load_machine,
    load_machine_file,
    load_machines,
    machine_from_toml,
    machine_names,
    name_of_file,
)
from powerml.machines.phases import (
    TRAINING_PHASES,
    PhaseMachines,
    board_among,
    is_board,
    is_emulated,
    require_no_board,
    runs_natively,
)
from powerml.machines.profile import (
    THREE_LEVELS,
    Cache,
    Geometry,
    Machine,
    Number,
    Power,
    Processor,
    Throughput,
    geometries,
    simulated_cache,
    up_to_l2,
)
from powerml.machines.toml import machine_toml

__all__ = [
    "DEFAULT_MACHINE",
    "PAPERS_MACHINE",
    "THREE_LEVELS",
    "TRAINING_PHASES",
    "Cache",
    "Geometry",
    "Machine",
    "Number",
    "PhaseMachines",
    "Power",
    "Processor",
    "Throughput",
    "board_among",
    "geometries",
    "is_board",
    "is_emulated",
    "load_machine",
    "load_machine_file",
    "load_machines",
    "machine_from_toml",
    "machine_names",
    "machine_toml",
    "name_of_file",
    "require_no_board",
    "runs_natively",
    "simulated_cache",
    "up_to_l2",
]
