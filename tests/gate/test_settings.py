"""The configuration: found, read, and refused with the file and the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from powerml.errors import LONGEST_MESSAGE, UsageError
from powerml.gate.settings import find_config, read_settings
from tests.gate.doubles import Configure

ORDINARY = """\
[project]
name = "x"

[tool.powerml]
machine = "epyc-7763"
machine-file = "mine.toml"
max-regression = "0.5%"

[tool.powerml.models.keyword]
model = "models/keyword.onnx"
inference-batch = 4
dim = {length = 128}
max-inference-cycles = 1.5e6   # of the watch

[tool.powerml.models."two words"]
model = "dffr:layers=2,width=16"
machine = "raspberry-pi-4"
max-regression = "2%"
"""


def test_a_model_has_the_defaults_under_its_own_options_and_limits(configure: Configure) -> None:
    path = configure(ORDINARY)
    settings = read_settings(None)
    assert settings.path == path
    assert settings.baseline == path.parent / "powerml-baseline.jsonl"
    keyword, other = settings.models
    assert (keyword.name, keyword.model) == ("keyword", "models/keyword.onnx")
    assert keyword.options.machine == "epyc-7763"
    assert keyword.options.inference_batch == 4
    assert keyword.options.dimensions == {"length": 128}
    assert keyword.limits.max_regression == 0.005
    assert keyword.limits.max_inference_cycles == 1.5e6
    assert other.options.machine == "raspberry-pi-4"
    assert other.limits.max_regression == 0.02
    assert other.limits.max_inference_cycles is None


def test_paths_are_beside_the_file_wherever_the_command_runs(configure: Configure) -> None:
    path = configure(ORDINARY)
    [keyword, _] = read_settings(path).models
    assert keyword.options.machine_file == str(path.parent / "mine.toml")


def test_each_limit_knows_its_line(configure: Configure) -> None:
    configure(ORDINARY)
    keyword, other = read_settings(None).models
    assert keyword.line == 9
    assert keyword.lines["max_inference_cycles"] == 13
    assert keyword.lines["max_regression"] == 7
    assert other.line == 15
    assert other.lines["max_regression"] == 18


def test_a_configuration_is_found_upwards_past_files_without_the_table(
    configure: Configure, tmp_path: Path
) -> None:
    path = configure(ORDINARY)
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'y'\n", encoding="utf-8")
    assert find_config(inner) == path


def test_without_a_configuration_the_message_says_what_to_add(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"no pyproject.toml with \[tool.powerml\] .* add"):
        read_settings(None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[tool.powerml]\nmachin = 'x'\n[tool.powerml.models.a]\nmodel = 'a.onnx'\n",
            "unknown key 'machin' in [tool.powerml]: did you mean 'machine'?",
        ),
        (
            "[tool.powerml.models.a]\nmodel = 'a.onnx'\nmax-regresion = '1%'\n",
            "unknown key 'max-regresion' in [tool.powerml.models.a]: did you mean "
            "'max-regression'?",
        ),
        (
            "[tool.powerml.models.a]\nmodel = 'a.onnx'\ninference_batch = 2\n",
            "unknown key 'inference_batch' in [tool.powerml.models.a]: did you mean "
            "'inference-batch'?",
        ),
        (
            "[tool.powerml]\nmodel = 'a.onnx'\n",
            "unknown key 'model' in [tool.powerml]: did you mean 'models'?",
        ),
        (
            "[tool.powerml]\nzzzz = 1\n",
            "unknown key 'zzzz' in [tool.powerml]: give an option of powerml measure",
        ),
        ("[tool.powerml]\nlevels = 2\n", "names no model: add [tool.powerml.models.NAME]"),
        ("[tool.powerml.models]\na = 'a.onnx'\n", "tool.powerml.models.a is 'a.onnx': make it"),
        ("[tool.powerml]\nmodels = 3\n", "tool.powerml.models is 3: make a table of each"),
        ("[tool.powerml.models.a]\nlevels = 2\n", "[tool.powerml.models.a] has no model: add"),
        ("[tool]\npowerml = 3\n", "tool.powerml is 3: make it a table"),
        ("[tool.powerml]\nbaseline = 3\n[tool.powerml.models.a]\nmodel='a'\n", "baseline is 3"),
        (
            "[tool.powerml.models.a]\nmodel = 'a.onnx'\nmax-memory = '64XB'\n",
            "[tool.powerml.models.a]: max-memory is 64XB",
        ),
        (
            "[tool.powerml.models.a]\nmodel = 'a.onnx'\ninference-batch = 'two'\n",
            "[tool.powerml.models.a]: inference batch is 'two'",
        ),
        (
            "[tool.powerml.models.a]\nmodel = 'a.onnx'\nmeter = 'rapl'\n",
            "[tool.powerml.models.a]: powerml check needs counts, and the meter rapl reads joules",
        ),
        ("[tool.powerml\n", "is no TOML"),
        (f"[tool.powerml]\nseed = {'9' * 5000}\n", "is no TOML (Exceeds the limit"),
        ("[project]\nname = 'x'\n", "has no [tool.powerml]: add"),
    ],
)
def test_an_invalid_configuration_is_refused_with_the_file_and_the_key(
    text: str, said: str, configure: Configure
) -> None:
    path = configure(text)
    with pytest.raises(UsageError) as caught:
        read_settings(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert said in message
    assert len(message.replace(str(path), "pyproject.toml")) <= LONGEST_MESSAGE
    assert "\n" not in message


def test_a_missing_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"other.toml does not exist: give another --config"):
        read_settings(tmp_path / "other.toml")
