"""Profile of the machine that powerML runs on, and the prices beside its own times."""

from powerml.host.agreement import Agreement, agreement_of, farthest
from powerml.host.models import MODELS
from powerml.host.probe import DEFAULT_NAME, DEFAULT_SECONDS, MachineProbe, probe_machine
from powerml.host.validation import MachineValidation, validate_machine

__all__ = [
    "DEFAULT_NAME",
    "DEFAULT_SECONDS",
    "MODELS",
    "Agreement",
    "MachineProbe",
    "MachineValidation",
    "agreement_of",
    "farthest",
    "probe_machine",
    "validate_machine",
]
