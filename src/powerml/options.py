"""Options of functions and commands, each described once, as the field of a pydantic model.

The command line and the signatures and docstrings of the public functions are made from the fields.
So are the command that repeats a study and the tables in ``docs/use.md``.
"""

from __future__ import annotations

import difflib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from powerml.errors import LONGEST_QUOTE, UsageError, shortened

__all__ = ["Options", "Shown", "described", "flag_of", "shown_of"]

DOCSTRING_COLUMNS = 88
FIRST = ""
OPTIONS_AS_OBJECT = """\
    The options as one object, whose names and types a type checker checks. Options that are given
    by name take precedence over the object's."""

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The way an option is shown, beside its description.

    Parameters
    ----------
    default
        Description of a default that depends on something else.
    metavar
        A name for the value in the help, if its type says too little.
    flag
        The flag on the command line, if it is not the field's name.
    details
        Sentences that follow the description in docstrings.
    after
        The option that this one comes after, or ``FIRST``. Others follow the field that is
        declared before them, and inherited ones come before all.
    always
        Whether a repeating command names the option even with its default.
    """

    default: str | None = None
    metavar: str | None = None
    flag: str | None = None
    details: str = ""
    after: str | None = None
    always: bool = False


class Options(BaseModel):
    """Base class of all options. Every field has a type, a default and a ``description``.

    Raises
    ------
    UsageError
        A value is out of range or of the wrong type.
    TypeError
        There is no option of that name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    @model_validator(mode="wrap")
    @classmethod
    def _in_our_words(cls, given: Any, check: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return check(given)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            if name not in cls.model_fields:
                raise _unexpected(cls.__name__, name, cls.fields()) from None
            raise UsageError(_refusal(name, cls.model_fields[name], first)) from None

    @classmethod
    def fields(cls) -> dict[str, FieldInfo]:
        """Return the fields by name, in the order in which they are shown."""
        order: list[str] = []
        for owner in reversed(cls.__mro__):
            if not issubclass(owner, Options):
                continue
            place = len(order)
            for name, field in owner.model_fields.items():
                if name in order:
                    continue
                after = shown_of(field).after
                if after is not None:
                    place = 0 if after == FIRST else order.index(after) + 1
                order.insert(place, name)
                place += 1
        return {name: cls.model_fields[name] for name in order}

    @classmethod
    def of_call(cls, function: str, options: Self | None, keywords: Mapping[str, Any]) -> Self:
        """Return the options of a call: keywords take precedence over those of an object.

        Parameters
        ----------
        function
            Name of the function that was called, for messages.
        options
            The object, or None.
        keywords
            Options by name.
        """
        for name in keywords:
            if name not in cls.model_fields:
                raise _unexpected(function, name, cls.fields())
        if options is None:
            return cls(**keywords)
        if not isinstance(options, cls):
            raise TypeError(
                f"{function}() takes options of the type {cls.__name__}, not "
                f"{type(options).__name__}"
            )
        named = {name: getattr(options, name) for name in options.model_fields_set}
        return cls(**{**named, **keywords})


def shown_of(field: FieldInfo) -> Shown:
    """Return the `Shown` of a field."""
    return next((one for one in reversed(field.metadata) if isinstance(one, Shown)), Shown())


def flag_of(name: str, field: FieldInfo) -> str:
    """Return the flag of a field on the command line, as in ``--score-seeds``."""
    return shown_of(field).flag or f"--{name.replace('_', '-')}"


def described(model: type[Options]) -> Callable[[Function], Function]:
    """Return a decorator that adds the options of a model to a function's signature and docs.

    The function takes them as ``**given``, and as an object called `options`.
    """

    def describe(function: Function) -> Function:
        own = inspect.signature(function, eval_str=True)
        kinds = inspect.Parameter
        keywords = [
            kinds(name, kinds.KEYWORD_ONLY, default=field.default, annotation=field.annotation)
            for name, field in model.fields().items()
        ]
        mine = [one for one in own.parameters.values() if one.kind is not kinds.VAR_KEYWORD]
        first = [one for one in mine if one.kind is not kinds.KEYWORD_ONLY]
        parameters = [*first, *keywords, *mine[len(first) :]]
        cast(Any, function).__signature__ = own.replace(parameters=parameters)
        function.__doc__ = _with_parameters(inspect.getdoc(function), model)
        return function

    return describe


def _with_parameters(docstring: str | None, model: type[Options]) -> str | None:
    """Add the options to the end of the section ``Parameters``."""
    if docstring is None:  # Python runs with -OO
        return None
    begun, heading, rest = docstring.partition("\nParameters\n----------\n")
    own, break_, after = rest.partition("\n\n")
    entries = [_entry(name, field) for name, field in model.fields().items()]
    entries.append(f"options : {model.__name__} | None, default None\n{OPTIONS_AS_OBJECT}")
    return "\n".join([f"{begun}{heading}{own}", *entries]) + break_ + after


def _entry(name: str, field: FieldInfo) -> str:
    shown = shown_of(field)
    said = [field.description or "", shown.details]
    if shown.default is not None:
        said.append(f"By default {shown.default}.")
    text = re.sub(r"--([a-z][a-z-]*)", _as_keyword, " ".join(filter(None, said)))
    head = f"{name} : {_type_of(field)}, default {field.default!r}"
    return f"{head}\n{textwrap.indent(textwrap.fill(text, DOCSTRING_COLUMNS), '    ')}"


def _as_keyword(flag: re.Match[str]) -> str:
    return f"`{flag[1].replace('-', '_')}`"


def _unexpected(function: str, name: str, known: Iterable[str]) -> TypeError:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f". Did you mean {near[0]!r}?" if near else ""
    return TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")


def _refusal(name: str, field: FieldInfo, error: ErrorDetails) -> str:
    """Return a message on an invalid value of an option, with a valid one."""
    given, start = error["input"], f"{name.replace('_', ' ')} is"
    if error["type"] == "greater_than_equal":
        return f"{start} {given}: give at least {error['ctx']['ge']}"
    return f"{start} {shortened(repr(given), LONGEST_QUOTE)}: give {_type_of(field)}"


def _type_of(field: FieldInfo) -> str:
    """Return the type as the docs write it, without the paths of classes."""
    return re.sub(r"(?:\w+\.)+(?=\w)", "", inspect.formatannotation(field.annotation))
