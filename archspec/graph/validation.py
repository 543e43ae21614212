"""What holds of every graph: elaboration makes it so, and a graph from anywhere else is held to it.

A graph can come from JSON, from a built module or from someone's program. What is wrong in it would show far from its cause,
or, since names and places go into generated code, run as a part of it. So a graph is checked whole, once, before anything is
made of it: its names, its references, its tree of scopes, what its ops make of their inputs, its weights, its claims.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from typing import Any

from pydantic import BaseModel

from archspec.graph import DEEPEST_SCOPE, Claim, Graph, Input, Node, Output, Ref, Scope, Use
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.names import LONGEST_NAME, first_use, is_full_name, is_name, require_free
from archspec.ground.size import Free, require_place
from archspec.ground.source import Location
from archspec.ground.tensor import TensorType, show
from archspec.op import Op, Weight
from archspec.op.inference import Inferred, infer, require_few_constants, require_possible
from archspec.op.initialisation import Initialiser
from archspec.ops.weights import Constant, Own, Tied

DEEPEST_VALUE = 100  # lists in lists, initialisations in initialisations
LARGEST_NUMBER = 10**30
LONGEST_TEXT = 250_000  # characters, as many as a spec file has
LONGEST_PATH = 4096

_FIGURE = re.compile(r"\d[\d_]*(\.\d+)?[KMGBT]?", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}")


def validate(graph: Graph) -> None:
    """Raises SpecError when the graph is not one that a spec could have."""
    try:
        _Validation(graph).run()
    except Mistake as mistake:
        raise SpecError.of("graph", f"the graph is not valid: {mistake.message}", help=mistake.help) from None
    except RecursionError:
        raise SpecError.of("graph", "the graph is not valid: it is nested too deeply") from None
    except (TypeError, AttributeError, ValueError, LookupError, ArithmeticError) as error:
        # What was made past pydantic can hold anything at all.
        raise SpecError.of("graph", f"the graph is not valid: {type(error).__name__}: {error}") from error


class _Validation:
    """One walk over a graph, in the order in which it runs."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.names: set[str] = set()  # of inputs and nodes
        self.groups: set[str] = {""}  # what stands before a dot in a name: scopes, and groups that are none
        self.types: dict[Ref, TensorType] = {}
        self.homes: dict[str, int] = {}  # the scope of each node
        self.nodes: dict[str, Node] = {}
        self.scopes: dict[str, int] = {}
        self.ancestors: list[frozenset[int]] = []
        self.outputs: list[frozenset[Ref]] = []
        self.weights: dict[str, Weight] = {}
        self.inferred: dict[Any, Inferred] = {}
        self.locations: set[Location] = set()
        self.within: set[tuple[str, int]] = set()  # names before a dot, and scopes, that go together

    @contextmanager
    def at(self, what: str, part: Input | Node | Scope | Claim) -> Iterator[None]:
        """Say of the mistakes inside what is wrong, and where it stands."""
        try:
            if part.location not in self.locations:
                _require_location(part.location)
                self.locations.add(part.location)
            yield
        except Mistake as mistake:
            raise Mistake(f"{what} ({part.location}): {mistake.message}", help=mistake.help) from None

    def run(self) -> None:
        self.records()
        self.facts()
        self.inputs()
        self.tree()
        self.steps()
        self.results()
        self.own_weights()
        for claim in self.graph.claims:
            with self.at("the claim", claim):
                _require_claim(claim)

    # -------------------------------------------------------------- what stands alone

    def records(self) -> None:
        """Each part is of its own kind: a model made past pydantic may hold anything."""
        graph = self.graph
        for parts, kind in (
            (graph.inputs, Input),
            (graph.outputs, Output),
            (graph.nodes, Node),
            (graph.scopes, Scope),
            (graph.claims, Claim),
        ):
            if not isinstance(parts, tuple) or not all(type(part) is kind for part in parts):
                raise _wrong(f"it holds what is no {kind.__name__}")
        if not isinstance(graph.weights, dict):
            raise _wrong("its weights have no names")

    def facts(self) -> None:
        """The name, the documentation, the settings and the sources."""
        graph = self.graph
        _require_name(graph.name, "the model")
        _require_text(graph.doc)
        _require_values(graph.settings, "settings")
        for name, digest in graph.sources.items():
            _require_path(name)
            if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
                raise _wrong(f"the SHA-256 of the source `{name}` is none")

    def inputs(self) -> None:
        """Their names and types; a free size has its name from an input whose size it is."""
        free: set[str] = set()
        if not self.graph.inputs:
            raise _wrong("it has no input")
        for given in self.graph.inputs:
            with self.at(f"the input `{given.name}`", given):
                _require_name(given.name, "an input")
                if len(given.name) > LONGEST_NAME:
                    raise _wrong(f"its name has more than {LONGEST_NAME:,} characters")
                if given.name in self.names:
                    raise _wrong("two inputs have that name")
                if type(given.type) is not TensorType or not given.type.batched:
                    raise _wrong("it has no batch")
                for size in given.type.shape:
                    _require_size(size, free)
                require_possible(given.type.shape)
                _require_uses(given)
                self.names.add(given.name)
                self.types[Ref(given.name)] = given.type

    def tree(self) -> None:
        """The scopes: a tree, each behind the one around it, the first the model itself."""
        scopes = self.graph.scopes
        if not scopes:
            raise _wrong("it has no scopes")
        model = scopes[0]
        if (model.name, model.parent, model.block) != ("", None, self.graph.name):
            raise _wrong("its first scope is not the model")
        if model.inputs != tuple(Ref(given.name) for given in self.graph.inputs):
            raise _wrong("the model takes other values than its inputs")
        if model.outputs != tuple(output.value for output in self.graph.outputs):
            raise _wrong("the model gives other values than its outputs")
        for index, scope in enumerate(scopes):
            with self.at(f"the scope `{scope.name}`", scope):
                if index:
                    self.name(scope.name)
                    if type(scope.parent) is not int or not 0 <= scope.parent < index:
                        raise _wrong("it stands in no scope before it")
                    self.ancestors.append(self.ancestors[scope.parent] | {index})
                    if len(self.ancestors[index]) > DEEPEST_SCOPE:
                        raise _wrong(f"scopes are nested more than {DEEPEST_SCOPE} deep")
                    if scope.name in self.scopes or scope.name in self.names:
                        raise _wrong("another part has that name")
                    if scope.block:
                        _require_name(scope.block, "a block")
                    self.place(scope.name, scope.parent)
                else:
                    self.ancestors.append(frozenset({0}))
                self.scopes[scope.name] = index
                self.outputs.append(frozenset(scope.outputs))
                _require_values(scope.arguments, "arguments")

    # -------------------------------------------------------------- names

    def name(self, name: str) -> None:
        """A full name, and the groups before its dots."""
        if not isinstance(name, str) or not is_full_name(name):
            raise _wrong(
                "that is no name",
                help="a name is made of letters, digits and `_`, with dots between the parts of its path",
            )
        require_free(first_use(name))
        group = name.rpartition(".")[0]
        while group not in self.groups:
            self.groups.add(group)
            group = group.rpartition(".")[0]

    def place(self, name: str, scope: int) -> None:
        """What stands below the name of a scope stands in it."""
        group = name.rpartition(".")[0]
        if (group, scope) in self.within:
            return
        part = group
        while part:
            if part in self.scopes and self.scopes[part] not in self.ancestors[scope]:
                raise _wrong(f"it stands below the name of the scope `{part}`, but not in it")
            part = part.rpartition(".")[0]
        self.within.add((group, scope))

    # -------------------------------------------------------------- steps

    def steps(self) -> None:
        """The nodes: each takes what was there before it, and gives what its op makes of that."""
        scopes = self.graph.scopes
        open_, latest = [0], 0
        self.enter(0)
        for node in self.graph.nodes:
            with self.at(f"the step `{node.name}`", node):
                self.name(node.name)
                if node.name in self.names or node.name in self.scopes:
                    raise _wrong("another part has that name")
                if type(node.scope) is not int or not 0 <= node.scope < len(scopes):
                    raise _wrong("it stands in no scope")
                while open_[-1] not in self.ancestors[node.scope]:
                    self.leave(open_.pop())
                for scope in sorted(self.ancestors[node.scope] - self.ancestors[open_[-1]]):
                    if scope <= latest:
                        raise _wrong(f"the steps of the scope `{scopes[scope].name}` are not together")
                    for passed in range(latest + 1, scope):
                        self.empty(passed)
                    latest = scope
                    open_.append(scope)
                    self.enter(scope)
                self.place(node.name, node.scope)
                self.step(node)
        for scope in reversed(open_):
            self.leave(scope)
        for passed in range(latest + 1, len(scopes)):
            self.empty(passed)
        for name in self.names:
            if name in self.groups:
                raise _wrong(f"`{name}` is a step or an input, so no other name can stand below it")

    def enter(self, index: int) -> None:
        """A scope begins: what goes in is there."""
        scope = self.graph.scopes[index]
        with self.at(f"the scope `{scope.name}`", scope):
            for ref in scope.inputs:
                self.require_seen(ref, scope.parent or 0)

    def leave(self, index: int) -> None:
        """A scope ends: what comes out is there."""
        scope = self.graph.scopes[index]
        with self.at(f"the scope `{scope.name}`", scope):
            for ref in scope.outputs:
                self.require_seen(ref, index)

    def empty(self, index: int) -> None:
        """A scope in which no step stands: it hands on what it is given."""
        self.enter(index)
        self.leave(index)

    def require_seen(self, ref: Ref, scope: int) -> None:
        """Mistake when a value is not there yet, or is in a block that does not give it."""
        if ref not in self.types:
            raise _wrong(f"it takes `{_shown(ref)}`, which nothing before it gives")
        home = self.homes.get(ref.producer, 0)
        while home not in self.ancestors[scope]:
            if ref not in self.outputs[home]:
                raise _wrong(
                    f"it takes `{ref}`, which the scope `{self.graph.scopes[home].name}` does not give"
                )
            home = self.graph.scopes[home].parent or 0

    def step(self, node: Node) -> None:
        """One node: its operands, its types and its weights."""
        for ref in node.operands:
            self.require_seen(ref, node.scope)
        optional = node.op.signature().optional
        for option in node.options:
            if option not in optional:
                raise _wrong(f"{type(node.op).__name__} has no optional tensor `{option}`")
        types, weights = self.infer(node)
        if node.types != types:
            made = ", ".join(map(str, types))
            raise _wrong(f"it gives {made}, not {', '.join(map(str, node.types))}")
        if isinstance(node.op, Tied):
            self.tied(node.op)
        self.own(node, weights)
        self.names.add(node.name)
        self.nodes[node.name] = node
        self.homes[node.name] = node.scope
        for index, type_ in enumerate(types):
            self.types[Ref(node.name, index)] = type_

    def infer(self, node: Node) -> Inferred:
        """What an op makes of its inputs, asked once for each op and types."""
        types = tuple(self.types[ref] for ref in node.inputs)
        options = {option: self.types[ref] for option, ref in node.options.items()}
        key = (node.op, types, tuple(options.items()))
        if key not in self.inferred:
            _require_op(node.op)
            try:
                outputs, weights = infer(node.op, types, options)
            except Mistake:
                raise
            except (Exception, SystemExit) as error:  # an op of anyone's
                raise _wrong(
                    f"{type(node.op).__name__} fails on it: {type(error).__name__}: {error}"
                ) from error
            self.inferred[key] = outputs, weights
        return self.inferred[key]

    def tied(self, op: Tied) -> None:
        """The weight that a step reads: an earlier one, of that shape and dtype."""
        weight = self.weights.get(op.target)
        if weight is None:
            raise _wrong(f"it reads the weight `{op.target}`, which no step before it has")
        if (weight.shape, weight.dtype) != (op.shape, op.dtype):
            raise _wrong(
                f"it reads `{op.target}` as {op.dtype}{show(op.shape)}, which is {weight.dtype}{show(weight.shape)}"
            )

    def own(self, node: Node, weights: Mapping[str, Weight]) -> None:
        """The weights of a step, which later uses of a shared layer have from the first."""
        original = first_use(node.name)
        shares = original if weights and original != node.name else ""
        if node.shares != shares:
            raise _wrong(f"it shares the weights of `{node.shares}`, not of `{shares}`")
        if not shares:
            for key, weight in weights.items():
                self.weights[f"{node.name}.{key}" if key else node.name] = weight
            return
        first = self.nodes.get(original)
        if first is None or first.op != node.op:
            raise _wrong(f"it shares the weights of `{original}`, which is no earlier step of the same op")
        for key, weight in weights.items():
            known = self.weights.get(f"{original}.{key}" if key else original)
            if known is None or (known.shape, known.dtype) != (weight.shape, weight.dtype):
                raise _wrong(f"the `{key}` of `{original}` does not fit it")

    def own_weights(self) -> None:
        """All weights, which are those that the ops declare and no others."""
        given = self.graph.weights
        if given.keys() != self.weights.keys():
            name = sorted(given.keys() ^ self.weights.keys(), key=str)[0]
            raise _wrong(
                f"no step has the weight `{name}`" if name in given else f"the weight `{name}` is missing"
            )
        for name, weight in self.weights.items():
            if given[name] is not weight and given[name] != weight:
                raise _wrong(f"the weight `{name}` is not the one that its step has")
        require_few_constants(given.values())

    def results(self) -> None:
        """The outputs: values that are there, of their types, all named differently or none."""
        outputs = self.graph.outputs
        if not outputs:
            raise _wrong("it has no output")
        names = [output.name for output in outputs]
        if any(names):
            for name in names:
                _require_name(name, "an output")
            if len(set(names)) < len(names):
                raise _wrong("two outputs have the same name")
        for output in outputs:
            if output.type != self.types[output.value]:
                raise _wrong(f"the output `{output.value}` is {self.types[output.value]}, not {output.type}")


def _require_claim(claim: Claim) -> None:
    _require_name(claim.quantity, "what is claimed")
    if claim.subject:
        _require_name(claim.subject, "what it is claimed of")
    for figure in (claim.figure, claim.known):
        if figure and (len(figure) > LONGEST_TEXT or not _FIGURE.fullmatch(figure)):
            raise _wrong("what is claimed is no figure", help="figures are written as `25.56M`")
    for size in claim.shape or ():
        _require_number(size)
    _require_text(claim.reason)
    _require_text(claim.source)
    _require_values(claim.settings, "settings")


def _require_op(op: Op) -> None:
    """Mistake when it is no op at all, or has arguments that no spec could give."""
    if not isinstance(op, Op) or type(op).__name__.startswith("_") or type(op) is Op:
        raise _wrong("it applies no op")
    for value in vars(op).values():
        _require_value(value)
    if isinstance(op, Own) and op.weight.saved == isinstance(op, Constant):
        raise _wrong("a constant is not saved, and anything else is")


def _require_uses(given: Input) -> None:
    """Mistake unless its uses are of different axes, each of a known size."""
    uses, left = given.uses, {axis for axis, size in enumerate(given.type.shape) if isinstance(size, int)}
    if uses is None:
        return
    if not isinstance(uses, tuple) or not all(type(use) is Use for use in uses):
        raise _wrong("its uses are none")
    for use in uses:
        if type(use.axis) is not int or use.axis not in left:
            raise _wrong(f"axis {use.axis} is used, which has no known size or is used twice")
        left.remove(use.axis)
        _require_location(use.location)


def _require_location(location: Location) -> None:
    _require_path(location.file)
    for number in (location.line, location.column):
        if type(number) is not int or not 1 <= number <= LONGEST_TEXT + 1:
            raise _wrong("its place is in no file")


def _require_size(size: object, free: set[str]) -> None:
    """A size of an input: a number, a free name, or a formula of names that were given before."""
    if isinstance(size, Free):
        ((names, factor),) = size.terms if len(size.terms) == 1 else (((), 0),)
        if len(names) == 1 and factor == 1:
            _require_name(names[0], "a free size")
            free.update(names)
        elif not size.names or not size.names <= free:
            raise _wrong(f"no input has the free sizes of `{size}`")
        require_place(size)
    elif type(size) is not int or size < 1:
        raise _wrong("a size is a positive whole number")


def _require_name(name: object, what: str) -> None:
    if not isinstance(name, str) or not is_name(name):
        raise _wrong(f"`{name}` cannot name {what}", help="a name is made of letters, digits and `_`")


def _require_text(text: object) -> None:
    if not isinstance(text, str) or len(text) > LONGEST_TEXT:
        raise _wrong("a text is no text, or too long")
    text.encode()


def _require_path(path: object) -> None:
    """The name of a file goes into stack traces, and comments of generated code."""
    if not isinstance(path, str) or not path or len(path) > LONGEST_PATH or not path.isprintable():
        raise _wrong("the file that it is said to be from has a name that cannot be printed")


def _require_values(values: Mapping[str, object], what: str) -> None:
    if not isinstance(values, dict):
        raise _wrong(f"its {what} have no names")
    for name, value in values.items():
        _require_name(name, "a parameter")
        _require_value(value)


def _require_value(value: object) -> None:
    """Mistake when it holds a number or a text that no spec could."""
    levels: list[Iterator[object]] = [iter((value,))]
    while levels:
        for item in levels[-1]:
            if isinstance(item, str):
                _require_text(item)
            elif isinstance(item, bool | int | float):
                _require_number(item)
            elif isinstance(item, Mapping | list | tuple | BaseModel):
                if len(levels) > DEEPEST_VALUE:
                    raise _wrong(f"a value is nested more than {DEEPEST_VALUE} deep")
                levels.append(_parts(item))
                break
        else:
            levels.pop()


def _parts(value: Mapping[str, object] | Iterable[object] | BaseModel) -> Iterator[object]:
    if isinstance(value, BaseModel):
        if type(value) is Initialiser:
            raise _wrong("there is an initialisation without a name")
        value = vars(value)
    return iter((*value, *value.values())) if isinstance(value, Mapping) else iter(value)


def _require_number(number: object) -> None:
    whole = isinstance(number, int) and abs(number) <= LARGEST_NUMBER
    if not whole and not (isinstance(number, float) and isfinite(number)):
        raise _wrong("a number has more than 30 digits, or is none")


def _shown(ref: Ref) -> str:
    return str(ref)[:LONGEST_NAME]


def _wrong(message: str, *, help: str = "") -> Mistake:
    return Mistake(message, kind="graph", help=help)
