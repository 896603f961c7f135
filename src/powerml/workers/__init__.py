"""Workers: processes elsewhere that train and simulate the trials of a search."""

from powerml.workers.base import Workers
from powerml.workers.catalogue import check_workers, open_workers
from powerml.workers.listener import WorkersListener

__all__ = ["Workers", "WorkersListener", "check_workers", "open_workers"]
