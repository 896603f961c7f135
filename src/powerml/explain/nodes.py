"""The work of the nodes of a profiled model, by the names that the profile gives them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from powerml.explain.keras_layers import keras_layer_work
from powerml.explain.node_work import NodeWork
from powerml.explain.onnx_nodes import onnx_node_work
from powerml.explain.tflite_nodes import tflite_node_work
from powerml.meters.simulator.charges import INTERPRETER, RUNTIME, NodeKey, Profiled
from powerml.networks.native import build_topology
from powerml.progress import Notify
from powerml.workloads.model_files import load_model, read_inputs
from powerml.workloads.workload import AnyWorkload, Material, ModelFile, TrainedWorkload

__all__ = ["named_by_operators", "work_of_deployment", "work_of_training"]

LOSS = "Loss"  # told like a layer
# Operators that only give a tensor another shape; XNNPACK runs none of them.
RESHAPING = frozenset(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"))


def work_of_deployment(
    workload: AnyWorkload, profiled: Profiled, remark: Notify
) -> Mapping[NodeKey, NodeWork]:
    """Return the work of each node of an inference that is told.

    Parameters
    ----------
    workload
        The workload.
    profiled
        Its profile.
    remark
        Called with a sentence on what is not told.
    """
    deployment, model = workload.deployment, profiled.model
    if deployment is None or model is None or workload.kind == "load":
        return {}
    first = next(iter(profiled.phases.values()))
    nodes = [key for key in first[-1].nodes if key.name not in (RUNTIME, INTERPRETER)]
    if deployment.runtime == "onnxruntime":
        shapes = _shapes(workload, model, profiled.shapes)
        found = onnx_node_work(model, profiled.optimized, shapes, remark=remark)
        return {key: found[key.name] for key in nodes if key.name in found}
    if deployment.runtime == "litert":
        return named_by_operators(nodes, tflite_node_work(model, remark=remark))
    if deployment.runtime == "keras":
        return _of_layers(load_model(model, workload.allowed), nodes, deployment.batch_size or 1)
    return {}


def work_of_training(
    workload: TrainedWorkload, material: Material, profiled: Profiled
) -> Mapping[NodeKey, NodeWork]:
    """Return the work of each layer's forward pass in all steps of a training."""
    if workload.kind == "topology":
        model: Any = build_topology(workload)
    elif isinstance(material, ModelFile):
        model = load_model(material.path, workload.allowed)
    else:
        raise TypeError(material)
    first = next(iter(profiled.phases.values()))
    nodes = [key for key in first[0].nodes if key.part == "forward"]
    samples = workload.training_samples * workload.epochs
    return _of_layers(model, nodes, samples)


def _of_layers(model: Any, nodes: Sequence[NodeKey], samples: int) -> dict[NodeKey, NodeWork]:
    """Return the work of layers, in their order where that fits, else by name.

    Keras numbers layers without a name of their own by what it has built before.
    """
    found = list(keras_layer_work(model, samples).values())
    layers = [key for key in nodes if key.kind != LOSS]
    if [key.kind for key in layers] == [one.operator for one in found]:
        return {key: replace(one, name=key.name) for key, one in zip(layers, found, strict=True)}
    named = {one.name: one for one in found}
    return {key: named[key.name] for key in layers if key.name in named}


def _shapes(
    workload: AnyWorkload, model: Path, shapes: Sequence[tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a model's inputs by name."""
    if workload.kind == "file":
        names = [one.name for one in workload.inputs]
    else:
        names = [one.name for one in read_inputs(model)]
    return dict(zip(names, shapes, strict=False))


def named_by_operators(
    entries: Sequence[NodeKey], operators: Sequence[NodeWork]
) -> dict[NodeKey, NodeWork]:
    """Return the model's operator for each entry to an operator of LiteRT, in their order.

    The runtime leaves out operators that only reshape. Where the numbers differ for another reason
    no entry is told, and each goes by its number.
    """
    for some in (operators, [one for one in operators if one.operator not in RESHAPING]):
        if len(some) == len(entries):
            return dict(zip(entries, some, strict=True))
    return {
        key: NodeWork(f"operator {number}", _kernel(key.kind)) for number, key in enumerate(entries)
    }


def _kernel(function: str | None) -> str:
    """Return a name for an operator by its function, as ``RESHAPE`` for LiteRT's own."""
    # A mangled name spells out the namespaces, each after its length: tflite, ops, builtin, NAME.
    found = re.match(r"_ZN6tflite3ops(?:7builtin|6custom)(\d+)", function or "")
    if found is None:
        return "XNNPACK"
    return (function or "")[found.end() : found.end() + int(found[1])].upper()
