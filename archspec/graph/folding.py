"""Folding: turn a flat list of nodes back into functions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archspec.graph.flat import Flat, Node, Output, Scope
from archspec.graph.function import Apply, Call, Function, Step
from archspec.graph.graph import DEEPEST_SCOPE, Graph
from archspec.graph.records import Ref
from archspec.graph.rewriting import moved
from archspec.ground import codes
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.names import first_use
from archspec.ground.tensor import TensorType
from archspec.op import Weight
from archspec.ops.weights import Tied

Member = Node | int
SharedLayer = tuple[int, str]  # the scope that declares it, and its name there


def fold(
    graph: Graph,
    nodes: Sequence[Node],
    scopes: Sequence[Scope],
    outputs: Sequence[Output],
    weights: Mapping[str, Weight] | None = None,
) -> Graph:
    """The graph whose flat view this is; `weights`, if given, must be its weights.

    Raises SpecError when the flat view is inconsistent.
    """
    try:
        folding = _Folding(graph, nodes, scopes)
        folding.function(0)
        types = folding.types
        folded = graph.with_changes(
            functions=tuple(folding.functions), returns=tuple(output.name for output in outputs)
        )
        if any(output.type != types[output.value] for output in outputs):
            raise Mistake("an output does not have the type of its value", codes.GRAPH)
        if scopes[0].outputs != tuple(output.value for output in outputs):
            raise Mistake("the outputs of the graph differ from those of the model's scope", codes.GRAPH)
        _require_same(folded.flat, Flat(tuple(nodes), tuple(scopes), dict(weights or folded.flat.weights)))
    except Mistake as mistake:
        raise SpecError.of(codes.GRAPH, f"invalid graph: {mistake.message}", help=mistake.help) from None
    except RecursionError:
        raise SpecError.of(codes.GRAPH, "invalid graph: nested too deeply") from None
    except KeyError as missing:
        message = f"invalid graph: `{missing.args[0]}` is used before it is defined"
        raise SpecError.of(codes.GRAPH, message) from missing
    except (TypeError, AttributeError, ValueError, LookupError, ArithmeticError) as error:
        raise SpecError.of(codes.GRAPH, f"invalid graph: {type(error).__name__}: {error}") from error
    return folded


def _require_same(made: Flat, given: Flat) -> None:
    """Raise Mistake unless flattening the functions gives back what was folded."""
    for ours, theirs in zip(made.nodes, given.nodes, strict=True):
        if ours != theirs:
            raise Mistake(f"step `{theirs.name}` ({theirs.location}) does not fit its block", codes.GRAPH)
    for scope, other in zip(made.scopes, given.scopes, strict=True):
        if scope != other:
            raise Mistake(f"scope `{other.name}` ({other.location}) does not fit its block", codes.GRAPH)
    for name in made.weights.keys() ^ given.weights.keys():
        wrong = "is missing" if name in made.weights else "belongs to no step"
        raise Mistake(f"weight `{name}` {wrong}", codes.GRAPH)
    for name, weight in made.weights.items():
        if given.weights[name] != weight:
            raise Mistake(f"weight `{name}` differs from what its step declares", codes.GRAPH)


@dataclass
class _Open:
    """A function being made from a scope: its local names of values, and what it takes from outside."""

    scope: int
    values: dict[Ref, Ref] = field(default_factory=dict)
    inputs: list[Ref] = field(default_factory=list)  # by their names around it
    handed: list[SharedLayer] = field(default_factory=list)
    declared: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    uses: dict[SharedLayer, int] = field(default_factory=dict)

    def value(self, ref: Ref) -> Ref:
        """The local name of a value; a value from outside becomes an input."""
        if ref not in self.values:
            self.values[ref] = Ref(f"%{len(self.inputs)}")
            self.inputs.append(ref)
        return self.values[ref]


class _Folding:
    def __init__(self, graph: Graph, nodes: Sequence[Node], scopes: Sequence[Scope]) -> None:
        self.scopes = scopes
        self.functions: list[Function] = []
        self.known: dict[Hashable, int] = {}
        self.types = {Ref(given.name): given.type for given in graph.inputs}
        for node in nodes:
            self.types.update({Ref(node.name, i): type_ for i, type_ in enumerate(node.types)})
        self.members = _members(nodes, scopes)
        self.named = {node.name for node in nodes} | {scope.name for scope in scopes}
        self.shared = self.shared_layers()

    # -------------------------------------------------------------- shared layers

    def shared_layers(self) -> set[SharedLayer]:
        """The layers with more than one use, with one in another scope than their own, or whose weights are read."""
        found = set()
        for scope, members in enumerate(self.members):
            for member in members:
                if isinstance(member, Node) and isinstance(member.op, Tied):
                    found.add(self.tied(member, member.op)[0])
                if self.local(scope, self.name(member)) is None:
                    found.add(self.declared(scope, self.name(member)))
        return found

    def name(self, member: Member) -> str:
        return member.name if isinstance(member, Node) else self.scopes[member].name

    def local(self, scope: int, name: str) -> str | None:
        """The name of a step in its scope; None where it is a use of a layer that is named elsewhere."""
        prefix = _prefix(self.scopes[scope].name)
        short = name.removeprefix(prefix)
        return short if name.startswith(prefix) and "@" not in short else None

    def declared(self, scope: int, name: str) -> SharedLayer:
        """The layer that a step uses: declared in the innermost scope around it whose name is a prefix of its own."""
        base = re.sub(r"@\d+$", "", name)
        owner: int | None = scope
        while owner is not None:
            prefix = _prefix(self.scopes[owner].name)
            if base.startswith(prefix) and "@" not in base.removeprefix(prefix):
                return owner, base.removeprefix(prefix)
            owner = self.scopes[owner].parent
        raise Mistake(f"the name `{name}` starts with that of no scope around it", codes.GRAPH)

    def tied(self, node: Node, op: Tied) -> tuple[SharedLayer, str]:
        """The layer whose weight a step reads, and the weight's key."""
        target = op.target
        owner: int | None = node.scope
        while owner is not None:
            prefix = _prefix(first_use(self.scopes[owner].name))
            if target.startswith(prefix) and target != prefix:
                parts = target.removeprefix(prefix).split(".")
                for count in range(1, len(parts)):
                    name = ".".join(parts[:count])
                    if prefix + name in self.named:
                        return (owner, name), ".".join(parts[count:])
                break
            owner = self.scopes[owner].parent
        raise Mistake(f"`{node.name}` reads `{op.target}`, which is in no scope around it", codes.GRAPH)

    # -------------------------------------------------------------- functions

    def function(self, scope: int, depth: int = 0) -> tuple[int, list[Ref], list[SharedLayer], list[Ref]]:
        """The function of a scope, as an index; what it takes, the layers handed to it, and what it gives."""
        if depth > DEEPEST_SCOPE:
            raise Mistake(f"scopes are nested more than {DEEPEST_SCOPE} deep", codes.GRAPH)
        record = self.scopes[scope]
        open_ = _Open(scope)
        for ref in record.inputs:
            open_.values.setdefault(ref, Ref(f"%{len(open_.inputs)}"))
            open_.inputs.append(ref)
        open_.declared = [name for owner, name in sorted(self.shared) if owner == scope]
        for member in self.members[scope]:
            if isinstance(member, Node):
                self.apply(open_, member)
            else:
                self.call(open_, member, depth)
        for ref in record.outputs:
            open_.value(ref)
        numbered = _numbered(open_)
        steps, outputs = self.in_rows(numbered, [open_.values[ref] for ref in record.outputs])
        made = Function.unchecked(
            block=record.block,
            arguments=dict(record.arguments),
            inputs=tuple(self.type(ref) for ref in open_.inputs),
            given=len(record.inputs),
            layers=("",) * len(open_.handed) + tuple(open_.declared),
            steps=steps,
            outputs=outputs,
        )
        return self.interned(made), open_.inputs, open_.handed, list(record.outputs)

    def in_rows(
        self, steps: Sequence[Step], outputs: Sequence[Ref]
    ) -> tuple[tuple[Step, ...], tuple[Ref, ...]]:
        """The steps, and outputs, with calls that follow one another as one row, where nothing else takes what is between them."""
        readers = Counter([*(ref for step in steps for ref in step.operands), *outputs])
        found: list[Step] = []
        renamed: dict[Ref, Ref] = {}
        for step in steps:
            row = found[-1] if found else None
            step = moved(step, renamed)
            if (
                isinstance(row, Call)
                and isinstance(step, Call)
                and row.goes_on_as(step, self.functions[row.function])
            ):
                last = str(int(row.name) + row.times - 1)
                if all(readers[Ref(last, i)] == 1 for i in range(len(row.types))):
                    found[-1] = row.with_changes(times=row.times + step.times)
                    renamed.update({Ref(step.name, i): Ref(row.name, i) for i in range(len(step.types))})
                    continue
            found.append(step)
        return tuple(found), tuple(renamed.get(ref, ref) for ref in outputs)

    def type(self, ref: Ref) -> TensorType:
        if ref not in self.types:
            raise Mistake(f"a step takes `{ref}`, which is not defined before it", codes.GRAPH)
        return self.types[ref]

    def apply(self, open_: _Open, node: Node) -> None:
        op, layer = node.op, self.layer(open_, node.name)
        if isinstance(op, Tied):
            shared, key = self.tied(node, op)
            op, layer = op.model_copy(update={"target": key}), shared
        name = self.step_name(open_, node.name, layer, is_tie=isinstance(op, Tied))
        inputs = tuple(open_.value(ref) for ref in node.inputs)
        options = {option: open_.value(ref) for option, ref in node.options.items()}
        slot = self.slot(open_, layer)
        open_.steps.append(
            Apply.unchecked(
                name=name,
                op=op,
                inputs=inputs,
                options=options,
                types=node.types,
                location=node.location,
                layer=slot,
                defaults=dict(node.defaults),
            )
        )
        for i in range(len(node.types)):
            open_.values[Ref(node.name, i)] = Ref(name, i)

    def call(self, open_: _Open, scope: int, depth: int) -> None:
        function, inputs, handed, outputs = self.function(scope, depth + 1)
        record = self.scopes[scope]
        layer = self.layer(open_, record.name)
        name = self.step_name(open_, record.name, layer)
        open_.steps.append(
            Call.unchecked(
                name=name,
                function=function,
                inputs=tuple(open_.value(ref) for ref in inputs),
                layers=tuple(self.slot(open_, given) or 0 for given in handed),
                types=tuple(self.type(ref) for ref in outputs),
                location=record.location,
                layer=self.slot(open_, layer),
                times=1,
            )
        )
        for i, ref in enumerate(outputs):
            open_.values.setdefault(ref, Ref(name, i))

    def layer(self, open_: _Open, name: str) -> SharedLayer | None:
        """The shared layer of which a step is a use, if it is one."""
        local = self.local(open_.scope, name)
        if local is None:
            return self.declared(open_.scope, name)
        return (open_.scope, local) if (open_.scope, local) in self.shared else None

    def step_name(self, open_: _Open, full: str, layer: SharedLayer | None, *, is_tie: bool = False) -> str:
        if layer is None or is_tie:
            local = self.local(open_.scope, full)
            if local is None:
                raise Mistake(f"step `{full}` is named as if in another scope", codes.GRAPH)
            return local
        open_.uses[layer] = uses = open_.uses.get(layer, 0) + 1
        return _use(layer, uses)

    def slot(self, open_: _Open, layer: SharedLayer | None) -> int | None:
        """The place of a layer among those of a function: handed in, counted from 0, or its own, counted from -1 down."""
        if layer is None:
            return None
        if layer[0] == open_.scope:
            return -1 - open_.declared.index(layer[1])
        if layer not in open_.handed:
            open_.handed.append(layer)
        return open_.handed.index(layer)

    def interned(self, function: Function) -> int:
        """The index of the function; equal functions share one."""
        key = function.key
        if key not in self.known:
            self.known[key] = len(self.functions)
            self.functions.append(function)
        return self.known[key]


def _numbered(open_: _Open) -> tuple[Step, ...]:
    """The steps with the places of its own layers behind those handed in, and uses named by these."""
    handed, names = len(open_.handed), dict[str, str]()

    def place(slot: int | None) -> int | None:
        return slot if slot is None or slot >= 0 else handed - 1 - slot

    for layer, uses in open_.uses.items():
        slot = place(
            open_.handed.index(layer) if layer in open_.handed else -1 - open_.declared.index(layer[1])
        )
        for use in range(1, uses + 1):
            names[_use(layer, use)] = f"@{slot}" if use == 1 else f"@{slot}@{use}"

    def moved(ref: Ref) -> Ref:
        return Ref(names.get(ref.producer, ref.producer), ref.output)

    steps: list[Step] = []
    for step in open_.steps:
        changed: dict[str, Any] = {
            "name": names.get(step.name, step.name),
            "layer": place(step.layer),
            "inputs": tuple(map(moved, step.inputs)),
        }
        if isinstance(step, Call):
            changed["layers"] = tuple(place(layer) for layer in step.layers)
        else:
            changed["options"] = {option: moved(ref) for option, ref in step.options.items()}
        steps.append(step.with_changes(**changed))
    open_.values = {full: moved(ref) for full, ref in open_.values.items()}
    return tuple(steps)


def _use(layer: SharedLayer, use: int) -> str:
    return f"@{layer[0]}/{layer[1]}@{use}"


def _prefix(name: str) -> str:
    return f"{name}." if name else ""


def _members(nodes: Sequence[Node], scopes: Sequence[Scope]) -> list[list[Member]]:
    """The nodes and scopes in each scope, in order; those in which no node stands as early as they can."""
    members: list[list[Member]] = [[] for _ in scopes]
    opened = 1

    def open_up_to(scope: int) -> None:
        nonlocal opened
        while opened <= scope:
            parent = scopes[opened].parent
            if parent is None or not 0 <= parent < opened:
                raise Mistake(
                    f"the parent of scope `{scopes[opened].name}` is not an earlier scope", codes.GRAPH
                )
            members[parent].append(opened)
            opened += 1

    for node in nodes:
        if not 0 <= node.scope < len(scopes):
            raise Mistake(f"step `{node.name}` is in no scope", codes.GRAPH)
        open_up_to(node.scope)
        members[node.scope].append(node)
    open_up_to(len(scopes) - 1)
    return members
