"""The job of running a network of a user's own space in its framework, without an export."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from powerml.guest import unseen
from powerml.guest.deployment_job import WARM_UP_INFERENCES, DeploymentJob, infer
from powerml.guest.region import Moments
from powerml.guest.request import DeploymentRequest
from powerml.guest.small_module import SHAPE, small_module
from powerml.guest.training_job import SEED
from powerml.runtimes import FRAMEWORK, Feed, Input, Session

INPUT = "input"


class FrameworkJob(DeploymentJob):
    """The job of building and running a network. See `powerml.guest.region.Job`.

    The code of its space is imported before anything is counted. `load` is the call of its `build`
    and the first run.
    """

    def __init__(self) -> None:
        super().__init__(FRAMEWORK)
        self._space: Any = None

    def start(self) -> None:
        """Import Keras and its backend, and what builds the networks of spaces."""
        super().start()
        import powerml.networks.own  # noqa: F401 - imported for what it brings along

    def warm_up(self) -> Iterator[None]:
        """Run small networks of Keras, and of PyTorch where Keras runs on it."""
        import keras

        yield from DeploymentJob("keras").warm_up()
        if keras.backend.backend() == "torch":
            for _ in range(2):
                yield
                _run_module()

    def run(self, content: dict[str, Any], moments: Moments) -> None:
        """Import the space, and count the building of the network and its inferences."""
        from powerml.spaces.from_file import SpaceCode, load_space

        # The user's code may import what powerML's own work does without.
        unseen.reveal()
        space, root = content["space"], Path(content["model"])
        code = SpaceCode(root, space["main"], space["module"], space["attribute"])
        self._space = load_space(code)
        super().run(content, moments)

    def _load(self, request: DeploymentRequest, shapes: Sequence[tuple[int, ...]]) -> Session:
        from powerml.networks import own
        from powerml.networks.model import seed_everything
        from powerml.spaces.task import Task
        from powerml.spaces.trial import answers_of

        given: Any = request.space
        task = Task(
            tuple(given["input_shape"]),
            given["outputs"],
            kind=given["task"],
            epochs=given["epochs"],
            batch_size=shapes[0][0],
            seed=SEED,
        )
        seed_everything(SEED)
        answer = answers_of(given["values"], self._space.name)
        model, _ = own.build_network(self._space, answer, task)
        return _session(model, shapes[0])


job = FrameworkJob


def _session(model: Any, shape: tuple[int, ...]) -> Session:
    """Return a network as it is run: in evaluation, without gradients."""
    import keras

    inputs = (Input(INPUT, shape, "float32"),)
    if isinstance(model, keras.Model):

        def predict(feed: Feed) -> Any:
            return model.predict_on_batch(feed[INPUT])

        return Session(inputs, predict)
    import torch

    model.eval()

    def run(feed: Feed) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(feed[INPUT])).numpy()

    return Session(inputs, run)


def _run_module() -> None:
    import numpy as np

    shape = (1, *SHAPE)
    session = _session(small_module(), shape)
    infer(session, [{INPUT: np.zeros(shape, np.float32)}] * WARM_UP_INFERENCES)
