"""Reading specs: by path, by name, from a string; and what a caller may set of one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from warnings import warn

from archspec.api.arguments import checked, told
from archspec.api.warning import warn_about
from archspec.elaboration import (
    BUDGET,
    BlockEntry,
    Entry,
    Module,
    catalogue,
    elaborate,
    locate,
    module_from_text,
    open_module,
    parameters_of,
    pick_model,
    read_value,
    shelf,
)
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ground.names import is_name

BUILT = ".archmod"
"""The suffix of built modules."""


@checked()
@told
def read(
    given: frozenset[str],
    /,
    spec: str | os.PathLike[str],
    model: str | None = None,
    *,
    free: bool | str | Iterable[str] = False,
    budget: int = BUDGET,
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> Graph:
    """The graph of a model, with every shape known. Never imports torch.

    `spec` is the path of an `.arch` file, the name of a shipped spec, or `package.folder:name` for one in an installed
    Python package, which is not imported; each with `:Model` appended, or `model` picks one of several in a file
    (default: the last). `budget` is the most nodes the graph may have.

    Set the model's parameters by name, `read("resnet50", classes=10)`, or with a mapping, `settings={"classes": 10}`.
    A parameter that shares its name with an argument of this function can only be set through the mapping; the
    argument itself is then refused unless a mapping, perhaps empty, is given as well.

    `free` leaves the sizes of the first input open behind its first axis: `True` calls them `H` and `W` (`L` of a signal), `"H W"` or
    `["H", "W"]` names the last ones. What the network needs of them is assumed: `graph.accepts` says it
    (docs/resolutions.md).

    Raises SpecError when the spec is wrong or cannot be read.
    """
    return Request("read", given, model, budget, settings, more, free_names(free)).graph(spec)


@checked()
@told
def read_text(
    given: frozenset[str],
    /,
    text: str,
    model: str | None = None,
    *,
    budget: int = BUDGET,
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> Graph:
    """The graph of a model written in a string, as `read` gives it for a file.

    Raises SpecError when the spec is wrong.
    """
    return Request("read_text", given, model, budget, settings, more).elaborated(module_from_text(text))


@told
def parse(given: frozenset[str], /, text: str, *args: Any, **kwargs: Any) -> Graph:
    """`read_text`, under the name that it had before 0.2."""
    warn("`archspec.parse` is `archspec.read_text` now", DeprecationWarning, stacklevel=3)
    return read_text(text, *args, **kwargs)


@checked()
def models(spec: str | os.PathLike[str]) -> list[str]:
    """The models that a spec file defines, in order. Raises SpecError when the file is wrong."""
    module, picked = opened(spec)
    return [picked] if picked else [d.name for d in module.file.definitions if d.kind == "model"]


def shipped() -> list[Entry]:
    """The specs that come with archspec: families by year, and the specs of each by year."""
    return list(catalogue())


def shipped_blocks() -> list[BlockEntry]:
    """The blocks that come with archspec, by file: what each takes, and what it is for."""
    return list(shelf())


@checked()
def parse_value(text: str) -> Any:
    """A value as specs write it: `3`, `[3, 4, 6, 3]`, `GELU`, `Conv(bias=false)`; a bare word is a string.

    Raises SpecError when the text is not a value.
    """
    return read_value(text)


@dataclass(frozen=True)
class Request:
    """What a call of one of these functions asks of a spec: which model, with which parameters, within which budget.

    `given` are the function's own arguments that were given by name, `more` those that it does not have.
    """

    function: str
    given: frozenset[str]
    model: str | None
    budget: int
    settings: Mapping[str, Any] | None
    more: Mapping[str, Any]
    free: tuple[str, ...] | None = None

    def graph(self, spec: str | os.PathLike[str] | Graph) -> Graph:
        """The graph of a spec; a graph itself, of which nothing can be set any more."""
        if isinstance(spec, Graph):
            self.refuse_all(f"{spec.name} is a graph already: its model and settings are fixed")
            return spec
        module, model = opened(spec, self.model, right=False)
        return self.elaborated(module, model)

    def elaborated(self, module: Module, model: str | None = None) -> Graph:
        """The graph of a spec that has been read. Refuses arguments that may have been meant for the model."""
        model, chosen = model or self.model, self.chosen()
        if self.settings is None:
            definition = pick_model(module, model)
            self._require_clear(definition.name, parameters_of(definition))
        graph = elaborate(module, model, chosen, budget=self.budget, free=self.free)
        if self.settings is None:  # a model in the short form passes on what the one behind it takes
            self._require_clear(graph.name, graph.arguments)
        warn_about(module, graph)
        return graph

    def scaled(self, module: Module, model: str | None, values: Mapping[str, Any]) -> Graph:
        """The graph with these values over those asked for."""
        return elaborate(module, model, {**self.chosen(), **values}, budget=self.budget, free=self.free)

    def chosen(self) -> dict[str, Any]:
        """The model's parameters, from the mapping and by name."""
        settings = {} if self.settings is None else self.settings
        if not isinstance(settings, Mapping) or not all(isinstance(name, str) for name in settings):
            raise SpecError.of(
                codes.OPTION,
                "`settings` is a mapping of the model's parameters by name",
                help='as in `settings={"classes": 10}`; a parameter of that name is set by `settings={"settings": ...}`',
            )
        twice = [name for name in self.more if name in settings]
        if twice:
            raise SpecError.of(codes.CLASH, f"`{twice[0]}` is given twice, in `settings` and by name")
        return {**settings, **self.more}

    def refuse_all(self, why: str, *others: str) -> None:
        """SpecError when anything was asked for, or one of the `others` given: it comes too late to change anything."""
        late = sorted({*self.given.intersection(("model", "budget", "free")), *self.chosen()})
        if self.model is not None and "model" not in late:
            late.insert(0, "model")
        refuse_late(why, [*late, *sorted(self.given.intersection(others))])

    def _require_clear(self, model: str, parameters: Iterable[str]) -> None:
        for name in sorted(self.given.intersection(parameters)):
            raise SpecError.of(
                codes.CLASH,
                f"`{name}` is an argument of `archspec.{self.function}` and a parameter of {model}",
                help=f'`settings={{"{name}": ...}}` sets the parameter; with `settings={{}}` beside it,'
                f" `{name}=` is the argument",
            )


def free_names(free: bool | str | Iterable[str]) -> tuple[str, ...] | None:
    """The names of sizes to be left open, none for the usual ones; None where nothing is. Raises SpecError for no names."""
    if isinstance(free, bool):
        return () if free else None
    given: object = free
    names: tuple[object, ...] = ()
    if isinstance(given, str):
        names = tuple(given.replace(",", " ").split())
    elif isinstance(given, list | tuple):
        names = tuple(given)
    if not names or len(set(names)) < len(names) or not all(isinstance(n, str) and is_name(n) for n in names):
        raise SpecError.of(
            codes.OPTION,
            "`free` is True, or distinct names of sizes",
            help='as in `free="H W"` or `free=["H", "W"]`',
        )
    return tuple(map(str, names))


def refuse_late(why: str, names: Iterable[str]) -> None:
    """SpecError when there are names: arguments that come too late to change anything."""
    listed = ", ".join(f"`{name}`" for name in names)
    if listed:
        help_ = "pass it when reading or loading the spec itself"
        raise SpecError.of(codes.LATE, f"{why}, and {listed} would have no effect", help=help_)


def opened(
    spec: str | os.PathLike[str],
    model: str | None = None,
    *,
    right: bool = True,
    texts: Mapping[Path, str] | None = None,
) -> tuple[Module, str | None]:
    """A spec that has been read, and the model picked: `model`, or what the spec's own name says.

    Raises SpecError when it is wrong; unless it has to be `right`, what is wrong in it is raised when a model is elaborated.
    `texts` stand for what files hold, by their resolved paths.
    """
    path, picked = locate(str(spec))
    if is_built(path):
        raise SpecError.of(
            codes.NOT_A_SPEC, f"`{path}` is a built module, not a spec", help="`archspec.load` loads it"
        )
    module = open_module(path, texts)
    if right:
        module.require_right()
    return module, model or picked


def is_built(spec: str | os.PathLike[str]) -> bool:
    """Whether this is the path of a built module, by its suffix."""
    return Path(spec).name.endswith(BUILT)
