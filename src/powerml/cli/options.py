"""Commands whose options are described by a model of the package."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, cast, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperOption

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from typer._click.core import Context, Parameter

__all__ = ["Json", "Pairs", "add_command", "with_options"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


class Pairs:
    """Mark of an option whose value is two words, as in ``--export csv FILE``; it may repeat.

    It is annotated as a list, and its function gets tuples of two texts.
    """


class _PairsOption(TyperOption):
    """An option of pairs. Typer knows lists and tuples, but no list of tuples."""

    def process_value(self, ctx: Context, value: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        """Return what was given, as texts."""
        return [(str(first), str(second)) for first, second in value or ()]


# What a value is read as, where it may be any of several.
READ_AS: tuple[type, ...] = (Path, str, float, int, bool)


def add_command(
    app: typer.Typer, command: Callable[..., None], *, options_anywhere: bool = True
) -> None:
    """Add a command to the command line.

    Its options are made when it runs or prints its help. Their descriptions take a while to import,
    and no other command has to wait. Without `options_anywhere` its options come before its
    arguments, and all after the first of these is an argument.
    """

    class LateCommand(TyperCommand):
        """The command, without its options until they are asked for."""

        def get_params(self, ctx: Context) -> list[Parameter]:
            """Return the options."""
            if not self.params:
                alone = typer.Typer(add_completion=False)
                alone.command()(with_options(command))
                made = typer.main.get_command(alone)
                pairs = _marked_as_pairs(command)
                self.params = [_as_pairs(one) if one.name in pairs else one for one in made.params]
                self.callback = made.callback
            return super().get_params(ctx)

    def named() -> None:
        """Stand in for the command."""

    named.__name__, named.__doc__ = command.__name__, command.__doc__
    settings = {"allow_interspersed_args": options_anywhere}
    app.command(cls=LateCommand, context_settings=settings)(named)


def _marked_as_pairs(command: Callable[..., None]) -> set[str]:
    """Return the names of a command's options that are pairs."""
    signature = inspect.signature(command, eval_str=True)
    return {name for name, parameter in signature.parameters.items() if _is_pairs(parameter)}


def _is_pairs(parameter: inspect.Parameter) -> bool:
    metadata = getattr(parameter.annotation, "__metadata__", ())
    return any(isinstance(one, Pairs) for one in metadata)


def _as_pairs(option: Any) -> TyperOption:
    """Return an option that takes two words each time."""
    return _PairsOption(
        param_decls=[option.name, *option.opts],
        type_descriptor=option.type_descriptor,
        nargs=2,
        multiple=True,
        metavar=option.metavar,
        help=option.help,
    )


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with a parameter for each option in place of the one that takes a model.

    A command that takes none is returned as it is.
    """
    from typer._click.core import ParameterSource
    from typer._click.globals import get_current_context

    from powerml.options import Options

    signature = inspect.signature(command, eval_str=True)
    taken = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if isinstance(parameter.annotation, type) and issubclass(parameter.annotation, Options)
    }
    if not taken:
        return command
    [(place, model)] = taken.items()
    fields = model.fields()

    def run(**values: Any) -> None:
        # A default that was not typed counts as not given.
        source = get_current_context().get_parameter_source
        given = {name: values.pop(name) for name in fields}
        typed = [name for name in fields if source(name) is not ParameterSource.DEFAULT]
        options = model(**{name: given[name] for name in typed if given[name] is not None})
        command(**values, **{place: options})

    parameters = []
    for name, parameter in signature.parameters.items():
        if name == place:
            parameters += [_parameter(*described) for described in fields.items()]
        else:
            if _is_pairs(parameter):  # until Typer has made an option of it
                words: Any = Annotated[(list[str] | None, *parameter.annotation.__metadata__)]
                parameter = parameter.replace(annotation=words)  # noqa: PLW2901
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    cast(Any, run).__signature__ = signature.replace(parameters=parameters)
    return run


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """Return an option as Typer takes it."""
    from powerml.options import flag_of, shown_of

    shown, flag = shown_of(field), flag_of(name, field)
    read_as, several = _reading_of(field.annotation)
    default, told = field.default, shown.default
    if several:
        # Typer adds what is given to a default.
        default, told = None, told or str(default or "")
    if read_as is bool and default is not False:
        flag = f"{flag}/{flag.replace('--', '--no-', 1)}"
    option = typer.Option(
        flag,
        help=field.description,
        metavar=shown.metavar,
        show_default=told or True,
    )
    kind: Any = types.GenericAlias(list, (read_as,)) if several else read_as
    value: Any = kind | None if default is None else kind
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[value, option],
    )


def _reading_of(annotation: Any) -> tuple[type, bool]:
    """Return the type that a value on the command line is read as, and whether it may repeat."""
    read: set[type] = set()
    several = False
    for one in get_args(annotation) if _is_union(annotation) else [annotation]:
        origin = get_origin(one)
        if origin is Literal:
            read.add(str)
        elif isinstance(origin, type) and issubclass(origin, Collection):
            several = True
            read.add(_reading_of(get_args(one)[0])[0])
        elif one in READ_AS:
            read.add(one)
    return next(one for one in READ_AS if one in read), several


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in {Union, types.UnionType}
