"""Options are given by name or as one object; what is wrong with one is said in a line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

import powerml
from powerml.options import Options

FUNCTIONS: list[tuple[Callable[..., object], type[Options]]] = [
    (powerml.best, powerml.BestOptions),
    (powerml.calibrate, powerml.CalibrateOptions),
    (powerml.measure, powerml.MeasureOptions),
    (powerml.optimize, powerml.SearchOptions),
    (powerml.reproduce, powerml.ReproduceOptions),
]


@pytest.mark.parametrize(("function", "model"), FUNCTIONS)
def test_signature_and_docs_show_every_option(
    function: Callable[..., object], model: type[Options]
) -> None:
    parameters = inspect.signature(function).parameters
    docs = inspect.getdoc(function) or ""
    for name, field in model.fields().items():
        assert field.description, name
        assert parameters[name].default == field.default
        assert f"\n{name} : " in docs
    assert f"\noptions : {model.__name__} | None, default None\n" in docs
    assert docs.index("\noptions : ") < docs.index("\nRaises\n")


@pytest.mark.parametrize(("function", "model"), FUNCTIONS)
def test_an_unknown_option_is_refused_in_pythons_words(
    function: Callable[..., object], model: type[Options]
) -> None:
    name = next(iter(model.fields()))
    needed = [] if function is powerml.reproduce else ["x"]
    said = rf"^{function.__name__}\(\) got an unexpected keyword argument '{name}s'"
    with pytest.raises(TypeError, match=rf"{said}\. Did you mean '{name}'\?$"):
        function(*needed, **{f"{name}s": 1})
    anything: dict[str, object] = {"zzz": 1}
    with pytest.raises(TypeError, match=rf"^{model.__name__}\(\) got an unexpected .* 'zzz'$"):
        model(**anything)


def test_options_given_by_name_come_before_the_objects() -> None:
    given = powerml.SearchOptions(trials=5, seed=3)
    found = powerml.SearchOptions.of_call("optimize", given, {"seed": 4})
    assert (found.trials, found.seed) == (5, 4)
    # What was not given by name stays so: files of machines take the default's place.
    assert "machine" not in found.model_fields_set


def test_options_of_another_function_are_refused() -> None:
    with pytest.raises(TypeError, match=r"^optimize\(\) takes options of the type SearchOptions,"):
        powerml.optimize("dffr", options=powerml.MeasureOptions())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("score_seeds", 0, "score seeds is 0: give at least 1"),
        ("trials", "many", "trials is 'many': give int"),
        ("alpha", "half", "alpha is 'half': give float | None"),
        ("machine", 3, "machine is 3: give str | Machine | Sequence[str | Machine] | None"),
        ("accesses", "dat", "unknown kind of accesses 'dat': did you mean 'data'?"),
        ("fidelity", "roughly", "unknown fidelity 'roughly': known: exact, predicted, sampled"),
    ],
)
def test_a_wrong_value_is_said_in_a_line(name: str, value: object, said: str) -> None:
    with pytest.raises(powerml.UsageError) as refused:
        powerml.SearchOptions(**{name: value})
    assert str(refused.value) == said


def test_a_study_is_searched_with_options_as_one_object(tmp_path: Path) -> None:
    options = powerml.SearchOptions(study="a/b", out=tmp_path)
    with pytest.raises(powerml.UsageError, match="is a path: give the folder with --out"):
        powerml.optimize("dffr", options=options)
