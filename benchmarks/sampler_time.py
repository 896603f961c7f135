"""Figure 5: how long the composite sampler thinks about one proposal, in the product's own space.

    python benchmarks/sampler_time.py    # 1 minute

All of dffr with every batch size, 19,800 topologies, with the cost model that a study has.
"""

from __future__ import annotations

import time
from statistics import median

import optuna
from optuna.distributions import BaseDistribution, IntDistribution

import workloads
from powerml.costs.counts import PhaseName
from powerml.samplers import QUANTITIES, CompositeSampler, quantities
from powerml.search.known_costs import StudyCostModel
from powerml.search.problem import BATCH_SIZE
from powerml.spaces import find_space, topology_of
from powerml.studies.objective import Squared, Weights
from powerml.studies.records import Complete, TrialRecord
from powerml.workloads.datasets import DEFAULT_VALIDATION, load_dataset
from powerml.workloads.workload import Deployment

TRIALS, LIMIT_SECONDS = 50, 0.5
LAST = 10  # proposals that are timed


def main() -> int:
    """Print the seconds of the last proposals; return 1 where they are too many."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space, dataset = find_space("dffr"), load_dataset("mnist_small", DEFAULT_VALIDATION)
    reference = topology_of(space, space.reference)
    workload = workloads.make(reference, dataset, space.reference_batch_size)
    deployment = Deployment(runtime="onnxruntime", batch_size=1, inferences=1)
    known = StudyCostModel(
        space, workload.model_copy(update={"deployment": deployment}), str(reference)
    )
    bounds = {**space.bounds, BATCH_SIZE: space.batch_size_bounds}
    search_space: dict[str, BaseDistribution] = {
        name: IntDistribution(one.low, min(one.high, len(dataset.train)))
        for name, one in bounds.items()
    }
    objective = Squared(Weights(0.5, 0.05))
    study = optuna.create_study()
    seconds = []
    for number in range(TRIALS):
        started = time.perf_counter()
        study.sampler = CompositeSampler(objective, space=search_space, costs=known.costs)
        trial = study.ask(search_space)
        seconds.append(time.perf_counter() - started)
        parameters = dict(trial.params)
        batch_size = parameters.pop(BATCH_SIZE)
        # Any smooth costs and jumping scores will do: what is timed is the thinking.
        training = 30 / batch_size + parameters["layers"] / 10
        costs: dict[PhaseName, float] = {"training": training, "inference": 1.0}
        score = 0.5 + 0.5 * ((parameters["width"] * 7 + parameters["layers"] * 3) % 11) / 10
        known_of_it = quantities(training_cost=training, inference_cost=1.0, score=score)
        trial.set_user_attr(QUANTITIES, known_of_it)
        study.tell(trial, objective.value(costs, score))
        known.learn(
            TrialRecord(
                number=number + 1,
                topology=str(topology_of(space, parameters)),
                batch_size=batch_size,
                state=Complete(),
                score=score,
                cost_ratios=costs,
            )
        )
    last = median(seconds[-LAST:])
    print(f"{last:.2f} s a proposal at {TRIALS} trials (limit {LIMIT_SECONDS} s)")
    return 0 if last <= LIMIT_SECONDS else 1


if __name__ == "__main__":
    raise SystemExit(main())
