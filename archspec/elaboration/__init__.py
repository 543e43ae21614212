"""Elaboration: from the tree of a spec to its graph, with every shape known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from archspec.elaboration.arguments import ArgumentMistake
from archspec.elaboration.binding import free_sizes
from archspec.elaboration.budget import BUDGET
from archspec.elaboration.catalogue import Entry, catalogue
from archspec.elaboration.checks import DEEPEST_VALUE, within_reason
from archspec.elaboration.files import LARGEST, decoded, locate, read_file, require_text, text_of
from archspec.elaboration.machine import Machine
from archspec.elaboration.mistakes import Poisoned, Stopped, in_order
from archspec.elaboration.modules import Module, Modules
from archspec.elaboration.observing import Observer
from archspec.elaboration.opened import USUAL_NAMES, Assumed, Opened
from archspec.elaboration.shelf import BlockEntry, block_named, shelf
from archspec.elaboration.soundness import sound_for
from archspec.elaboration.values import Environment, OpLayer, is_layer
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.bounds import Assumption, wishes
from archspec.ground.collection import uncollected
from archspec.ground.errors import Mistake, Problem, SpecError, suggest
from archspec.ground.literals import of_python
from archspec.ground.shipped import SUFFIX, shipped_names, shipped_specs
from archspec.ground.size import Size
from archspec.ground.source import Source, Span
from archspec.op import Op
from archspec.op.inference import require_few_constants
from archspec.op.initialisation import Initialiser
from archspec.syntax.parsing import parse_expression
from archspec.syntax.tree import Definition, File, Input, Name

__all__ = [
    "BUDGET",
    "LARGEST",
    "SUFFIX",
    "BlockEntry",
    "Entry",
    "Module",
    "block_named",
    "catalogue",
    "changes_nothing",
    "decoded",
    "elaborate",
    "locate",
    "module_from_text",
    "open_module",
    "parameters_of",
    "pick_model",
    "read_file",
    "read_module",
    "read_value",
    "require_text",
    "shelf",
    "shipped_names",
    "shipped_specs",
    "sound_for",
    "source_files",
    "text_of",
]


def read_module(path: Path) -> Module:
    """A spec file with all that it imports, its names looked up. Raises SpecError when it is wrong."""
    module = open_module(path)
    module.require_right()
    return module


def open_module(path: Path, texts: Mapping[Path, str] | None = None) -> Module:
    """As `read_module`, but what is wrong is among the module's problems, which `elaborate` raises with those of a model.

    `texts` stand for what files hold, by their resolved paths.
    """
    return Modules(path, texts).load(path)


def source_files(path: Path) -> list[Path]:
    """The spec file and every file that it imports. Raises SpecError when one is wrong."""
    modules = Modules(path)
    modules.load(path).require_right()
    return list(modules.loaded)


@uncollected()
def elaborate(
    module: Module,
    model: str | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    budget: int = BUDGET,
    free: tuple[str, ...] | None = None,
    observer: Observer | None = None,
    places: Mapping[str, Span] | None = None,
) -> Graph:
    """The graph of a model: of the one named, or of the last in the file, with the given parameters.

    The usual budget is raised to what the file asks for; any other is that of whoever reads it.
    `free` are names for the last axes of the first input, which are free then; empty for the usual names. What the network
    needs of these sizes is assumed. A setting of the name of a free size is its number.
    An `observer` is told what is done. `places` are where settings stand, by their names; else they are those of a caller.

    Raises SpecError, with everything found wrong, when the model or a setting does not fit.
    """
    definition = pick_model(module, model)
    given = settings_of(settings or {})
    if module.problems:
        raise SpecError(_problems(module, definition, given, budget, observer))
    free_names = _free_names(module.file) | {*(free or (("L", "D", "H", "W") if free is not None else ()))}
    known = {
        name: given.pop(name)
        for name in sorted(free_names - {*parameters_of(definition)})
        if type(given.get(name)) is int and given[name] >= 1
    }
    opened = Opened(free, known)
    most = module.budget if budget == BUDGET else budget
    own = _own_sizes(module, definition, given, most, free, known) if free is not None else {}
    for _ in range(_MOST_ASSUMPTIONS):
        with wishes() as wished:
            try:
                return _elaborated(module, definition, given, most, opened, observer, places or {})
            except Assumed as found:
                opened = opened.assuming(found.assumption)
            except SpecError:
                # An upper limit is the spec's to say; and at its own size the network is the one that it says.
                if free is None or not wished or wished[0].most is not None or not _meets(wished[0], own):
                    raise
                opened = opened.assuming(wished[0])
    raise SpecError.of(
        codes.FREE_ASSUMPTION, f"{definition.name} needs too much of its free sizes", definition.span
    )


def _problems(
    module: Module,
    definition: Definition,
    settings: dict[str, Any],
    budget: int,
    observer: Observer | None,
) -> tuple[Problem, ...]:
    """What is wrong in a file and in a model of it, in the order of their places."""
    found = list(module.problems)
    if not any(problem.code in (codes.RECURSION, codes.TOO_DEEP, codes.BUDGET) for problem in found):
        try:
            _elaborated(module, definition, settings, budget, Opened(None, {}), observer)
        except SpecError as error:
            found += error.problems
        except Assumed:
            pass
    return in_order(found, module.file.source)


def _own_sizes(
    module: Module,
    definition: Definition,
    settings: dict[str, Any],
    budget: int,
    free: tuple[str, ...],
    known: Mapping[str, int],
) -> dict[str, Size]:
    """The sizes that a spec gives its first input, by the names under which these are to be free; none where it is wrong as it is."""
    try:
        graph = _elaborated(module, definition, settings, budget, Opened(None, known))
    except (SpecError, Assumed):
        return {}
    sizes = graph.inputs[0].type.shape[1:] if graph.inputs else ()
    names = free or USUAL_NAMES.get(len(sizes), ())
    return dict(zip(names, sizes[-len(names) :], strict=False)) if names else {}


def _meets(assumed: Assumption, own: Mapping[str, Size]) -> bool:
    size = own.get(assumed.name)
    return not isinstance(size, int) or assumed.meets(size)


_MOST_ASSUMPTIONS = 100  # each of which begins anew


@lru_cache(maxsize=256)  # asked for each of a file's models
def _free_names(file: File) -> frozenset[str]:
    """The free sizes that the models of a file declare."""
    inputs = (s for d in file.definitions for s in d.body if isinstance(s, Input))
    parts = (part for given in inputs for part in given.pattern or ())
    return frozenset(free.name for part in parts for free in free_sizes(part))


def _elaborated(
    module: Module,
    definition: Definition,
    settings: dict[str, Any],
    budget: int,
    opened: Opened,
    observer: Observer | None = None,
    places: Mapping[str, Span] = MappingProxyType({}),
) -> Graph:
    machine = Machine(budget, checked=True, opened=opened, observer=observer)
    machine.problems += module.problems
    if observer is not None:
        observer.begins(machine.builder)
    try:
        layer = module.layer(definition)
        if settings:
            try:
                layer = machine.calls.call(layer, [], settings, definition.span)
            except Mistake as mistake:
                raise SpecError(_of_settings(mistake, definition, places)) from None
        long_form, returns = machine.run_model(layer)
    except SpecError as error:
        raise SpecError([*machine.problems, *error.problems]) from None
    except (Poisoned, Stopped):
        raise SpecError(machine.problems) from None
    except RecursionError:
        raise SpecError.of(codes.TOO_DEEP, "this is nested too deeply", definition.span) from None
    finally:
        machine.release()
    if machine.problems:
        raise SpecError(machine.problems)
    graph = module.graph(definition, long_form.definition, settings, machine, returns)
    if missed := machine.surgery.unmet(graph):
        raise SpecError(missed)
    try:
        require_few_constants(graph.owned(lambda weight: 0 if weight.saved else weight.size)[-1])
    except Mistake as mistake:
        raise mistake.at(definition.span) from None
    return graph


def _of_settings(mistake: Mistake, definition: Definition, places: Mapping[str, Span]) -> Iterator[Problem]:
    """What is wrong in the settings of a model: where they stand, or else at the model."""
    for each in (mistake, *mistake.others):
        name = each.argument if isinstance(each, ArgumentMistake) else ""
        yield from each.at(places.get(name, definition.span)).problems


def changes_nothing(module: Module, model: str, settings: Mapping[str, Any]) -> bool:
    """Whether a model is the same with these settings as without, told without elaborating it; False where that is not sure."""
    machine = Machine(checked=True)
    definition = pick_model(module, model)
    layer = module.layer(definition)
    try:
        given = machine.calls.call(layer, [], settings_of(settings), definition.span)
        return machine.meaning(layer) is not None and machine.meaning(layer) == machine.meaning(given)
    except (Mistake, SpecError, Poisoned, Stopped):
        return False  # elaborating it will say what is wrong


def module_from_text(text: str, path: str = "spec.arch") -> Module:
    """A spec written in a string, with its problems, as if it stood at `path`; imports look beside it.

    Raises SpecError when it is no text of a spec.
    """
    return Modules(Path(path)).load_text(text, path)


def read_value(text: str) -> Any:
    """The value of an expression that stands alone; a bare word that means nothing is a string.

    Raises SpecError when the text is no expression, or has no value.
    """
    require_text(text, "value")
    source = Source("value", text)
    expression = parse_expression(source, 0, len(text))
    try:
        return Machine().evaluator.evaluate(expression, Environment())
    except SpecError:
        if isinstance(expression, Name):
            return expression.name
        raise


def settings_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings given from Python, as values of the language. Raises SpecError for what it has not."""
    return {name: _value(name, value) for name, value in settings.items()}


def _value(name: str, value: Any, depth: int = 0) -> Any:
    if depth > DEEPEST_VALUE:
        raise SpecError.of(codes.TOO_DEEP, f"the setting `{name}` is nested more than {DEEPEST_VALUE} deep")
    value = of_python(value)
    if isinstance(value, type) and issubclass(value, Op):
        return OpLayer(value)
    if isinstance(value, list):
        return [_value(name, item, depth + 1) for item in value]
    if isinstance(value, tuple):
        return tuple(_value(name, item, depth + 1) for item in value)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise SpecError.of(
                codes.NOT_UNICODE,
                f"the setting `{name}` is not valid Unicode: lone surrogate at {error.start}",
            ) from None
    if type(value) in (int, float):
        try:
            return within_reason(value)
        except Mistake:
            raise SpecError.of(
                codes.NOT_FINITE, f"the setting `{name}` is not finite, or has more than 30 digits"
            ) from None
    if value is None or type(value) in (bool, str) or is_layer(value) or isinstance(value, Initialiser):
        return value
    raise SpecError.of(
        codes.SETTING,
        f"the setting `{name}` cannot be a Python `{type(value).__name__}`",
        help="numbers, strings, lists and ops can",
    )


def pick_model(module: Module, model: str | None = None) -> Definition:
    """The model of that name, or the last one of the file. Raises SpecError when there is none."""
    models = [d for d in module.file.definitions if d.kind == "model"]
    if not any(model in (None, definition.name) for definition in models):
        module.require_right()  # it may be one that is wrong
    if model is None:
        if not models:
            raise SpecError.of(
                codes.UNKNOWN_MODEL,
                f"{module.file.source.path} defines no model",
                help="a model is a block with inputs of known shape: `model Net:`",
            )
        return models[-1]
    for definition in models:
        if definition.name == model:
            return definition
    names = [d.name for d in models]
    raise SpecError.of(
        codes.UNKNOWN_MODEL,
        f"{module.file.source.path} has no model `{model}`",
        help=suggest(model, names) or f"it has {', '.join(names) or 'none'}",
    )


def parameters_of(definition: Definition) -> list[str]:
    """The names of a block's or model's own parameters; a short form takes those of what it stands for besides."""
    return [parameter.name for parameter in definition.parameters]
