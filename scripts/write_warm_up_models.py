"""Write the small models that a runtime is warmed up with: powerml/guest/warm_up.

Run it when a topology or an exporter has changed in what layers it makes; it needs
``powerml[torch,litert-export]``. A format whose exporter is not installed is left as it is.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np

from powerml.errors import SetupError
from powerml.networks.export import export_topology
from powerml.runtimes import find_runtime, require_exporter
from powerml.spaces import parse_topology
from powerml.workloads.workload import Deployment, TopologyWorkload

FOLDER = Path(__file__).parent.parent / "src" / "powerml" / "guest" / "warm_up"
# Dense layers; convolutions with an odd and with an even kernel, which is padded apart.
MODELS = {
    "dense": "dffr:layers=2,width=4",
    "odd": "cnn:layers=2,filters=2,kernel=3",
    "even": "cnn:layers=2,filters=2,kernel=2",
}
RUNTIMES = ("keras", "litert", "onnxruntime")


def main() -> None:
    """Write every model in every format."""
    FOLDER.mkdir(exist_ok=True)
    for runtime in map(find_runtime, RUNTIMES):
        try:
            require_exporter(runtime, "torch")
        except SetupError as error:
            print(f"{runtime.name} is left as it is: {error}")
            continue
        for name, topology in MODELS.items():
            path = FOLDER / f"{name}{runtime.format.suffix}"
            workload = _workload(topology, runtime.name)
            export_topology(workload, path, [np.zeros((1, 1, *workload.input_shape), np.float32)])
            print(f"{path}: {path.stat().st_size} bytes")


def _workload(topology: str, runtime: str) -> TopologyWorkload:
    return TopologyWorkload(
        topology=parse_topology(topology),
        data="none",
        data_digest="",
        validation=0.1,
        input_shape=(8, 8),
        classes=2,
        training_samples=1,
        inference_samples=1,
        batch_size=1,
        epochs=1,
        protocol="default",
        backend="torch",
        seed=0,
        deployment=Deployment(runtime=runtime, batch_size=1, inferences=1),
    )


if __name__ == "__main__":
    main()
