"""Lower bounds of the memory of networks whose layers are known."""

from __future__ import annotations

import numpy as np
import pytest

from powerml.backend import select_backend
from powerml.memory.bounds import least_file_bytes, least_needed_bytes
from powerml.memory.record import Memory
from powerml.networks.deployed import memory_of
from powerml.spaces import parse_topology
from powerml.workloads.datasets import load_dataset
from powerml.workloads.workload import Deployment, make_workload


@pytest.mark.parametrize("runtime", ["onnxruntime", "keras"])
@pytest.mark.parametrize(
    "topology",
    [
        "dffr:layers=1,width=1",
        "dffr:layers=10,width=20",
        "cnn:layers=1,filters=1,kernel=1",
        "cnn:layers=2,filters=5,kernel=4",  # its padding is computed in the graph
    ],
)
@pytest.mark.parametrize("batch_size", [1, 7])
def test_an_exported_network_takes_at_least_its_bounds(
    topology: str, runtime: str, batch_size: int
) -> None:
    dataset = load_dataset("digits", 0.2)
    workload = make_workload(
        parse_topology(topology),
        dataset,
        batch_size=32,
        epochs=1,
        protocol="default",
        backend=select_backend(),
        validation=0.2,
        seed=0,
        deployment=Deployment(runtime=runtime, batch_size=batch_size, inferences=1),
    )
    layers = workload.layers()
    memory = memory_of(workload, dataset, allocated=False)
    assert layers is not None
    assert isinstance(memory, Memory)
    assert memory.needed_bytes is not None
    assert memory.file_bytes is not None
    assert memory.weights_bytes is not None
    least = least_needed_bytes(layers, dataset.input_shape, batch_size)
    assert least <= memory.needed_bytes
    # The bound is of use: nothing but small tensors and the activations' operators comes on top.
    assert memory.needed_bytes <= 3 * least + 4096
    assert least_file_bytes(layers) <= memory.file_bytes
    parameters = 4 * sum(layer.parameters for layer in layers)
    assert parameters <= memory.weights_bytes <= parameters + 1024
    assert np.isclose(memory.file_bytes, parameters, atol=60_000)
