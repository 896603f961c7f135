"""Make the shipped `mnist_small` from the full MNIST.

Zeros and ones: 100 training and 100 validation images from the training split, disjoint, and 100
test images from the test split, each the first that come, so that nothing is chosen by hand.

    python scripts/make_mnist_small.py FULL_MNIST.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

IMAGES_PER_SPLIT = 100
TARGET = Path(__file__).parent.parent / "src" / "powerml" / "workloads" / "mnist_small.npz"


def main(source: str) -> None:
    """Write the shipped file from the full set in `source`."""
    with np.load(source, allow_pickle=False) as full:
        arrays = {}
        for split in ("train", "test"):
            images, labels = full[f"x_{split}"], full[f"y_{split}"]
            chosen = np.flatnonzero(labels <= 1)
            arrays[split] = (images[chosen], labels[chosen].astype(np.uint8))
    n = IMAGES_PER_SPLIT
    (x_train, y_train), (x_test, y_test) = arrays["train"], arrays["test"]
    np.savez_compressed(
        TARGET,
        x_train=x_train[:n],
        y_train=y_train[:n],
        x_val=x_train[n : 2 * n],
        y_val=y_train[n : 2 * n],
        x_test=x_test[:n],
        y_test=y_test[:n],
    )
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
