"""The settings of a study come from the options of a search, by name."""

from __future__ import annotations

import powerml
from powerml.options import shown_of
from powerml.search.settings import complete, options_of
from powerml.studies.limits import Limits
from powerml.studies.records import StudySettings
from tests.builders import make_settings

# Neither what is proposed nor what is counted or scored depends on these, but for `trials` and
# `jobs`, which each run of a study notes.
NO_SETTINGS = {
    *("cache", "jobs", "limit_seconds", "out", "resume", "study", "trials", "warm"),
    *("storage", "unfit_workers", "workers"),  # counts and scores do not depend on them
}
UNDER_OTHER_NAMES = {
    *("runtime", "inference_batch", "inferences"),  # in `deployment`
    "machine_file",  # in `profiles_digest`
}


def test_a_study_records_every_option_that_its_trials_depend_on() -> None:
    options = set(powerml.SearchOptions.fields()) - NO_SETTINGS - UNDER_OTHER_NAMES
    limits = {f"max_{phase}_cost" for phase in ("training", "inference")}
    limits |= {"min_score", "max_parameters", "max_memory", "max_file_size"}
    assert options - set(StudySettings.model_fields) == limits


def test_what_follows_from_the_protocol_is_filled_in() -> None:
    ours, papers = powerml.SearchOptions(), powerml.SearchOptions(protocol="paper")
    found = complete(ours)
    assert (found.objective, found.sampler, found.data) == ("constrained", "composite", "digits")
    assert (found.alpha, found.beta, found.min_score) == (0.5, 0.5, "best-0.005")
    found = complete(papers)
    assert (found.objective, found.sampler, found.data) == ("squared", "tpe", "mnist_small")
    assert (found.alpha, found.beta, found.min_score) == (0.5, 0.05, None)


def test_the_help_tells_the_defaults_that_depend_on_something() -> None:
    fields = powerml.SearchOptions.fields()
    for options in (powerml.SearchOptions(), powerml.SearchOptions(protocol="paper")):
        found = complete(options)
        for name in ("data", "alpha", "beta", "objective", "sampler"):
            assert f"{getattr(found, name)}" in (shown_of(fields[name]).default or "")
    for data in ("digits", "mnist_small"):
        told = shown_of(fields["min_score"]).default or ""
        assert f"{complete(powerml.SearchOptions(data=data)).min_score}" in told


def test_options_that_repeat_a_study_leave_out_what_is_the_default() -> None:
    settings = make_settings(
        objective="constrained", alpha=0.5, beta=0.5, limits=Limits(min_score=0.5), score_seeds=2
    )
    found = options_of(settings)
    assert (found.objective, found.alpha, found.beta, found.min_score) == (None, None, None, 0.5)
    assert (found.score_seeds, found.machine, found.reference) == (2, "xeon-x5650", None)


def test_limits_of_memory_are_repeated_in_bytes() -> None:
    limits = powerml.SearchOptions(max_memory="64KiB", max_file_size="1MB").limits()
    found = options_of(make_settings(limits=limits))
    assert (found.max_memory, found.max_file_size) == (65536, 1_000_000)
    assert found.limits() == limits
