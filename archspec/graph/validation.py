"""The invariants of a graph. Elaboration guarantees them; graphs from anywhere else are checked.

A graph can come from JSON, a built module or a user's program. A mistake in it would surface far from its cause or, since names
and locations go into generated code, be executed. So the whole graph is checked once, before anything uses it: function by
function, callees first, in time proportional to the functions, however often they are called.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from archspec.graph.function import Apply, Call, Function, Step
from archspec.graph.graph import DEEPEST_SCOPE, Graph
from archspec.graph.name_maps import NameMap
from archspec.graph.records import Claim, Input, Ref
from archspec.graph.requirements import (
    require_claim,
    require_location,
    require_map,
    require_name,
    require_op,
    require_path,
    require_size,
    require_text,
    require_uses,
    require_values,
    wrong,
)
from archspec.graph.sharing import Sharing
from archspec.ground import codes
from archspec.ground.bounds import require_place
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.names import LONGEST_NAME, is_full_name, is_label, require_free
from archspec.ground.size import Free
from archspec.ground.source import Location
from archspec.ground.tensor import BATCH, TensorType
from archspec.op.inference import Inferred, infer, require_few_constants, require_possible
from archspec.ops.weights import Tied

MOST_IN_ROW = 1_000_000  # calls, as many as a list of the language has items

_DIGEST = re.compile(r"[0-9a-f]{64}")


def validate(graph: Graph) -> None:
    """Raises SpecError when an invariant does not hold."""
    try:
        _Validation(graph).run()
    except Mistake as mistake:
        raise SpecError.of(codes.GRAPH, f"invalid graph: {mistake.message}", help=mistake.help) from None
    except RecursionError:
        raise SpecError.of(codes.GRAPH, "invalid graph: nested too deeply") from None
    except (TypeError, AttributeError, ValueError, LookupError, ArithmeticError) as error:
        # Objects made without pydantic's validation can hold anything.
        raise SpecError.of(codes.GRAPH, f"invalid graph: {type(error).__name__}: {error}") from error


class _Validation:
    """One walk over the functions of a graph, in order."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.free: set[str] = set()
        self.inferred: dict[Any, Inferred] = {}
        self.locations: set[Location] = set()
        self.depths: list[int] = []  # of calls in each function
        self.longest: list[int] = []  # letters of the longest name in each function
        self.called: set[int] = set()
        self.sharing = Sharing(graph)

    @contextmanager
    def locating(self, what: str, part: Input | Apply | Call | Claim | NameMap) -> Iterator[None]:
        """Prefix mistakes raised inside with what is wrong and where it was declared."""
        try:
            self.place(part.location)
            yield
        except Mistake as mistake:
            raise Mistake(
                f"{what} ({part.location}): {mistake.message}", codes.GRAPH, help=mistake.help
            ) from None

    def place(self, location: Location) -> None:
        if location not in self.locations:
            require_location(location)
            self.locations.add(location)

    def run(self) -> None:
        self.records()
        self.facts()
        self.inputs()
        for index, function in enumerate(self.graph.functions):
            try:
                self.function(index, function)
            except Mistake as mistake:
                called = f"function {index} ({function.block or 'a list'})"
                raise Mistake(f"{called}: {mistake.message}", codes.GRAPH, help=mistake.help) from None
        for index in range(len(self.graph.functions)):
            self.sharing.finish(index)
        self.model()
        require_few_constants(self.graph.owned(lambda weight: 0 if weight.saved else weight.size)[-1])
        for claim in self.graph.claims:
            with self.locating("claim", claim):
                require_claim(claim)
        for names in self.graph.names:
            with self.locating(f'names "{names.title}"', names):
                require_map(names)

    # -------------------------------------------------------------- the graph itself

    def records(self) -> None:
        """Every part has its own class: a graph made without pydantic's validation may hold anything."""
        graph = self.graph
        for parts, kind in (
            (graph.inputs, Input),
            (graph.functions, Function),
            (graph.claims, Claim),
            (graph.names, NameMap),
        ):
            if not isinstance(parts, tuple) or not all(type(part) is kind for part in parts):
                raise wrong(f"expected only {kind.__name__} objects")
        if not graph.functions:
            raise wrong("no functions")

    def facts(self) -> None:
        """Name, documentation, settings and sources."""
        graph = self.graph
        require_name(graph.name, "the model")
        require_text(graph.doc)
        require_values(graph.settings, "settings")
        self.place(graph.location)
        for name, digest in graph.sources.items():
            require_path(name)
            if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
                raise wrong(f"the digest of source `{name}` is not a SHA-256")

    def inputs(self) -> None:
        """Names and types of the inputs; a free size is named by the first input that has it."""
        names: set[str] = set()
        if not self.graph.inputs:
            raise wrong("no inputs")
        for given in self.graph.inputs:
            with self.locating(f"input `{given.name}`", given):
                require_name(given.name, "an input")
                if len(given.name) > LONGEST_NAME:
                    raise wrong(f"the name is longer than {LONGEST_NAME:,} characters")
                if given.name in names:
                    raise wrong("duplicate input name")
                if type(given.type) is not TensorType or not given.type.batched:
                    raise wrong("the type has no batch axis")
                for size in given.type.shape:
                    require_size(size, self.free)
                require_possible(given.type.shape)
                require_uses(given)
                names.add(given.name)

    def model(self) -> None:
        """The last function: its inputs and outputs are those of the network."""
        graph, model = self.graph, self.graph.model
        if model.block != graph.name:
            raise wrong("the last function is not the model")
        if model.handed or model.inputs != tuple(given.type for given in graph.inputs):
            raise wrong("the inputs of the model differ from those of the graph")
        if self.called != set(range(len(graph.functions) - 1)):
            raise wrong("a function is never called")
        if not model.outputs:
            raise wrong("no outputs")
        if not isinstance(graph.returns, tuple) or len(graph.returns) != len(model.outputs):
            raise wrong("the graph names a different number of outputs than the model returns")
        if any(graph.returns):
            for name in graph.returns:
                require_name(name, "an output")
            if len(set(graph.returns)) < len(graph.returns):
                raise wrong("duplicate output name")
        for given in graph.inputs:
            if given.name in model.by_name or given.name in model.layers:
                raise wrong(f"`{given.name}` is both an input and a step")
            if any(name.startswith(f"{given.name}.") for name in (*model.by_name, *model.layers)):
                raise wrong(f"`{given.name}` is an input, so no step can be named `{given.name}.…`")

    # -------------------------------------------------------------- functions

    def function(self, index: int, function: Function) -> None:
        """One function: its signature, its steps in order, its outputs."""
        if not isinstance(function.steps, tuple) or not all(type(s) in (Apply, Call) for s in function.steps):
            raise wrong("expected only Apply and Call steps")
        if function.block:
            require_name(function.block, "a block")
        require_values(function.arguments, "arguments")
        for type_ in function.inputs:
            self.type(type_)
        last = index == len(self.graph.functions) - 1
        if type(function.given) is not int or not 0 <= function.given <= len(function.inputs):
            raise wrong("`given` exceeds the number of inputs")
        if last and function.given != len(function.inputs):
            raise wrong("the inputs of the model differ from those of the graph")
        self.layers(function)
        function.__dict__["held"] = {}
        self.sharing.start(function)
        types = {Ref(f"%{i}"): type_ for i, type_ in enumerate(function.inputs)}
        names = _Names(function)
        depth, longest = 0, 0
        for step in function.steps:
            with self.locating(f"step `{step.name}`", step):
                names.add(step)
                for ref in step.operands:
                    if ref not in types:
                        raise wrong(f"`{str(ref)[:LONGEST_NAME]}` is not defined before it")
                if isinstance(step, Apply):
                    self.apply(function, step, types)
                    below = max(map(len, function.held.get(step.name, ())), default=0)
                else:
                    self.call(index, function, step, types)
                    depth = max(depth, 1 + self.depths[step.function])
                    below = self.longest[step.function]
                name = function.layers[step.layer] if step.is_use and step.layer is not None else step.name
                longest = max(longest, len(name) + 1 + below)
                types.update({Ref(step.name, i): type_ for i, type_ in enumerate(step.types)})
                self.sharing.step(index, step)
        names.require_apart()
        if depth > DEEPEST_SCOPE:
            raise wrong(f"calls are nested more than {DEEPEST_SCOPE} deep")
        if longest > LONGEST_NAME + 1:
            raise wrong(f"the full name of a step is longer than {LONGEST_NAME:,} characters")
        for ref in function.outputs:
            if ref not in types:
                raise wrong(f"its output `{str(ref)[:LONGEST_NAME]}` is not defined")
        self.depths.append(depth)
        self.longest.append(longest)

    def type(self, type_: object) -> None:
        """The type of a function's input: its free sizes are those of the network's inputs."""
        if type(type_) is not TensorType:
            raise wrong("an input has no tensor type")
        for size in type_.shape:
            if isinstance(size, Free):
                if not size.names <= self.free | {BATCH}:
                    raise wrong(f"`{size}` has a free size that no input of the network declares")
                require_place(size)
            elif type(size) is not int or size < 1:
                raise wrong("a size must be a positive integer")
        require_possible(type_.shape)

    def layers(self, function: Function) -> None:
        """The shared layers: those passed in, unnamed, then its own, by name."""
        if not isinstance(function.layers, tuple):
            raise wrong("`layers` must be a tuple")
        own = function.layers[function.handed :]
        if any(not name for name in own) or len(set(own)) < len(own):
            raise wrong(
                "`layers` must list the shared layers passed in, unnamed, then its own, each with a different name"
            )
        for name in own:
            if not isinstance(name, str) or not is_label(name) or len(name) > LONGEST_NAME:
                raise wrong(
                    f"`{name}` cannot name a shared layer",
                    help="names consist of letters, digits and `_`, joined by dots",
                )
            require_free(name)

    # -------------------------------------------------------------- steps

    def apply(self, function: Function, step: Apply, types: dict[Ref, TensorType]) -> None:
        """One op: its operands, types and weights."""
        require_op(step.op)
        if not isinstance(step.options, dict):
            raise wrong("`options` must be a dict")
        optional = step.op.signature().optional
        for option in step.options:
            if option not in optional:
                raise wrong(f"{type(step.op).__name__} has no optional tensor `{option}`")
        if not isinstance(step.defaults, dict):
            raise wrong("`defaults` must be a dict")
        for argument, location in step.defaults.items():
            require_name(argument, "an argument")
            self.place(location)
        if isinstance(step.op, Tied) and (step.layer is None or not is_full_name(step.op.target)):
            raise wrong(f"it reads the weight `{step.op.target}`, but of no shared layer")
        given = tuple(types[ref] for ref in step.inputs)
        options = {option: types[ref] for option, ref in step.options.items()}
        made, weights = self.infer(step, given, options)
        if step.types != made:
            raise wrong(f"the op returns {', '.join(map(str, made))}, not {', '.join(map(str, step.types))}")
        if weights:
            function.held[step.name] = weights

    def infer(self, step: Apply, types: tuple[TensorType, ...], options: dict[str, TensorType]) -> Inferred:
        """Types and weights of an op on these inputs, inferred once for each op and types."""
        key = (step.op, types, tuple(options.items()))
        if key not in self.inferred:
            try:
                self.inferred[key] = infer(step.op, types, options)
            except Mistake:
                raise
            except (Exception, SystemExit) as error:  # the op may be a user's
                raise wrong(f"{type(step.op).__name__} failed: {type(error).__name__}: {error}") from error
        return self.inferred[key]

    def call(self, index: int, function: Function, step: Call, types: dict[Ref, TensorType]) -> None:
        """One call: of an earlier function, with matching types and shared layers."""
        if type(step.function) is not int or not 0 <= step.function < index:
            raise wrong("a step can only call an earlier function")
        self.called.add(step.function)
        callee = self.graph.functions[step.function]
        if tuple(types[ref] for ref in step.inputs) != callee.inputs:
            raise wrong("the arguments do not have the types of the function's inputs")
        if step.types != callee.output_types:
            given = ", ".join(map(str, callee.output_types))
            raise wrong(f"the function returns {given or 'nothing'}, not {', '.join(map(str, step.types))}")
        if len(step.layers) != callee.handed or not all(0 <= i < len(function.layers) for i in step.layers):
            raise wrong("the shared layers do not match those of the function")
        if step.times == 1:
            return
        if type(step.times) is not int or not 1 <= step.times <= MOST_IN_ROW:
            raise wrong(f"`times` must be from 1 to {MOST_IN_ROW:,}")
        if step.layer is not None or not re.fullmatch(r"0|[1-9]\d{0,8}", step.name, re.ASCII):
            raise wrong("a call that repeats must be named by a number")
        if callee.given != len(callee.inputs) or callee.inputs != callee.output_types:
            raise wrong("a call that repeats must return what it takes")


class _Names:
    """The names in one function: unique, and no step named below another."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.taken: set[str] = {name for name in function.layers if name}
        self.groups: set[str] = set()
        for name in self.taken:
            self.groups.update(_groups(name))
        self.rows: list[tuple[int, int]] = []  # the first number of each row, and one past its last
        self.uses: dict[int, int] = {}

    def add(self, step: Step) -> None:
        """Record the name of a step. Raises Mistake when it is invalid or taken."""
        if step.layer is not None and (
            type(step.layer) is not int or not 0 <= step.layer < len(self.function.layers)
        ):
            raise wrong("the index of its shared layer is out of range")
        if step.is_use and step.layer is not None:
            self.uses[step.layer] = uses = self.uses.get(step.layer, 0) + 1
            wanted = f"@{step.layer}" if uses == 1 else f"@{step.layer}@{uses}"
            if step.name != wanted:
                raise wrong(f"this use of a shared layer must be named `{wanted}`")
            return
        name = step.name
        if not isinstance(name, str) or not is_full_name(name) or "@" in name:
            raise wrong(
                "invalid name",
                help="names consist of letters, digits and `_`, joined by dots",
            )
        require_free(name)
        if name in self.taken:
            raise wrong("duplicate step name")
        self.taken.add(name)
        self.groups.update(_groups(name))
        if isinstance(step, Call) and step.times != 1:
            if not name.isdecimal():
                raise wrong("a call that repeats must be named by a number")
            self.rows.append((int(name), int(name) + step.times))

    def require_apart(self) -> None:
        """Raise Mistake when a step is named below another, or like one of a row."""
        for name in self.taken & self.groups:
            raise wrong(f"`{name}` is a step, so no step can be named `{name}.…`")
        numbers = sorted((int(name), int(name) + 1) for name in self.taken | self.groups if name.isdigit())
        firsts = {first for first, _ in self.rows}
        ends = sorted([*self.rows, *(pair for pair in numbers if pair[0] not in firsts)])
        for (_, end), (start, _) in pairwise(ends):
            if start < end:
                raise wrong(f"duplicate step name `{start}`")


def _groups(name: str) -> Iterator[str]:
    """The groups that a step of that name stands in: `a` and `a.b` for `a.b.c`."""
    parts = name.split(".")
    return (".".join(parts[:i]) for i in range(1, len(parts)))
