"""Commands whose options are described by a model of the package."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, cast, get_args, get_origin

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from typer._click.core import Context, Parameter

__all__ = ["Json", "add_command", "with_options"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]

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
                self.params, self.callback = made.params, made.callback
            return super().get_params(ctx)

    def named() -> None:
        """Stand in for the command."""

    named.__name__, named.__doc__ = command.__name__, command.__doc__
    settings = {"allow_interspersed_args": options_anywhere}
    app.command(cls=LateCommand, context_settings=settings)(named)


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with a parameter for each option in place of the one that takes a model.

    A command that takes none is returned as it is.
    """
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
        # None is what was not given.
        given = {name: values.pop(name) for name in fields}
        options = model(**{name: value for name, value in given.items() if value is not None})
        command(**values, **{place: options})

    parameters = []
    for name, parameter in signature.parameters.items():
        if name == place:
            parameters += [_parameter(*described) for described in fields.items()]
        else:
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
