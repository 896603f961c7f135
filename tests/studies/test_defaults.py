"""Defaults of a search: what follows from its protocol, its objective and its data."""

from __future__ import annotations

import pytest

from powerml.errors import UsageError
from powerml.studies.defaults import default_epochs, default_min_score, default_weights, defaults_of
from powerml.studies.objective import Weights
from powerml.workloads.datasets import load_dataset


def test_the_papers_protocol_keeps_the_papers_search() -> None:
    papers = defaults_of("paper")
    assert (papers.data, papers.objective, papers.sampler) == ("mnist_small", "squared", "tpe")
    assert default_epochs("paper", 100) == 2
    assert default_weights("squared") == Weights(0.5, 0.05)
    assert default_min_score("squared", "mnist_small", None) is None


def test_otherwise_the_cheapest_accurate_network_of_ten_classes_is_sought() -> None:
    usual = defaults_of("default")
    assert (usual.data, usual.objective) == ("digits", "constrained")
    assert default_weights("constrained") == Weights(0.5, 0.5)
    assert default_min_score("constrained", "digits", None) == "best-0.005"
    assert default_min_score("constrained", "mine.npz", None) == "best-0.005"
    assert default_min_score("constrained", "mnist_small", None) == 0.97


@pytest.mark.parametrize(("samples", "epochs"), [(100, 60), (1079, 56), (20_000, 3), (54_000, 3)])
def test_a_training_sees_sixty_thousand_samples_in_3_to_60_epochs(
    samples: int, epochs: int
) -> None:
    assert default_epochs("default", samples) == epochs


@pytest.mark.parametrize(
    ("given", "weights"),
    [((0.8, None), (0.8, 0.2)), ((None, 1.0), (0.0, 1.0)), ((0.2, None), (0.2, 0.5))],
)
def test_a_weight_that_was_not_given_takes_what_the_other_leaves(
    given: tuple[float | None, float | None], weights: tuple[float, float]
) -> None:
    found = default_weights("constrained", *given)
    assert (found.alpha, found.beta) == pytest.approx(weights)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_a_weight_out_of_range_is_refused_whatever_the_other(wrong: float) -> None:
    with pytest.raises(UsageError, match=r"alpha is|alpha \+ beta is"):
        default_weights("constrained", wrong)


def test_digits_have_ten_classes_in_every_split_and_share_no_sample() -> None:
    dataset = load_dataset("digits")
    splits = (dataset.train, dataset.validation, dataset.test)
    assert [len(split) for split in splits] == [1079, 359, 359]
    assert dataset.input_shape == (8, 8)
    assert [sorted(set(split.labels.tolist())) for split in splits] == [list(range(10))] * 3
    assert (dataset.train.samples.min(), dataset.train.samples.max()) == (0, 255)
    assert dataset.scale() == 255
