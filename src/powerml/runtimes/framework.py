"""The framework of a network of one's own space, PyTorch or Keras, which needs no export."""

from __future__ import annotations

from collections.abc import Sequence

from powerml.errors import ModelError
from powerml.runtimes.base import Format, Session, Shapes
from powerml.runtimes.catalogue import FRAMEWORK, find_runtime


class OwnFramework:
    """The framework that a space builds its networks in. See `powerml.runtimes.base.Runtime`.

    It reads no files: the guest builds the network by the space's code.
    """

    name = FRAMEWORK
    format = Format("")
    package = "keras"
    install = "pip install 'powerml[torch]'"

    def start(self) -> None:
        """Import Keras and its backend, for one thread."""
        find_runtime("keras").start()

    def versions(self) -> dict[str, str]:
        """Return the versions of Keras and its backend."""
        return find_runtime("keras").versions()

    def load(
        self,
        path: str,
        shapes: Shapes | None = None,  # noqa: ARG002
        allowed: Sequence[str] = (),  # noqa: ARG002
    ) -> Session:
        """Refuse a file; raises ``ModelError``."""
        raise ModelError(f"{path} is a file, and {self.name} runs networks of a space: {FOR_FILES}")


FOR_FILES = "leave out --runtime"
runtime = OwnFramework()
