"""What holds of every graph: elaboration makes it so, and a graph from anywhere else is held to it.

A graph can come from JSON, from a built module or from someone's program. What is wrong in it would show far from its cause,
or, since names and places go into generated code, run as a part of it. So a graph is checked whole, once, before anything is
made of it: function by function, each behind those that it calls, so that a network is checked in the time that its functions
take, however often they are called.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from archspec.graph.function import Apply, Call, Function, Step
from archspec.graph.graph import DEEPEST_SCOPE, Graph
from archspec.graph.records import Claim, Input, Ref
from archspec.graph.sharing import Sharing
from archspec.graph.values import (
    require_claim,
    require_location,
    require_name,
    require_op,
    require_path,
    require_size,
    require_text,
    require_uses,
    require_values,
    wrong,
)
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.names import LONGEST_NAME, is_full_name, require_free
from archspec.ground.size import Free, require_place
from archspec.ground.source import Location
from archspec.ground.tensor import TensorType
from archspec.op.inference import Inferred, infer, require_few_constants, require_possible
from archspec.ops.weights import Tied

MOST_IN_ROW = 1_000_000  # calls, as many as a list of the language has items

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
    def at(self, what: str, part: Input | Apply | Call | Claim) -> Iterator[None]:
        """Say of the mistakes inside what is wrong, and where it stands."""
        try:
            self.place(part.location)
            yield
        except Mistake as mistake:
            raise Mistake(f"{what} ({part.location}): {mistake.message}", help=mistake.help) from None

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
                called = f"the function {index} ({function.block or 'a list'})"
                raise Mistake(f"{called}: {mistake.message}", help=mistake.help) from None
        for index in range(len(self.graph.functions)):
            self.sharing.finish(index)
        self.model()
        require_few_constants(self.graph.owned(lambda weight: 0 if weight.saved else weight.size)[-1])
        for claim in self.graph.claims:
            with self.at("the claim", claim):
                require_claim(claim)

    # -------------------------------------------------------------- what stands alone

    def records(self) -> None:
        """Each part is of its own kind: a model made past pydantic may hold anything."""
        graph = self.graph
        for parts, kind in ((graph.inputs, Input), (graph.functions, Function), (graph.claims, Claim)):
            if not isinstance(parts, tuple) or not all(type(part) is kind for part in parts):
                raise wrong(f"it holds what is no {kind.__name__}")
        if not graph.functions:
            raise wrong("it has no functions")

    def facts(self) -> None:
        """The name, the documentation, the settings and the sources."""
        graph = self.graph
        require_name(graph.name, "the model")
        require_text(graph.doc)
        require_values(graph.settings, "settings")
        self.place(graph.location)
        for name, digest in graph.sources.items():
            require_path(name)
            if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
                raise wrong(f"the SHA-256 of the source `{name}` is none")

    def inputs(self) -> None:
        """Their names and types; a free size has its name from an input whose size it is."""
        names: set[str] = set()
        if not self.graph.inputs:
            raise wrong("it has no input")
        for given in self.graph.inputs:
            with self.at(f"the input `{given.name}`", given):
                require_name(given.name, "an input")
                if len(given.name) > LONGEST_NAME:
                    raise wrong(f"its name has more than {LONGEST_NAME:,} characters")
                if given.name in names:
                    raise wrong("two inputs have that name")
                if type(given.type) is not TensorType or not given.type.batched:
                    raise wrong("it has no batch")
                for size in given.type.shape:
                    require_size(size, self.free)
                require_possible(given.type.shape)
                require_uses(given)
                names.add(given.name)

    def model(self) -> None:
        """The last function: it takes the inputs of the network, and gives its outputs."""
        graph, model = self.graph, self.graph.model
        if model.block != graph.name:
            raise wrong("its last function is not the model")
        if model.handed or model.inputs != tuple(given.type for given in graph.inputs):
            raise wrong("the model takes other values than the inputs")
        if self.called != set(range(len(graph.functions) - 1)):
            raise wrong("a function is never called")
        if not model.outputs:
            raise wrong("it has no output")
        if not isinstance(graph.returns, tuple) or len(graph.returns) != len(model.outputs):
            raise wrong("the model gives other values than the outputs")
        if any(graph.returns):
            for name in graph.returns:
                require_name(name, "an output")
            if len(set(graph.returns)) < len(graph.returns):
                raise wrong("two outputs have the same name")
        for given in graph.inputs:
            if given.name in model.by_name or given.name in model.layers:
                raise wrong(f"`{given.name}` is an input and a step")
            if any(name.startswith(f"{given.name}.") for name in (*model.by_name, *model.layers)):
                raise wrong(f"`{given.name}` is an input, so no step can stand below its name")

    # -------------------------------------------------------------- functions

    def function(self, index: int, function: Function) -> None:
        """One function: its head, its steps in order, and what it gives."""
        if not isinstance(function.steps, tuple) or not all(type(s) in (Apply, Call) for s in function.steps):
            raise wrong("it holds what is no step")
        if function.block:
            require_name(function.block, "a block")
        require_values(function.arguments, "arguments")
        for type_ in function.inputs:
            self.type(type_)
        last = index == len(self.graph.functions) - 1
        if type(function.given) is not int or not 0 <= function.given <= len(function.inputs):
            raise wrong("it is given more values than it takes")
        if last and function.given != len(function.inputs):
            raise wrong("the model takes other values than the inputs")
        self.layers(function)
        function.__dict__["held"] = {}
        self.sharing.start(function)
        types = {Ref(f"%{i}"): type_ for i, type_ in enumerate(function.inputs)}
        names = _Names(function)
        depth, longest = 0, 0
        for step in function.steps:
            with self.at(f"the step `{step.name}`", step):
                names.add(step)
                for ref in step.operands:
                    if ref not in types:
                        raise wrong(f"it takes `{str(ref)[:LONGEST_NAME]}`, which nothing before it gives")
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
            raise wrong(f"the name of a step has more than {LONGEST_NAME:,} characters")
        for ref in function.outputs:
            if ref not in types:
                raise wrong(f"it gives `{str(ref)[:LONGEST_NAME]}`, which is none of its values")
        self.depths.append(depth)
        self.longest.append(longest)

    def type(self, type_: object) -> None:
        """The type of an input of a function: of sizes that the network's inputs allow."""
        if type(type_) is not TensorType:
            raise wrong("an input has no type")
        for size in type_.shape:
            if isinstance(size, Free):
                if not size.names <= self.free:
                    raise wrong(f"no input of the network has the free sizes of `{size}`")
                require_place(size)
            elif type(size) is not int or size < 1:
                raise wrong("a size is a positive whole number")
        require_possible(type_.shape)

    def layers(self, function: Function) -> None:
        """The shared layers: those handed in first, and a name for each of the others."""
        if not isinstance(function.layers, tuple):
            raise wrong("its shared layers are none")
        own = function.layers[function.handed :]
        if any(not name for name in own) or len(set(own)) < len(own):
            raise wrong("its shared layers are not those handed in, and then its own by name")
        for name in own:
            require_name(name, "a shared layer")
            require_free(name)

    # -------------------------------------------------------------- steps

    def apply(self, function: Function, step: Apply, types: dict[Ref, TensorType]) -> None:
        """One op: its operands, its types and its weights."""
        require_op(step.op)
        if not isinstance(step.options, dict):
            raise wrong("its options have no names")
        optional = step.op.signature().optional
        for option in step.options:
            if option not in optional:
                raise wrong(f"{type(step.op).__name__} has no optional tensor `{option}`")
        if isinstance(step.op, Tied) and (step.layer is None or not is_full_name(step.op.target)):
            raise wrong(f"it reads the weight `{step.op.target}` of no shared layer")
        given = tuple(types[ref] for ref in step.inputs)
        options = {option: types[ref] for option, ref in step.options.items()}
        made, weights = self.infer(step, given, options)
        if step.types != made:
            raise wrong(f"it gives {', '.join(map(str, made))}, not {', '.join(map(str, step.types))}")
        if weights:
            function.held[step.name] = weights

    def infer(self, step: Apply, types: tuple[TensorType, ...], options: dict[str, TensorType]) -> Inferred:
        """What an op makes of its inputs, asked once for each op and types."""
        key = (step.op, types, tuple(options.items()))
        if key not in self.inferred:
            try:
                self.inferred[key] = infer(step.op, types, options)
            except Mistake:
                raise
            except (Exception, SystemExit) as error:  # an op of anyone's
                raise wrong(
                    f"{type(step.op).__name__} fails on it: {type(error).__name__}: {error}"
                ) from error
        return self.inferred[key]

    def call(self, index: int, function: Function, step: Call, types: dict[Ref, TensorType]) -> None:
        """One call: of a function before, which takes what it is given."""
        if type(step.function) is not int or not 0 <= step.function < index:
            raise wrong("it must call an earlier function")
        self.called.add(step.function)
        callee = self.graph.functions[step.function]
        if tuple(types[ref] for ref in step.inputs) != callee.inputs:
            raise wrong("the function takes values of other types")
        if step.types != callee.output_types:
            given = ", ".join(map(str, callee.output_types))
            raise wrong(f"the function gives {given or 'nothing'}, not {', '.join(map(str, step.types))}")
        if len(step.layers) != callee.handed or not all(0 <= i < len(function.layers) for i in step.layers):
            raise wrong("the function is handed other shared layers")
        if step.times == 1:
            return
        if type(step.times) is not int or not 1 <= step.times <= MOST_IN_ROW:
            raise wrong(f"a row has 1 to {MOST_IN_ROW:,} calls")
        if step.layer is not None or not re.fullmatch(r"0|[1-9]\d{0,8}", step.name, re.ASCII):
            raise wrong("a row is named by numbers")
        if callee.given != len(callee.inputs) or callee.inputs != callee.output_types:
            raise wrong("in a row, each call takes what the one before gives")


class _Names:
    """The names in one function: all different, and none below that of a step."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.taken: set[str] = {name for name in function.layers if name}
        self.groups: set[str] = set()
        self.rows: list[tuple[int, int]] = []  # the first number of each row, and the one behind its last
        self.uses: dict[int, int] = {}

    def add(self, step: Step) -> None:
        """Take the name of a step. Mistake when it is none, or taken."""
        if step.layer is not None and (
            type(step.layer) is not int or not 0 <= step.layer < len(self.function.layers)
        ):
            raise wrong("it uses a shared layer that is not there")
        if step.is_use and step.layer is not None:
            self.uses[step.layer] = uses = self.uses.get(step.layer, 0) + 1
            wanted = f"@{step.layer}" if uses == 1 else f"@{step.layer}@{uses}"
            if step.name != wanted:
                raise wrong(f"the use of a shared layer is called `{wanted}`")
            return
        name = step.name
        if not isinstance(name, str) or not is_full_name(name) or "@" in name:
            raise wrong(
                "it is not a valid name",
                help="a name is made of letters, digits and `_`, with dots between the parts of its path",
            )
        require_free(name)
        if name in self.taken:
            raise wrong("another step has that name")
        self.taken.add(name)
        parts = name.split(".")
        self.groups.update(".".join(parts[:i]) for i in range(1, len(parts)))
        if isinstance(step, Call) and step.times != 1:
            if not name.isdecimal():
                raise wrong("a row is named by numbers")
            self.rows.append((int(name), int(name) + step.times))

    def require_apart(self) -> None:
        """Mistake when a step stands below the name of another, or is called as one of a row."""
        for name in self.taken & self.groups:
            raise wrong(f"`{name}` is a step, so no other name can stand below it")
        numbers = sorted((int(name), int(name) + 1) for name in self.taken | self.groups if name.isdigit())
        firsts = {first for first, _ in self.rows}
        ends = sorted([*self.rows, *(pair for pair in numbers if pair[0] not in firsts)])
        for (_, end), (start, _) in pairwise(ends):
            if start < end:
                raise wrong(f"two steps are called `{start}`")
