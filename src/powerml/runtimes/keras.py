"""Keras: ``.keras`` files, on the backend that Keras runs on."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from powerml.errors import ModelError
from powerml.runtimes.base import Feed, Format, Input, ProfiledSession, Session, Shapes

LAMBDA = "Lambda"


class Keras:
    """The runtime Keras: ``predict_on_batch``. See `powerml.runtimes.base.Runtime`."""

    name = "keras"
    format = Format(".keras", magic=((0, b"PK\x03\x04"),))  # a zip archive
    package = "keras"
    install = "pip install 'powerml[torch]'"

    def start(self) -> None:
        """Import Keras and its backend, for one thread."""
        import keras

        backend = keras.backend.backend()
        if backend == "torch":
            import torch

            torch.set_num_threads(1)
        elif backend == "jax":
            import jax

            # A batch that runs while the host goes on would fall into the next region.
            jax.config.update("jax_cpu_enable_async_dispatch", False)

    def versions(self) -> dict[str, str]:
        """Return the versions of Keras and its backend."""
        import keras

        backend = keras.backend.backend()
        return {
            "keras": str(keras.__version__),
            backend: str(importlib.import_module(backend).__version__),
        }

    def load(
        self,
        path: str,
        shapes: Shapes | None = None,
        allowed: Sequence[str] = (),
    ) -> Session:
        """Read a model, without its optimizer."""
        del shapes  # it takes those that come
        return self.load_profiled(path, None, allowed).session

    def load_profiled(
        self,
        path: str,
        shapes: Shapes | None = None,  # noqa: ARG002
        allowed: Sequence[str] = (),
    ) -> ProfiledSession:
        """Read a model whose layers can be told."""
        model = load_keras(path, allowed, compile_too=False)
        if not getattr(model, "inputs", None):
            raise ModelError(
                f"{path} does not say what inputs it takes: save it as a functional or "
                "sequential model"
            )
        inputs = tuple(_input(one) for one in model.inputs)
        if len(inputs) == 1:
            name = inputs[0].name

            def run(feed: Feed) -> Any:
                return model.predict_on_batch(feed[name])

        else:

            def run(feed: Feed) -> Any:
                return model.predict_on_batch(dict(feed))

        return ProfiledSession(Session(inputs, run), model=model)


def load_keras(path: str, allowed: Sequence[str], *, compile_too: bool) -> Any:
    """Read a ``.keras`` file; code of its own is run only where it is allowed by name.

    Parameters
    ----------
    path
        The file.
    allowed
        ``Lambda`` for the code of Lambda layers in the file, ``module:Name`` for a class or
        function of an installed module.
    compile_too
        True to read the optimizer too.

    Raises
    ------
    ModelError
        A name in `allowed` cannot be imported.
    """
    import keras

    objects = dict(_imported(name) for name in allowed if name != LAMBDA)
    return keras.saving.load_model(
        path, custom_objects=objects, compile=compile_too, safe_mode=LAMBDA not in allowed
    )


def _imported(name: str) -> tuple[str, Any]:
    module, _, attribute = name.partition(":")
    try:
        if not (module and attribute):
            raise ImportError("it names no module and class")
        return attribute, getattr(importlib.import_module(module), attribute)
    except Exception as error:  # a module runs whatever it likes
        raise ModelError.quoting(
            f"the code allowed as {name!r} cannot be imported",
            error,
            f"write {LAMBDA}, or module:Name of an installed module",
        ) from error


def _input(found: Any) -> Input:
    name = str(found.name)
    shape = tuple(
        f"{name}.{axis}" if size is None else int(size) for axis, size in enumerate(found.shape)
    )
    return Input(name=name, shape=shape, dtype=str(found.dtype))


runtime = Keras()
