"""Which names a block binds, and which it reads, told from its text alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from archspec.syntax import tree as t


def inputs_within(definition: t.Definition) -> bool:
    """Whether a block declares inputs in an `if` or a `for`, so that it may take more or fewer tensors."""
    stack: list[t.Tree] = [s for s in definition.body if isinstance(s, t.If | t.For)]
    while stack:
        node = stack.pop()
        if isinstance(node, t.Input):
            return True
        stack.extend(child for child in node.children() if isinstance(child, t.Statement | t.Branch))
    return False


def declaring(definition: t.Definition) -> set[str]:
    """The names on which the sizes that a model declares for its inputs may depend."""
    if definition.layer is not None:  # whatever they are, they may be those of the model that it stands for
        return {parameter.name for parameter in definition.parameters}
    bound: dict[str, list[set[str]]] = {}  # of a name, those in the values that it is bound to
    names: set[str] = set()
    stack: list[t.Tree] = [definition]
    while stack:
        node = stack.pop()
        within: set[str] | None = None
        for name, value in bindings(node):
            if value is not None:
                within = names_in(value) if within is None else within  # all are bound to parts of one value
                bound.setdefault(name, []).append(within)
        if isinstance(node, t.Input):
            for part in node.pattern or ():
                names |= names_in(part)
        stack.extend(node.children())
    waiting = list(names)
    followed: set[int] = set()
    while waiting:
        for within in bound.get(waiting.pop(), ()):
            if id(within) not in followed:
                followed.add(id(within))
                waiting += within - names
                names |= within
    defaults = {p.name: names_in(p.default) for p in definition.parameters if p.default is not None}
    for parameter in reversed(definition.parameters):
        if parameter.name in names:
            names |= defaults.get(parameter.name, set())
    return names


def names_of_inputs(definition: t.Definition | t.FunctionDefinition) -> set[str]:
    """The names that the inputs of a block bind: their own, and those of sizes."""
    found: set[str] = set()
    stack: list[t.Tree] = list(definition.body)
    while stack:
        node = stack.pop()
        if isinstance(node, t.Input):
            found.update(names_bound(node))
        elif isinstance(node, t.If | t.For | t.Branch):
            stack.extend(node.children())
    return found


def free_sizes(part: t.Tree) -> list[t.FreeSize]:
    """The free sizes that a part of an input's shape declares."""
    found, stack = [], [part]
    while stack:
        node = stack.pop()
        if isinstance(node, t.FreeSize):
            found.append(node)
        stack.extend(node.children())
    return found


def names_in(node: t.Tree) -> set[str]:
    """The names in an expression, or in a part of a pattern."""
    found, stack = set(), [node]
    while stack:
        node = stack.pop()
        if isinstance(node, t.Name | t.RestSizes):
            found.add(node.name)
        stack.extend(node.children())
    return found


def names_bound(node: t.Tree) -> Iterator[str]:
    """Every name that is bound by a node, or somewhere below it."""
    return (name for name, _ in bound_by((node, *node.below())))


def bound_by(nodes: Iterable[t.Tree]) -> Iterator[tuple[str, t.Tree]]:
    """Every name that is bound by one of these nodes, with that node."""
    for node in nodes:
        if not isinstance(node, t.Expression) or isinstance(
            node, t.FreeSize
        ):  # no other expression binds any
            for name, _ in bindings(node):
                yield name, node


def bindings(node: t.Tree) -> Iterator[tuple[str, t.Expression | None]]:
    """The names that a node itself binds, each with the expression that it is computed from, where there is one.

    This is the one place that knows: a new statement that binds names has its case here.
    """
    match node:
        case t.Assign(target=target, value=value) | t.For(target=target, iterable=value):
            yield from ((name, value) for name in targets(target))
        case t.Broken(names=names):
            yield from ((name, None) for name in names)
        case t.Clause(target=target):
            yield from ((name, None) for name in targets(target))
        case t.Imported(alias=name):
            yield name, None
        case t.Own(name=name) | t.Shared(name=name) | t.FreeSize(name=name) | t.RestSizes(name=name):
            yield name, None
        case t.Input(name=name, pattern=pattern):
            yield name, None
            yield from ((part.name, None) for part in pattern or () if isinstance(part, t.Name))


def targets(target: t.Target) -> Iterator[str]:
    """The names in the target of an assignment or a loop."""
    if target.name is not None:
        yield target.name
    for part in target.targets:
        yield from targets(part)
