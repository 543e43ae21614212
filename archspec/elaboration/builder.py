"""The graph under construction: the types of its steps are inferred, and equal functions are one."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

from archspec.elaboration.budget import NEW_NODE, Budget
from archspec.elaboration.defaults import Defaults
from archspec.elaboration.frames import Frame, check_length
from archspec.elaboration.made import Made
from archspec.elaboration.origins import Origins, plain_type
from archspec.elaboration.values import Held, SharedLayer, SharedPart, SharedState, Tensor
from archspec.graph import DEEPEST_SCOPE, Apply, Call, Function, Ref
from archspec.graph.function import first_use
from archspec.graph.held import holds, weight_at
from archspec.ground import codes
from archspec.ground.declared import Declared, number, use, used
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.names import first_use as first_name
from archspec.ground.size import Free
from archspec.ground.source import Location, Span
from archspec.ground.tensor import Shape, TensorType, show
from archspec.op import Op, Weight
from archspec.op.inference import infer
from archspec.op.run_time import shown_by, unread
from archspec.op.table import Table
from archspec.ops.weights import Constant, Own, Tied

NOTHING = -1  # the function of what the first use of a shared layer did not make


class Builder:
    """Collects the functions of a graph, each behind those that it calls; `frame` is the one under construction."""

    def __init__(self, budget: Budget, origins: Origins) -> None:
        self.budget = budget
        self.origins = origins
        self.functions: list[Function] = []
        self.depths: list[int] = []  # of calls in each function
        self.longest: list[int] = []  # letters of the longest name in each
        self.frame = Frame("")
        self.depth = 0
        self._interned: dict[Hashable, int] = {}
        self._inferred: dict[Any, _Inferred] = {}

    # -------------------------------------------------------------- functions

    @contextmanager
    def function(self, path: str, span: Span, like: int | None, defaults: Defaults) -> Iterator[Frame]:
        """A frame for the steps made inside, of a function whose full name is `path` here, under some defaults."""
        self.budget.spend(1, span)
        if self.depth >= DEEPEST_SCOPE:
            raise SpecError.of(
                codes.TOO_DEEP, f"blocks and lists are nested more than {DEEPEST_SCOPE} deep", span
            )
        outer = self.frame
        self.frame = Frame(path, like=like, defaults=defaults, edited=outer.edited)
        self.depth += 1
        try:
            yield self.frame
        finally:
            self.frame = outer
            self.depth -= 1

    def finished(
        self, frame: Frame, block: str, arguments: dict[str, Any], given: int, outputs: tuple[Tensor, ...]
    ) -> int:
        """The index of the function that a frame has become, which is that of an equal one where there is one."""
        function = Function.unchecked(
            block=block,
            arguments=arguments,
            inputs=tuple(frame.inputs),
            given=given,
            layers=tuple(frame.layers),
            steps=tuple(frame.steps),
            outputs=tuple(tensor.ref for tensor in outputs),
        )
        function.__dict__["held"] = frame.held
        if function.key in self._interned:
            self.budget.nodes -= sum(isinstance(step, Apply) for step in frame.steps)  # which exist already
        return self.intern(function, frame.depth, frame.longest)

    def intern(self, function: Function, depth: int, longest: int) -> int:
        """The index of a function, or of an equal one; `depth` and `longest` are those of its calls and names."""
        key = function.key
        if key not in self._interned:
            self._interned[key] = len(self.functions)
            self.functions.append(function)
            self.depths.append(depth)
            self.longest.append(longest)
        return self._interned[key]

    def call(
        self,
        function: int,
        name: str,
        inputs: tuple[Tensor, ...],
        layers: list[SharedLayer],
        types: list[tuple[TensorType, int]],
        span: Span,
        layer: SharedLayer | None,
        inside: Mapping[str, Made],
    ) -> tuple[Tensor, ...]:
        """Add a call of a function, whose outputs have these types and traces; `layer` is the one that it is a use of.

        `inside` is what the steps of the function give.
        """
        self.budget.spend(1, span)
        frame, below = self.frame, self.longest[function]
        step = Call.unchecked(
            name=name,
            function=function,
            inputs=tuple([tensor.ref for tensor in inputs]),
            layers=tuple([handed.slot for handed in layers]),
            types=tuple([plain_type(type_) for type_, _ in types]),
            location=span.location,
            layer=layer.slot if layer else None,
            times=1,
        )
        frame.add(step, below)
        frame.made[name] = Made(types, inside)
        frame.depth = max(frame.depth, self.depths[function] + 1)
        check_length(frame.longest - 1, span)
        if layer and layer.state.first is None:
            layer.state.first = function
        return tuple([Tensor(Ref(name, i), type_, trace) for i, (type_, trace) in enumerate(types)])

    def is_call(self, tensor: Tensor) -> bool:
        """Whether a value is of a call of a function in the one under construction."""
        made = self.frame.made.get(tensor.ref.producer)
        return made is not None and bool(made.inside)

    # -------------------------------------------------------------- steps

    def emit(
        self,
        op: Op,
        inputs: tuple[Tensor, ...],
        options: Mapping[str, Tensor],
        name: str,
        span: Span,
        layer: SharedLayer | None = None,
        defaults: Mapping[str, Location] = MappingProxyType({}),
    ) -> tuple[Tensor, ...]:
        """Add a step that applies an op; `layer` is the shared layer that it is a use of, or whose weight it reads.

        `defaults` says of its arguments where they are stated, unless at the step.

        Raises Mistake when the inputs do not fit the op, SpecError past the budget.
        """
        self.budget.add_node(span)
        types = tuple([tensor.type for tensor in inputs])
        traces = tuple([tensor.trace for tensor in inputs])
        given = tuple([(option, tensor.type, tensor.trace) for option, tensor in options.items()])
        inferred = self._inferred.get((op, types, traces, given))
        if inferred is None:
            with used() as origins:
                named = {name: type_ for name, type_, _ in given}
                outputs, weights = infer(op, types, named)
                if weights and not type(op).__module__.startswith("archspec."):
                    _use_in_weights(op, types, named, weights)
            self.origins.use(origins[0], span)
            traced = [self.origins.traced(type_) for type_ in outputs]
            given_types = [(type_, trace) for type_, _, trace in traced]
            inferred = _Inferred(
                given_types,
                Made(given_types),
                tuple([plain for _, plain, _ in traced]),
                weights,
                max(map(len, weights), default=0),
            )
            self._inferred[op, types, traces, given] = inferred
        if not isinstance(op, Tied):
            self._hold(name, op, inferred.weights, layer)
        step = Apply.unchecked(
            name=name,
            op=op,
            inputs=tuple([tensor.ref for tensor in inputs]),
            options={option: tensor.ref for option, tensor in options.items()},
            types=inferred.plain,
            location=span.location,
            layer=layer.slot if layer else None,
            defaults=_effective(op, defaults, inferred.weights) if defaults else {},
        )
        self.frame.add(step, inferred.longest)
        self.frame.made[name] = inferred.made
        if inferred.weights:
            self.frame.held[name] = inferred.weights
        many = len(inputs) + len(inferred.plain)
        self.budget.spend(NEW_NODE + (many if many > 8 else 0), span)
        return tuple([Tensor(Ref(name, i), type_, trace) for i, (type_, trace) in enumerate(inferred.types)])

    def showing(self, sizes: Iterable[Free], shapes: Sequence[Shape]) -> Tensor | None:
        """A tensor of the function under construction whose axes show the sizes that tensors of those shapes do not.

        None where these show them all, and where there is none.
        """
        known = shown_by(*shapes)
        sizes = [size for size in sizes if unread(size, known)]
        if not sizes:
            return None
        inputs = ((Ref(f"%{i}"), type_) for i, type_ in enumerate(self.frame.inputs))
        steps = (
            (Ref(step.name, i), type_) for step in self.frame.steps for i, type_ in enumerate(step.types)
        )
        for ref, type_ in (*inputs, *steps):
            if not any(unread(size, shown_by(*shapes, type_.shape)) for size in sizes):
                return Tensor(ref, type_, 0)
        return None

    def trained(self, op: Op, inputs: tuple[Tensor, ...], options: Mapping[str, Tensor]) -> list[str]:
        """The keys of the weights that an op would train on these inputs. Mistake when they do not fit the op."""
        with used():  # what they depend on is noted when the step is added
            named = {name: tensor.type for name, tensor in options.items()}
            _, weights = infer(op, tuple(tensor.type for tensor in inputs), named)
        return [key for key, weight in weights.items() if weight.trainable]

    def own_weight(
        self,
        name: str,
        weight: Weight,
        table: Table | None,
        span: Span,
        defaults: Mapping[str, Location] = MappingProxyType({}),
    ) -> Tensor:
        """Add a weight of a block itself, as a tensor without a batch. Mistake when it cannot be such a table."""
        op = (Own if weight.saved else Constant)(weight=weight, table=table)
        return self.emit(op, (), {}, name, span, defaults=defaults)[0]

    # -------------------------------------------------------------- shared layers

    def declare(self, name: str, layer: Any, defaults: Defaults, span: Span) -> SharedLayer:
        """A shared layer of the function under construction, which has no use yet, and the defaults in force in it."""
        slot = self.frame.declare(name, span)
        state = SharedState(first=self._first_like(name))
        return SharedLayer(name, self.frame.path, layer, slot, state, defaults)

    def _first_like(self, name: str) -> Held | int | None:
        """What the first use of a layer of that name made, where the function is of a later use of the layer around it."""
        like = self.frame.like
        if like is None:
            return None
        if like < 0 or name not in self.functions[like].layers:
            return NOTHING
        found = first_use(self.functions, like, self.functions[like].layers.index(name))
        if found is None:
            return NOTHING
        function, step = found
        return step.function if isinstance(step, Call) else held_by(function, step)

    def _hold(self, name: str, op: Op, weights: Mapping[str, Weight], layer: SharedLayer | None) -> None:
        """Keep what the first use of a shared layer made. Mistake when a later use needs other weights, or is another op."""
        if layer:
            if layer.state.first is None:
                layer.state.first = Held(op, weights)
                return
            first, original = layer.state.first, first_name(layer.prefix + layer.name)
        else:
            if self.frame.like is None:
                return
            step = self.functions[self.frame.like].by_name.get(name) if self.frame.like >= 0 else None
            function = self.functions[self.frame.like]
            first = held_by(function, step) if isinstance(step, Apply) else NOTHING
            original = first_name(self.frame.path + name)
        made = first if isinstance(first, Held) else Held(op, {})
        for key, weight in weights.items():
            before = made.weights.get(key)
            if before is None or (before.shape, before.dtype) != (weight.shape, weight.dtype):
                had = f"{before.dtype}{show(before.shape)}" if before else "none"
                raise Mistake(
                    f"the shared `{original}` has the weight `{key}` {had}, but this use needs "
                    f"{weight.dtype}{show(weight.shape)}",
                    codes.SHARED_DIFFERS,
                    help="a shared layer has one set of weights, so all its inputs need the same number of channels",
                )
        if weights and made.op != op:
            raise Mistake(
                f"the shared `{original}` is {made.op} at its first use, but {op} here",
                codes.SHARED_DIFFERS,
                help="a shared layer is one layer: its arguments cannot depend on the use",
            )

    def part_of(self, layer: SharedLayer, path: str, span: Span) -> Tensor | SharedPart:
        """What is at a path below a shared layer: a weight, as a tensor, or a part that has weights. Mistake when nothing is."""
        first = layer.state.first if layer.state.uses else None
        weight = self._weight_of(first, path)
        if weight is not None:
            return self._tied(layer, path, weight, span)
        if isinstance(first, int) and first != NOTHING and holds(self.functions, first, path):
            return SharedPart(layer, path)
        known = ", ".join(islice(self._weight_names(first), 20))
        raise Mistake(
            f"the shared layer `{layer.name}` has no weight `{path}`"
            + ("" if layer.state.uses else " before its first use"),
            codes.NO_WEIGHT,
            help=f"it has {known}" if known else "apply the layer first",
        )

    def _tied(self, layer: SharedLayer, key: str, weight: Weight, span: Span) -> Tensor:
        """Add a step that reads a weight of a shared layer."""
        name = self.frame.claim_name(None, f"{layer.name}_{key}".replace(".", "_"), span)
        op = Tied(target=key, shape=weight.shape, dtype=weight.dtype)
        return self.emit(op, (), {}, name, span, layer)[0]

    def _weight_of(self, content: Held | int | None, path: str) -> Weight | None:
        """The weight of a shared layer at a path below it: by its key, of a block behind the names of steps."""
        if content is None or content == NOTHING:
            return None
        if isinstance(content, Held):
            return content.weights.get(path)
        return weight_at(self.functions, content, path)

    def _weight_names(self, content: Held | int | None) -> Iterator[str]:
        """The names of a shared layer's weights, below its own; one by one, since a tower of blocks has any number."""
        if content is None or content == NOTHING:
            return
        if isinstance(content, Held):
            yield from content.weights
            return
        function = self.functions[content]
        for step in function.steps:
            if isinstance(step, Call):
                yield from (f"{step.name}.{name}" for name in self._weight_names(step.function))
            else:
                keys = function.held.get(step.name, {})
                yield from (f"{step.name}.{key}" if key else step.name for key in keys)


def held_by(function: Function, step: Apply) -> Held:
    """The op of a step, and the weights that it has."""
    return Held(step.op, function.held.get(step.name, {}))


def _effective(
    op: Op, defaults: Mapping[str, Location], weights: Mapping[str, Weight]
) -> dict[str, Location]:
    """Where arguments are stated, without those that say how a weight starts that is not there."""
    idle = {argument for key, argument in op.starts.items() if key not in weights and "" not in weights}
    return {name: place for name, place in defaults.items() if name not in idle}


class _Inferred(NamedTuple):
    """What an op gives for inputs of some types: types and their traces, the types with plain sizes, and its weights."""

    types: list[tuple[TensorType, int]]
    made: Made
    plain: tuple[TensorType, ...]
    weights: Mapping[str, Weight]
    longest: int  # letters of the longest key of a weight


def _use_in_weights(
    op: Op, types: tuple[TensorType, ...], options: Mapping[str, TensorType], weights: Mapping[str, Weight]
) -> None:
    """Use the declared sizes on which weights depend, of an op that may not say so: its weights are other with others."""
    sizes = {s.key: s for t in (*types, *options.values()) for s in t.shape if isinstance(s, Declared)}
    for size in sizes.values():

        def changed(t: TensorType, size: Declared = size, to: int = 0) -> TensorType:
            return t.with_shape([to if s is size else number(s) for s in t.shape])

        for other in (number(size) + 1, 2 * number(size)):
            try:
                made = op.weights(
                    *(changed(t, to=other) for t in types),
                    **{name: changed(t, to=other) for name, t in options.items()},
                )
            except Mistake:
                made = {}
            if made != weights:
                use(size)


@cache
def snake(name: str) -> str:
    """`GlobalAvgPool` as `global_avg_pool`, `ReLU6` as `relu6`, `MBConv` as `mbconv`."""
    words = re.sub(r"([a-z0-9])([A-Z][a-z])", r"\1_\2", name)
    return words.lower()
