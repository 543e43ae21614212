"""The graph under construction: it names nodes, infers their types and keeps the budget."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, NamedTuple

from archspec.elaboration.values import SharedLayer, Tensor
from archspec.graph import DEEPEST_SCOPE, Node, Ref, Scope
from archspec.ground.declared import Declared, Family, number, use, used
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.names import LONGEST_NAME, is_label, is_taken, require_free
from archspec.ground.size import Free
from archspec.ground.source import Location, Span
from archspec.ground.tensor import TensorType, show
from archspec.op import Op, Weight
from archspec.op.inference import infer
from archspec.ops.weights import Constant, Own, Tied

DEEPEST = 50  # blocks within blocks, and files that import files
LARGE = 5_000  # nodes; a graph that has so many is counted before more are made
BUDGET = 1_000_000  # nodes; and steps in evaluating the spec, besides those that each node takes
STEPS_OF_A_NODE = 20
COUNTED_NODE, COUNTED_BLOCK = 10, 120  # steps, about as long as each takes where nodes are only counted


@dataclass(slots=True)
class Level:
    """Where names are being given: the scope that nodes belong to, and the prefix of their names."""

    scope: int
    prefix: str
    taken: dict[str, Span | None] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)


class GraphBuilder:
    """Collects the nodes, scopes and weights of a graph, in the order in which they can run.

    `when_large` is called once, when the graph turns out to be a large one.
    """

    node_fields: ClassVar[set[str]] = set(Node.model_fields)  # what pydantic keeps with each node

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget
        self.work = 0  # steps taken in evaluating the spec
        self.made = 0  # nodes
        self.when_large: Callable[[], None] | None = None
        self.nodes: list[Node] = []
        self.held: list[Mapping[str, Weight]] = []  # the weights of each node, by their key below its name
        self.scopes: list[Scope] = []
        self.weights: dict[str, Weight] = {}
        self.level = Level(0, "")
        self.depth = 0
        self._inferred: dict[Any, _Inferred] = {}
        self._ops: dict[str, Op] = {}  # by the names of nodes, as far as a shared layer asked for them
        self._aliases: list[tuple[str, str]] = []  # prefixes of a repeated use, and of what it shares
        self.used = 0  # the origins of the numbers used, one bit for each
        self.uses: dict[int, Location] = {}  # where each was first, by its bit
        self.family = Family()
        self._origins: dict[Hashable, int] = {}
        self._traces: dict[Hashable, int] = {}

    # -------------------------------------------------------------- budget

    @property
    def granted(self) -> int:
        """Steps allowed for the nodes made so far, besides the budget."""
        return STEPS_OF_A_NODE * self.made

    def spend(self, steps: int, span: Span) -> None:
        """Count work against the budget; SpecError when it is more than that."""
        self.work += steps
        most = max(self.budget, BUDGET)
        if self.work > most + self.granted:
            raise SpecError.of(
                "budget", f"the spec takes more than {most:,} steps to evaluate", span, help=_LARGER
            )

    def afford(self, nodes: int, span: Span) -> None:
        """SpecError when so many more nodes would pass the budget."""
        if self.made + nodes > self.budget:
            raise SpecError.of(
                "budget", f"the graph would have more than {self.budget:,} nodes", span, help=_LARGER
            )

    # -------------------------------------------------------------- names

    def claim_name(self, label: str | None, fallback: str, span: Span) -> str:
        """A name in the present scope: the label, or one made from `fallback`. SpecError when taken."""
        level = self.level
        if label is None:
            count = level.counts.get(fallback, 0)
            label = f"{fallback}_{count}" if count else fallback
            while label in level.taken or label in level.groups or is_taken(label):
                count += 1
                label = f"{fallback}_{count}"
            level.counts[fallback] = count + 1
        elif label in level.taken or label in level.groups:
            first = level.taken.get(label)
            where = f"first given at {first.place}" if first else ""
            raise SpecError.of(
                "name",
                f"two steps are named `{label}` here",
                span,
                label=where,
                help="each name is a key of the state_dict",
            )
        else:
            try:
                require_free(label)
            except Mistake as mistake:
                raise mistake.at(span) from None
        # `branches.0` stands in a group, whose name is then no step's.
        parts = label.split(".")
        for group in (".".join(parts[:i]) for i in range(1, len(parts))):
            if group in level.taken:
                raise SpecError.of(
                    "name", f"`{group}` is a step already, so no step can be named `{label}`", span
                )
            level.groups.add(group)
        level.taken[label] = span
        return check_length(level.prefix + label, span)

    # -------------------------------------------------------------- scopes

    @property
    def size(self) -> tuple[int, int]:
        """How many nodes and scopes there are."""
        return len(self.nodes), len(self.scopes)

    @property
    def aliased(self) -> bool:
        """Whether nodes being made share the weights of earlier ones."""
        return bool(self._aliases)

    @contextmanager
    def scope(
        self, name: str, block: str, arguments: dict[str, Any], inputs: tuple[Tensor, ...], span: Span
    ) -> Iterator[list[Tensor]]:
        """A scope for the nodes made inside; what is appended to the list it gives is its outputs."""
        self.spend(1, span)
        if self.depth >= DEEPEST_SCOPE:
            raise SpecError.of(
                "recursion", f"blocks and lists are nested more than {DEEPEST_SCOPE} deep", span
            )
        outer, index = self.level, len(self.scopes)
        record = Scope(
            name=name,
            parent=outer.scope if self.depth else None,
            block=block,
            arguments=arguments,
            inputs=tuple(tensor.ref for tensor in inputs),
            outputs=(),
            location=span.location,
        )
        self.scopes.append(record)
        self.level = Level(index, f"{name}." if name else "")
        self.depth += 1
        outputs: list[Tensor] = []
        try:
            yield outputs
        finally:
            self.level = outer
            self.depth -= 1
        self.scopes[index] = record.model_copy(update={"outputs": tuple(tensor.ref for tensor in outputs)})

    @contextmanager
    def shared_use(self, layer: SharedLayer) -> Iterator[str | None]:
        """One use of a shared layer, whose nodes are named where it was declared.

        Gives the label under which the use stands: the layer's own, or for repeated uses one with
        the number of the use, whose nodes share the weights of the first.
        """
        layer.uses += 1
        repeated = layer.uses > 1
        label = f"{layer.name}@{layer.uses}" if repeated else layer.name
        outer = self.level
        self.level = Level(outer.scope, layer.prefix)
        if repeated:
            self._aliases.append((layer.prefix + label, layer.prefix + layer.name))
        try:
            yield label
        finally:
            self.level = outer
            if repeated:
                self._aliases.pop()

    # -------------------------------------------------------------- declared sizes

    def declared(self, value: int, origin: Hashable) -> Declared:
        """A number that is declared: what is computed of it knows that it comes from there."""
        place = self._origins.setdefault(origin, len(self._origins))
        return self.family.member(number(value), 1 << place, Free.named(f"@{place}"))

    def use(self, origins: int, span: Span) -> None:
        """Note that numbers which come from these are used at that place."""
        new = origins & ~self.used
        if new:
            self.used |= new
            self.uses.update({1 << i: span.location for i in range(new.bit_length()) if new >> i & 1})

    def settled(self, value: Any) -> Any:
        """The plain number where all that it comes from is used already, else the number as it is."""
        return number(value) if type(value) is Declared and not value.origins & ~self.used else value

    def traced(self, type_: TensorType) -> tuple[TensorType, TensorType, int]:
        """The type with its sizes settled; the same with plain ones; and the number of the way in which its sizes
        follow from declared ones, 0 if none does."""
        plain = plain_type(type_)
        if plain is type_:
            return type_, type_, 0
        shape = tuple([self.settled(size) for size in type_.shape])
        way = tuple([size.key if type(size) is Declared else -1 for size in shape])
        if max(way) < 0:
            return plain, plain, 0
        trace = self._traces.setdefault(way, len(self._traces) + 1)
        return TensorType(shape, type_.dtype, type_.batched), plain, trace

    # -------------------------------------------------------------- nodes

    def emit(
        self, op: Op, inputs: tuple[Tensor, ...], options: Mapping[str, Tensor], name: str, span: Span
    ) -> tuple[Tensor, ...]:
        """Add a node. Raises Mistake when the inputs do not fit the op, SpecError past the budget."""
        self.afford(1, span)
        self.made += 1
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
            self.use(origins[0], span)
            traced = [self.traced(type_) for type_ in outputs]
            inferred = _Inferred(
                [(type_, trace) for type_, _, trace in traced],
                tuple([plain for _, plain, _ in traced]),
                weights,
            )
            self._inferred[op, types, traces, given] = inferred
        self._add(op, inputs, options, name, inferred.plain, inferred.weights, span)
        if len(inputs) + len(inferred.plain) > 8:
            self.spend(len(inputs) + len(inferred.plain), span)
        return tuple([Tensor(Ref(name, i), type_, trace) for i, (type_, trace) in enumerate(inferred.types)])

    def _add(
        self,
        op: Op,
        inputs: tuple[Tensor, ...],
        options: Mapping[str, Tensor],
        name: str,
        types: tuple[TensorType, ...],
        weights: Mapping[str, Weight],
        span: Span,
    ) -> None:
        node = Node(
            name=name,
            op=op,
            inputs=tuple(tensor.ref for tensor in inputs),
            options={option: tensor.ref for option, tensor in options.items()},
            types=types,
            scope=self.level.scope,
            location=span.location,
            shares=self._share(name, op, weights) if self._aliases and weights else "",
        )
        # One set for all nodes takes a third less memory than one for each.
        object.__setattr__(node, "__pydantic_fields_set__", self.node_fields)
        self.append(node, weights)

    def append(self, node: Node, weights: Mapping[str, Weight]) -> None:
        """Add a node, and its weights unless it shares them."""
        if len(self.nodes) >= LARGE and self.when_large is not None:
            self.when_large()
            self.when_large = None
        self.nodes.append(node)
        self.held.append(weights)
        if not node.shares:
            for key, weight in weights.items():
                self.weights[f"{node.name}.{key}" if key else node.name] = weight

    def _share(self, name: str, op: Op, weights: Mapping[str, Weight]) -> str:
        """The node whose weights this one uses. Mistake when they have other shapes, or it is another op."""
        original = name
        for alias, shared in reversed(self._aliases):
            if original == alias or original.startswith(alias + "."):
                original = shared + original[len(alias) :]
        if original == name:
            return ""
        for key, weight in weights.items():
            first = self.weights.get(f"{original}.{key}" if key else original)
            if first is None or (first.shape, first.dtype) != (weight.shape, weight.dtype):
                before = f"{first.dtype}{show(first.shape)}" if first else "none"
                raise Mistake(
                    f"the shared `{original}` has the weight `{key}` {before}, but this use needs "
                    f"{weight.dtype}{show(weight.shape)}",
                    kind="shape",
                    help="a shared layer has one set of weights, so all its inputs have as many channels",
                )
        for node in self.nodes[len(self._ops) :]:
            self._ops[node.name] = node.op
        if original in self._ops and self._ops[original] != op:
            raise Mistake(
                f"the shared `{original}` is {self._ops[original]} at its first use, but {op} here",
                kind="argument",
                help="a shared layer is one layer: what its arguments are cannot depend on the use",
            )
        return original

    def own_weight(self, name: str, weight: Weight, span: Span) -> Tensor:
        """Add a weight of a block itself, as a tensor without a batch."""
        op = Constant(weight=weight) if not weight.saved else Own(weight=weight)
        return self.emit(op, (), {}, name, span)[0]

    def tied_weight(self, layer: SharedLayer, key: str, span: Span) -> Tensor:
        """The weight of a shared layer, as a tensor. Mistake when there is none of that name."""
        full = f"{layer.prefix}{layer.name}.{key}"
        if full not in self.weights:
            below = [
                n.removeprefix(f"{layer.prefix}{layer.name}.")
                for n in self.weights
                if n.startswith(f"{layer.prefix}{layer.name}.")
            ]
            raise Mistake(
                f"the shared layer `{layer.name}` has no weight `{key}`"
                + ("" if layer.uses else " before its first use"),
                kind="name",
                help=f"it has {', '.join(below)}" if below else "apply the layer first",
            )
        weight = self.weights[full]
        name = self.claim_name(None, f"{layer.name}_{key}".replace(".", "_"), span)
        return self.emit(Tied(target=full, shape=weight.shape, dtype=weight.dtype), (), {}, name, span)[0]


class _Inferred(NamedTuple):
    """What an op gives for inputs of some types: types and their traces, the types with plain sizes, and its weights."""

    types: list[tuple[TensorType, int]]
    plain: tuple[TensorType, ...]
    weights: Mapping[str, Weight]


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


def plain_type(type_: TensorType) -> TensorType:
    """The type with its sizes as plain numbers, as graphs have them."""
    for size in type_.shape:
        if type(size) is Declared:
            return TensorType(tuple([number(size) for size in type_.shape]), type_.dtype, type_.batched)
    return type_


def check_label(label: str, span: Span) -> str:
    """The label, when it can name a step; SpecError when not."""
    if not is_label(label):
        help_ = "a name is made of letters, digits and `_`, with dots between the parts of its path"
        raise SpecError.of("name", f"`{label}` cannot name a step", span, help=help_)
    return label


def check_length(name: str, span: Span) -> str:
    """The full name of a step, when it is not too long; SpecError when it is."""
    if len(name) > LONGEST_NAME:
        raise SpecError.of("name", f"the name of a step has more than {LONGEST_NAME:,} characters", span)
    return name


@cache
def snake(name: str) -> str:
    """`GlobalAvgPool` as `global_avg_pool`, `ReLU6` as `relu6`, `MBConv` as `mbconv`."""
    words = re.sub(r"([a-z0-9])([A-Z][a-z])", r"\1_\2", name)
    return words.lower()


class Counter(GraphBuilder):
    """Counts the nodes of a graph instead of making them.

    What repeats is counted at once, so each node that is counted alone costs steps: a spec that
    makes a million nodes in a million different ways is refused in seconds.
    """

    granted = 0

    def _add(self, *node: Any) -> None:
        self.spend(COUNTED_NODE, node[-1])


_LARGER = "if that is meant, read it with a larger `budget`"
