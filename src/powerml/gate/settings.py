"""The configuration of the gate: ``[tool.powerml]`` of a ``pyproject.toml``.

Options and limits of ``[tool.powerml]`` are defaults of every model. Each model has a table
``[tool.powerml.models.NAME]`` with `model`, its own options and its own limits. Paths are relative
to the file's folder.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from powerml.errors import UsageError
from powerml.files.texts import read_user_text
from powerml.gate.limits import GateLimits
from powerml.measuring.options import MeasureOptions
from powerml.meters.catalogue import require_counting
from powerml.meters.replay import REPLAY_PREFIX
from powerml.options import flag_of

__all__ = ["DEFAULT_BASELINE", "GateSettings", "ModelSettings", "find_config", "read_settings"]

CONFIG = "pyproject.toml"
DEFAULT_BASELINE = "powerml-baseline.jsonl"
TABLE = "tool.powerml"
MODELS = f"{TABLE}.models"
EXAMPLE = '[tool.powerml.models.NAME] with model = "file.onnx" and a limit'
# A calibrated reading has no limit.
LEFT_OUT = frozenset(("calibration",))
PATHS = frozenset(("machine_file", "data"))
ARRAYS = ".npz"


@dataclass(frozen=True)
class ModelSettings:
    """One model of the configuration.

    Parameters
    ----------
    name, model
        Its name, and the model as it is written.
    options, limits
        Its own, over the defaults. The options tell whether the training is counted only where
        `sets_training` is true.
    lines
        Lines of the file by the names of limits, and of its table by the name ``model``.
    """

    name: str
    model: str
    options: MeasureOptions
    limits: GateLimits
    sets_training: bool
    lines: Mapping[str, int]

    @property
    def line(self) -> int:
        """The line that names it."""
        return self.lines.get("model", 1)


@dataclass(frozen=True)
class GateSettings:
    """The configuration of the gate: its file, its baseline and its models.

    `defaults` are the options of every model, for the plugin of pytest.
    """

    path: Path
    baseline: Path
    models: tuple[ModelSettings, ...]
    defaults: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """The folder that paths are relative to, and modules are imported from."""
        return self.path.parent


def find_config(start: Path) -> Path | None:
    """Find a ``pyproject.toml`` with ``[tool.powerml]`` in a folder or above; None without one.

    Raises
    ------
    UsageError
        A file on the way cannot be read.
    """
    for folder in (start, *start.parents):
        path = folder / CONFIG
        if path.is_file() and _table_of(path)[0] is not None:
            return path
    return None


def read_settings(config: str | Path | None, *, needs_models: bool = True) -> GateSettings:
    """Read the configuration.

    Parameters
    ----------
    config
        The file, or its folder. None to look for it in the current folder and above.
    needs_models
        Whether a configuration without models is refused.

    Raises
    ------
    UsageError
        There is none, it names no model, it has an unknown key, or a value is invalid. The message
        names the file and the key.
    """
    if config is None:
        found = find_config(Path.cwd())
        if found is None:
            raise UsageError(
                f"no {CONFIG} with [{TABLE}] is in {Path.cwd()} or above: add {EXAMPLE}, or give "
                "--config FILE"
            )
        path = found
    else:
        path = Path(config)
        path = (path / CONFIG if path.is_dir() else path).absolute()
    table, text = _table_of(path)
    if table is None:
        raise UsageError(f"{path} has no [{TABLE}]: add {EXAMPLE}")
    return _settings(path, table, text, needs_models=needs_models)


def _table_of(path: Path) -> tuple[dict[str, Any] | None, str]:
    """Return a file's table, None if it has none, and the file's text."""
    text = read_user_text(path, "the configuration", "give another --config", UsageError)
    try:
        content = tomllib.loads(text)
    # A number of thousands of digits is a ValueError of Python's own.
    except (ValueError, RecursionError) as error:
        raise UsageError.quoting(f"{path} is no TOML", error, "mend it there") from error
    tool = content.get("tool", {})
    table = tool.get("powerml") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise UsageError(f"{path}: {TABLE} is {table!r}: make it a table, [{TABLE}]")
    return table, text


def _settings(path: Path, table: dict[str, Any], text: str, *, needs_models: bool) -> GateSettings:
    options, limits = _keys(MeasureOptions, LEFT_OUT), _keys(GateLimits)
    general = {key: value for key, value in table.items() if key not in ("baseline", "models")}
    _require_known(path, TABLE, general, ["baseline", "models", *options, *limits])
    models = table.get("models", {})
    if not isinstance(models, dict):
        raise UsageError(f"{path}: {MODELS} is {models!r}: make a table of each, [{MODELS}.NAME]")
    if needs_models and not models:
        raise UsageError(f"{path} names no model: add {EXAMPLE}")
    baseline = table.get("baseline", DEFAULT_BASELINE)
    if not isinstance(baseline, str) or not baseline:
        raise UsageError(f"{path}: {TABLE}.baseline is {baseline!r}: give a path")
    reader = _Reader(path, text, options, limits)
    defaults = reader.options(TABLE, general)
    return GateSettings(
        path=path,
        baseline=path.parent / baseline,
        models=tuple(
            reader.model(f"{MODELS}.{name}", name, one, general) for name, one in models.items()
        ),
        defaults={name: getattr(defaults, name) for name in defaults.model_fields_set},
    )


def _keys(
    model: type[MeasureOptions] | type[GateLimits], left_out: frozenset[str] = frozenset()
) -> dict[str, str]:
    """Return the names of fields by the keys that a configuration has for them."""
    return {
        _key(name, field): name for name, field in model.fields().items() if name not in left_out
    }


def _key(name: str, field: FieldInfo) -> str:
    return flag_of(name, field).removeprefix("--")


def _require_known(path: Path, where: str, given: Mapping[str, Any], known: list[str]) -> None:
    """Refuse an unknown key; raises ``UsageError`` with the most similar valid one."""
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"see powerml check --help: {CONFIG}"
            if not near:
                hint = "give an option of powerml measure without its dashes, or a limit as in "
                hint += "max-inference-cycles"
            raise UsageError(f"{path}: unknown key {key!r} in [{where}]: {hint}")


@dataclass(frozen=True)
class _Reader:
    """Reader of one configuration's tables."""

    path: Path
    text: str
    option_names: Mapping[str, str]
    limit_names: Mapping[str, str]

    def model(
        self, where: str, name: str, table: object, general: Mapping[str, Any]
    ) -> ModelSettings:
        """Read the table of one model, over the defaults."""
        if not isinstance(table, dict):
            raise UsageError(
                f"{self.path}: {where} is {table!r}: make it a table, [{where}] with model = ..."
            )
        known = ["model", *self.option_names, *self.limit_names]
        _require_known(self.path, where, table, known)
        model = table.get("model")
        if not isinstance(model, str) or not model.strip():
            raise UsageError(
                f'{self.path}: [{where}] has no model: add model = "file.onnx", a topology, or '
                '"module:function"'
            )
        merged = {**general, **{key: value for key, value in table.items() if key != "model"}}
        options = self.options(where, merged)
        try:
            require_counting(options.meter, "powerml check")
            limits = GateLimits(
                **{
                    self.limit_names[key]: value
                    for key, value in merged.items()
                    if key in self.limit_names
                }
            )
        except UsageError as error:
            raise self._within(where, error) from error
        return ModelSettings(
            name=name,
            model=model.strip(),
            options=options,
            limits=limits,
            sets_training="training" in merged,
            lines=dict(self._lines(name)),
        )

    def options(self, where: str, table: Mapping[str, Any]) -> MeasureOptions:
        """Read the options of a table; paths become those beside the file."""
        given = {}
        for key, value in table.items():
            if key in self.option_names:
                name = self.option_names[key]
                given[name] = self._beside(name, value)
        try:
            return MeasureOptions(**given)
        except UsageError as error:
            raise self._within(where, error) from error

    def _within(self, where: str, error: UsageError) -> UsageError:
        return UsageError(f"{self.path}: [{where}]: {error}")

    def _beside(self, name: str, value: Any) -> Any:
        """Return a path of the configuration as one beside its file; other values as they are."""
        if name == "meter" and isinstance(value, str) and value.startswith(REPLAY_PREFIX):
            return f"{REPLAY_PREFIX}{self._place(value.removeprefix(REPLAY_PREFIX))}"
        if name not in PATHS:
            return value
        if isinstance(value, list):
            return [self._beside(name, one) for one in value]
        is_path = isinstance(value, str) and (name != "data" or value.endswith(ARRAYS))
        return str(self._place(value)) if is_path else value

    def _place(self, path: str) -> Path:
        return self.path.parent / path

    def _lines(self, name: str) -> Iterator[tuple[str, int]]:
        """Yield the lines of the file that set a model's limits; its own stand over the defaults.

        A limit that is written in another way than as a line of a table has the table's line.
        """
        yield from self._lines_of(TABLE)
        found = dict(self._lines_of(f"{MODELS}.{name}"))
        yield "model", found.pop("", 1)
        yield from found.items()

    def _lines_of(self, where: str) -> Iterator[tuple[str, int]]:
        inside = False
        for number, line in enumerate(self.text.split("\n"), 1):
            header = HEADER.match(line)
            if header is not None:
                inside = re.sub(r"[\s\"']", "", header[1]) == re.sub(r"[\s\"']", "", where)
                if inside:
                    yield "", number
            elif inside and (key := KEY.match(line)) and key[1] in self.limit_names:
                yield self.limit_names[key[1]], number


HEADER = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?$")
KEY = re.compile(r"\s*\"?([A-Za-z0-9_-]+)\"?\s*=")
