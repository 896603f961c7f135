"""The kinds of inputs."""

from fuzz.kinds.baselines import KIND as BASELINES
from fuzz.kinds.cache_entries import KIND as CACHE_ENTRIES
from fuzz.kinds.command_lines import KIND as COMMAND_LINES
from fuzz.kinds.datasets import KIND as DATASETS
from fuzz.kinds.elsewhere import KIND as ELSEWHERE
from fuzz.kinds.journals import KIND as JOURNALS
from fuzz.kinds.machines import KIND as MACHINES
from fuzz.kinds.machines import VALUES as MACHINE_VALUES
from fuzz.kinds.models import KIND as MODELS
from fuzz.kinds.processes import KIND as PROCESSES
from fuzz.kinds.records import KIND as RECORDS
from fuzz.kinds.records import VALUES as RECORD_VALUES
from fuzz.kinds.spaces import KIND as SPACES

__all__ = ["KINDS"]

KINDS = (
    COMMAND_LINES,
    MACHINES,
    MACHINE_VALUES,
    DATASETS,
    ELSEWHERE,
    MODELS,
    JOURNALS,
    CACHE_ENTRIES,
    SPACES,
    RECORDS,
    RECORD_VALUES,
    BASELINES,
    PROCESSES,
)
