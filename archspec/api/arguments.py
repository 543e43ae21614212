"""What Python programs give to the functions of the API: held to what each argument's name means."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, signature
from math import isfinite
from operator import index
from reprlib import repr as shown
from typing import Any, Concatenate, ParamSpec, TypeVar
from warnings import warn

from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ground.literals import of_python

P = ParamSpec("P")
R = TypeVar("R")
Rule = Callable[[str, Any], Any]
"""Gives the value of the argument of that name, as the function is to see it. Raises SpecError when it is none."""


def checked(**own: Rule) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: arguments are held to the rule for their name, `own` or else that which holds in the whole API.

    None passes where it is the default.
    """

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        rules = {**_RULES, **own}
        parameters = [
            p for p in signature(function).parameters.values() if p.kind is not Parameter.VAR_KEYWORD
        ]
        known = {p.name: p for p in parameters if p.name in rules}
        in_order = [
            p for p in parameters if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        ]

        def held(name: str, value: Any) -> Any:
            if name not in known or (value is None and known[name].default is None):
                return value
            return rules[name](name, value)

        @wraps(function)
        def inner(*args: P.args, **kwargs: P.kwargs) -> R:
            positional = [held(p.name, value) for p, value in zip(in_order, args, strict=False)]
            by_name = {name: held(name, value) for name, value in kwargs.items()}
            return function(*positional, *args[len(positional) :], **by_name)  # type: ignore[arg-type]

        return inner

    return decorated


def told(function: Callable[Concatenate[frozenset[str], P], R]) -> Callable[P, R]:
    """A decorator: the function's first argument says which of the others were given by name. A default does not tell."""
    others = list(signature(function).parameters.values())[1:]
    with_defaults = {p.name for p in others if p.default is not Parameter.empty}

    @wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(with_defaults.intersection(kwargs), *args, **kwargs)  # type: ignore[arg-type]

    inner.__signature__ = signature(function).replace(parameters=others)  # type: ignore[attr-defined]
    return inner


def renamed(old: str, new: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: for one version, the argument `new` may still be given under its `old` name."""

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def inner(*args: P.args, **kwargs: P.kwargs) -> R:
            if old in kwargs and new not in kwargs and not args:
                warn(
                    f"`{old}` of `archspec.{function.__name__}` is `{new}` now",
                    DeprecationWarning,
                    stacklevel=2,
                )
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return inner

    return decorated


def wrong(name: str, wanted: str, value: object, help: str = "") -> SpecError:
    """The error of an argument that is not what it should be."""
    return SpecError.of(codes.OPTION, f"`{name}` is {wanted}, not {shown(value)}", help=help)


def model(name: str, value: Any) -> str:
    """The name of a model."""
    if not isinstance(value, str):
        help_ = '`settings={"model": ...}` sets a parameter of that name'
        raise wrong(name, "the name of a model", value, help_)
    if not value:
        raise wrong(name, "the name of a model", value, "leave it out for the last model of the spec")
    return value


def text(name: str, value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise wrong(name, "a string", value)
    return value


def names(name: str, value: Any) -> str | list[str] | None:
    """A name, or several."""
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise wrong(name, "a name, or a list of names", value)
    return list(value)


def flag(name: str, value: Any) -> bool:
    """True or False, of Python or of NumPy."""
    found = of_python(value)
    if not isinstance(found, bool):
        raise wrong(name, "True or False", value)
    return found


def flag_or_text(name: str, value: Any) -> bool | str:
    """True, False or a string."""
    return value if isinstance(value, str) else flag(name, value)


def positive(name: str, value: Any) -> int:
    """A whole number of at least 1, of Python or of whoever else has such."""
    try:
        found = 0 if isinstance(of_python(value), bool) else index(value)
    except TypeError:
        found = 0
    if not 1 <= found < 2**63:
        raise wrong(name, "a whole number of at least 1", value)
    return found


def number(name: str, value: Any) -> float:
    """A finite number."""
    found = of_python(value)
    if (
        isinstance(found, bool)
        or not isinstance(found, int | float)
        or abs(found) > 10**30
        or not isfinite(found)
    ):
        raise wrong(name, "a number", value)
    return found


def path(name: str, value: Any) -> str | os.PathLike[str]:
    """A path, as a string or a `Path`."""
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        help_ = "a graph cannot be read again" if isinstance(value, Graph) else ""
        raise wrong(
            name, "the path or name of a spec" if name == "spec" else "the path of a file", value, help_
        )
    if not os.fspath(value):
        raise wrong(name, "a path", value)
    return value


def path_or_graph(name: str, value: Any) -> str | os.PathLike[str] | Graph:
    """A path, or a graph that a spec could have: one from elsewhere is checked."""
    if isinstance(value, Graph):
        return value.validated()
    if not isinstance(value, str | os.PathLike):
        raise wrong(name, "a graph, or the path or name of a spec", value, _of_module(value))
    return path(name, value)


def graph(name: str, value: Any) -> Graph:
    """A graph that a spec could have: one from elsewhere is checked."""
    if isinstance(value, Graph):
        return value.validated()
    help_ = "`archspec.read` gives the graph of a spec" if isinstance(value, str | os.PathLike) else ""
    raise wrong(name, "a graph", value, help_ or _of_module(value))


def graph_or_other(name: str, value: Any) -> Any:
    """A graph that a spec could have, or what the function checks itself."""
    return graph(name, value) if isinstance(value, Graph) else value


def _of_module(value: Any) -> str:
    meta = getattr(value, "meta", None)
    loaded = isinstance(meta, dict) and "archspec" in meta
    return "`archspec.graph_of` gives the graph of a loaded module" if loaded else ""


def mapping(name: str, value: Any) -> Mapping[str, Any]:
    """A mapping by name, such as a `state_dict`."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise wrong(name, "a mapping by name", value)
    return value


_RULES: dict[str, Rule] = {
    "spec": path,
    "path": path,
    "text": text,
    "model": model,
    "budget": positive,
    "flat": flag,
    "check_inputs": flag,
    "recompute": flag,
    "compile": flag_or_text,
    "optimize": text,
    "graph": graph,
    "left": path_or_graph,
    "right": path_or_graph,
    "batch": positive,
    "phi": number,
    "alpha": number,
    "beta": number,
    "gamma": number,
    "view": text,
    "depth": positive,
    "focus": text,
    "shade": text,
    "theme": text,
    "direction": text,
    "name": text,
}
