"""The classes of a file: which functions are one, what they are called, and in what order they come."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from keyword import iskeyword

from archspec.backends.python import expressions as py
from archspec.backends.python.aligning import IDENTITY, NONE, aligned, program
from archspec.backends.python.drafts import Draft, handed_tensors
from archspec.backends.python.parameters import Parameters
from archspec.backends.python.unifying import Class, repeated, tells, unify
from archspec.graph import Graph

_NAMES = frozenset(("self", "x", "places", "module"))  # in the code of `__init__`

LIST = "Layers"
"""What a list of layers is called that can be no `nn.Sequential`."""


class Classes:
    """The classes of a graph's functions, callees first."""

    def __init__(self, graph: Graph, drafts: Sequence[Draft], taken: set[str]) -> None:
        self.graph = graph
        self.drafts = list(drafts)
        self.align()
        self.taken = taken
        self.classes: dict[Hashable, Class] = {}
        self.order: list[Class] = []
        self.kinds: dict[int, Hashable] = {}
        groups: dict[Hashable, list[Draft]] = {}
        for draft in self.drafts:
            kind = self.kind(draft.index)
            self.kinds[draft.index] = kind
            groups.setdefault(kind, []).append(draft)
        self.groups = groups
        self.resolved(py.Instance(len(graph.functions) - 1))

    def align(self) -> None:
        """Make drafts of one block alike where some only leave out what others have."""
        blocks: dict[tuple[str, object], list[Draft]] = {}
        for draft in self.drafts:
            if draft.function.block:
                blocks.setdefault((draft.function.block, self.nested(draft)), []).append(draft)
        for several in blocks.values():  # callees first
            for draft in aligned(several, self.handed, self.tells):
                self.drafts[draft.index] = draft

    def handed(self, other: int, function: int) -> list[str] | None:
        """What a function calls the tensors that are handed in as arguments; None if another is not of one class with it."""
        alike = self.kind(other) == self.kind(function)
        return handed_tensors(self.drafts[function].function) if alike else None

    def tells(self, drafts: Sequence[Draft]) -> bool:
        """Whether drafts have the same layers, and conditions tell which of them leave out what."""
        for path in drafts[0].members:
            made = [draft.members[path] for draft in drafts]
            if len({self.outline(x) for x in made if x not in (NONE, IDENTITY)}) > 1:
                return False
        return tells(drafts)

    def outline(self, made: py.Expression) -> Hashable:
        """What tells a layer from others that are not made alike."""
        if not isinstance(made, py.Instance):
            return py.key_of(made, literals=False)
        draft = self.drafts[made.function]
        inner = tuple(map(self.outline, draft.members.values())) if draft.is_chain else ()
        return self.kind(made.function), inner

    def kind(self, function: int) -> Hashable:
        """What tells a function's class from others."""
        draft = self.drafts[function]
        return *self.nested(draft), program(draft)

    def nested(self, draft: Draft) -> tuple[int, bool]:
        """How many blocks of its own name stand within each other in a function, and whether it is the model."""
        return self._depth(draft.index, draft.function.block), draft.index == len(self.graph.functions) - 1

    def _depth(self, index: int, block: str) -> int:
        within_it = {
            part.function
            for expression in self.drafts[index].members.values()
            for part in py.within(expression)
            if isinstance(part, py.Instance)
        }
        depth = max((self._depth(function, block) for function in within_it), default=0)
        return depth + (self.drafts[index].function.block == block)

    # ---------------------------------------------------------------- instances

    def resolved(self, expression: py.Expression) -> py.Expression:
        """An expression with calls of classes where functions were."""
        return py.replaced(
            expression, lambda part: self.instance(part.function) if isinstance(part, py.Instance) else None
        )

    def instance(self, function: int) -> py.Expression:
        """What makes the module that a function is."""
        draft = self.drafts[function]
        if draft.is_identity and draft.takes == 1:
            return IDENTITY
        if draft.is_chain and not draft.function.block:
            return self.sequential(draft)
        return self.of(function).made(function)

    def sequential(self, draft: Draft) -> py.Expression:
        """A list of layers as an `nn.Sequential`: by number, or by name."""
        members = {name: self.resolved(made) for name, made in draft.members.items()}
        if list(members) == [str(place) for place in range(len(members))]:
            return py.Call(py.Code("nn.Sequential"), tuple(repeated(list(members.values()))))
        if all(name.isidentifier() and not iskeyword(name) for name in members):
            named = py.Call(
                py.Code("OrderedDict"), (), tuple(py.Keyword(name, made) for name, made in members.items())
            )
        else:
            pairs = tuple(py.Listed((py.Literal(name), made)) for name, made in members.items())
            named = py.Call(py.Code("OrderedDict"), (py.Listed(pairs, "["),))
        return py.Call(py.Code("nn.Sequential"), (named,))

    def of(self, function: int) -> Class:
        """The class of a function, made when it is first asked for."""
        kind = self.kinds[function]
        if kind not in self.classes:
            drafts = self.groups[kind]
            is_model = function == len(self.graph.functions) - 1
            members = [
                {path: self.resolved(made) for path, made in draft.members.items()} for draft in drafts
            ]
            known = Parameters([draft.function for draft in drafts], promoted=not is_model)
            name = self.graph.name if is_model else self.name_of(kind)
            made = Class(self.free(name), drafts, is_model, known, is_chain=drafts[0].is_chain)
            self.classes[kind] = made
            known.taken = {*_NAMES, *self.taken}
            unify(made, members)
            self.order.append(made)
        return self.classes[kind]

    def name_of(self, kind: Hashable) -> str:
        """The block's name; of a second class for the block, with the parameter that tells it from the first."""
        functions = [draft.function for draft in self.groups[kind]]
        block = functions[0].block or LIST
        others = [
            draft.function
            for other, drafts in self.groups.items()
            if other != kind
            for draft in drafts
            if draft.function.block == functions[0].block
        ]
        if not functions[0].block or block not in self.taken:
            return block
        for name in functions[0].arguments:
            ours = {bool(function.arguments.get(name)) for function in functions}
            theirs = {bool(function.arguments.get(name)) for function in others}
            if ours == {True} and theirs == {False}:
                return f"{block}With{_camel(name)}"
            if ours == {False} and theirs == {True}:
                return f"{block}Without{_camel(name)}"
        return block

    def free(self, name: str) -> str:
        """A name for a class that is not yet taken."""
        name = f"{name}_" if iskeyword(name) or not name.isidentifier() else name
        chosen, count = name, 2
        while chosen in self.taken:
            chosen, count = f"{name}{count}", count + 1
        self.taken.add(chosen)
        return chosen


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
