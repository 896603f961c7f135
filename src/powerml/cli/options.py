"""Options that several commands share: what they are called, and what their help says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from powerml.machines import Machine

__all__ = [
    "DATA_HELP",
    "EPOCHS_HELP",
    "OBJECTIVE_HELP",
    "AccessesName",
    "Cache",
    "Data",
    "Epochs",
    "FidelityName",
    "InferenceBatch",
    "Inferences",
    "Jobs",
    "Json",
    "Levels",
    "LimitSeconds",
    "MachineFiles",
    "MachineNames",
    "MaxInferenceCost",
    "MaxParameters",
    "MaxTrainingCost",
    "MeterName",
    "MinScore",
    "ProtocolName",
    "RuntimeName",
    "SampleError",
    "Seed",
    "Validation",
    "machines_of",
]

DATA_HELP = "digits, mnist_small, mnist, or an .npz with x_train y_train x_test y_test."
Data = Annotated[str, typer.Option(help=DATA_HELP)]
EPOCHS_HELP = "Passes over the training data."
Epochs = Annotated[int, typer.Option(help=EPOCHS_HELP)]
MachineNames = Annotated[
    list[str] | None,
    typer.Option(
        "--machine",
        help="Machines that price the counts, separated by commas; or all.",
        show_default="xeon-x5650",
    ),
]
MachineFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--machine-file",
        help="A machine of your own, as TOML; alone, or beside those of --machine.",
    ),
]
Levels = Annotated[int, typer.Option(help="3 gives L2 its own price, by a second simulation.")]
RuntimeName = Annotated[
    str | None,
    typer.Option(
        help="What runs the inference: onnxruntime, litert or keras.",
        show_default="onnxruntime, or what a file is made for; Keras's evaluate with "
        "--protocol paper",
    ),
]
InferenceBatch = Annotated[
    int | None,
    typer.Option(help="Samples in a batch of the inference.", show_default="1"),
]
Inferences = Annotated[
    int, typer.Option(help="Batches of the inference that are counted, after two that are not.")
]
AccessesName = Annotated[str, typer.Option(help="data, or all to price instruction fetches too.")]
ProtocolName = Annotated[
    str,
    typer.Option(help="default, or paper: its pixels, kernels and score on the test split."),
]
Validation = Annotated[
    float,
    typer.Option(help="Part of the training data held out where there is no validation split."),
]
Seed = Annotated[int, typer.Option(help="Seed of the native training and of the search.")]
MeterName = Annotated[
    str,
    typer.Option(help="callgrind; cachegrind, the whole process as in 2018; or replay:FILE."),
]
FidelityName = Annotated[
    str,
    typer.Option(help="exact: every step is simulated; sampled: a few, and the rest extrapolated."),
]
SampleError = Annotated[
    float, typer.Option(help="How large the stated bound of a sample's relative error may be.")
]
Jobs = Annotated[
    int | None,
    typer.Option(help="How many processes simulate at once.", show_default="the cores"),
]
Cache = Annotated[
    bool, typer.Option("--cache/--no-cache", help="Look counts up that were simulated before.")
]
LimitSeconds = Annotated[
    float, typer.Option(help="After how many seconds a simulated phase is given up.")
]
MaxTrainingCost = Annotated[
    str | None,
    typer.Option(metavar="COST", help="Cycles, as in 1.5e9, or 0.8x for 0.8 references."),
]
MaxInferenceCost = Annotated[
    str | None, typer.Option(metavar="COST", help="The same for the inference.")
]
MinScore = Annotated[
    str | None,
    typer.Option(
        metavar="SCORE",
        help="The least score of the best, from 0 to 1; or, as in best-0.01, how far it lies below "
        "the best of all trials.",
        show_default="with constrained 0.97 on mnist_small, else best-0.01",
    ),
]
MaxParameters = Annotated[int | None, typer.Option(help="The most weights and biases.")]
OBJECTIVE_HELP = (
    "constrained: the least cost of those that score at least --min-score; squared: eq. 2.6; "
    "linear: the same without the squares."
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def machines_of(names: list[str] | None, files: list[Path] | None) -> list[str | Machine]:
    """Machines by name and those of the user's own, which replace the default where they are."""
    from powerml.machines import DEFAULT_MACHINE, load_machine_file

    own = {profile.name: profile for profile in map(load_machine_file, files or [])}
    wanted = [name.strip() for text in names or [] for name in text.split(",")]
    # A file's machine may be named among the others, to say in which order.
    found: list[str | Machine] = [own.get(name, name) for name in wanted]
    found += [profile for name, profile in own.items() if name not in wanted]
    return found or [DEFAULT_MACHINE]
