"""Options of data: its splits, its target, and the metric of the score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from powerml.errors import UnknownNameError
from powerml.options import Options, Shown
from powerml.workloads.metrics import TASKS, TaskKind
from powerml.workloads.workload import DEFAULT_TEST_SHARE, DEFAULT_VALIDATION

if TYPE_CHECKING:
    from powerml.workloads.splits import Dataset

__all__ = ["DataOptions", "TaskName"]


def _check_task(task: object) -> object:
    if task is not None and task not in TASKS:
        raise UnknownNameError("task", str(task), TASKS)
    return task


TaskName = Annotated[TaskKind | None, BeforeValidator(_check_task)]


class DataOptions(Options):
    """Options of the data that networks are trained on and scored by."""

    target: Annotated[
        str | None,
        Field(description="Column of a table that is to be predicted."),
        Shown(default="the last one"),
    ] = None
    task: Annotated[
        TaskName,
        Field(description="classification; or regression, of numbers that are to be predicted."),
        Shown(default="told by a table's target, else classification"),
    ] = None
    metric: Annotated[
        str | None,
        Field(
            description="Metric of the score: accuracy, balanced_accuracy, f1, mcc, neg_log_loss, "
            "top_K; or of a regression r2, neg_rmse, neg_mae."
        ),
        Shown(default="accuracy; r2 of a regression"),
    ] = None
    test_share: Annotated[
        float,
        Field(description="Share of the data held out if there is no test split."),
    ] = DEFAULT_TEST_SHARE
    validation: Annotated[
        float,
        Field(description="Share of the training data held out if there is no validation split."),
    ] = DEFAULT_VALIDATION

    def load_dataset(self, data: str, *, renumber: bool = True) -> Dataset:
        """Load a dataset with these options; see `powerml.load_dataset`, also for errors."""
        from powerml.workloads.datasets import load_dataset

        return load_dataset(
            data,
            self.validation,
            renumber=renumber,
            target=self.target,
            task=self.task,
            test_share=self.test_share,
        )

    def check_arrays(self, arrays: Mapping[str, Any], name: str) -> Dataset:
        """Make a dataset of arrays by name; see `powerml.load_dataset`, also for errors."""
        from powerml.workloads.splits import check_splits

        return check_splits(
            dict(arrays), name, self.validation, task=self.task, test_share=self.test_share
        )
